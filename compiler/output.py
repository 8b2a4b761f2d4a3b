"""Replace ``dist/`` as a whole, or leave it exactly as it was.

A build is staged in a folder beside ``dist/``, checked there, and exchanged for it
by two renames. A reader of ``dist/`` never sees half a build; after a crash
between the renames, the next build restores the old one.

A build replaces and deletes only what a build wrote: folders whose manifest carries
``GENERATOR``, without any file that the manifest does not name.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.errors import ExitCode, Failure, Problem

MANIFEST = "manifest.json"
"""Names every file of ``dist/`` with its SHA-256, and the inputs they came from."""

GENERATOR = "airflow-on-fargate build.py"
"""The mark of a build in its manifest."""

WRITE_BITS = 0o222

FOREIGN_FILES_SHOWN = 3


class BusyError(Failure):
    """Another process is writing the same folder."""


def destination(folder: Path) -> Path:
    """Return the folder that a build writes, without symlinks. Raises Failure."""
    try:
        dist = folder.resolve(strict=False)
        is_loop = folder.is_symlink() and dist.is_symlink()
    except (RuntimeError, OSError):  # Python 3.11 and 3.12 raise on a loop
        dist, is_loop = folder, True
    if is_loop:
        raise _refusal(folder, "It is a symbolic link to itself", "Delete the link.")
    if not dist.name:
        raise _refusal(dist, "It is the root of the file system", _OTHER_FOLDER)
    return dist


@contextmanager
def exclusive(dist: Path) -> Iterator[None]:
    """Keep other builds of ``dist`` out; the lock ends with this process."""
    path = _beside(dist, "lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(dist) from error
        if not _is_same_file(lock, path):  # its owner has just deleted it
            raise _busy(dist)
        try:
            yield
        finally:
            if not os.fstat(lock).st_size:
                path.unlink(missing_ok=True)
    finally:
        os.close(lock)


@contextmanager
def staged(dist: Path) -> Iterator[Path]:
    """Return a folder to write a build to; it is deleted afterwards in any case."""
    _recover(dist)
    _check_replaceable(dist)
    stage = _beside(dist, "staged")
    try:
        # Inside the try: Ctrl-C may come right after its creation.
        stage.mkdir()
        _write_manifest(stage, inputs="", files={})
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def exchange(stage: Path, dist: Path) -> None:
    """Put the staged build in the place of ``dist``."""
    previous = _beside(dist, "previous")
    # Once more: files may have been added while the build ran.
    _check_replaceable(dist)
    with _undisturbed():
        if dist.exists():
            dist.rename(previous)
        try:
            stage.rename(dist)
        except OSError:
            if previous.exists():
                previous.rename(dist)
            raise
    # What cannot be deleted now is deleted by the next build.
    shutil.rmtree(previous, ignore_errors=True)


def remove(dist: Path) -> None:
    """Delete ``dist`` and what an interrupted build left beside it. Raises Failure."""
    with exclusive(dist):
        _recover(dist)
        _check_replaceable(dist)
        shutil.rmtree(dist, ignore_errors=True)


def write(stage: Path, files: Mapping[str, bytes], inputs: str) -> None:
    """Write a build and its manifest."""
    for path, content in files.items():
        file = stage / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    _write_manifest(
        stage, inputs, {path: digest(files[path]) for path in sorted(files)}
    )


def manifest(dist: Path) -> bytes | None:
    """Return the manifest of ``dist``, which tells one build from another."""
    try:
        return (dist / MANIFEST).read_bytes()
    except OSError:
        return None


def is_made_from(dist: Path, inputs: str) -> bool:
    """Whether ``dist`` is whole, untouched, and what ``inputs`` would give again."""
    try:
        recorded = json.loads((dist / MANIFEST).read_text())
        actual = {
            file.relative_to(dist).as_posix(): digest(file.read_bytes())
            for file in dist.rglob("*")
            if file.is_file()
        }
    except (OSError, ValueError):
        return False
    actual.pop(MANIFEST)
    return bool(recorded == {"generator": GENERATOR, "inputs": inputs, "files": actual})


def inputs_digest(root: Path, files: Iterable[Path]) -> str:
    """Return one digest over everything a build depends on."""
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix()
        total.update(f"{name} {digest(file.read_bytes())}\n".encode())
    return total.hexdigest()


def sources(folder: Path) -> list[Path]:
    """Return the files of a folder in one order, without caches and hidden files."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(
            part.startswith(".") or part == "__pycache__"
            for part in file.relative_to(folder).parts
        )
    )


def relative(path: Path) -> Path:
    """Return a path relative to the current folder, if it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def digest(content: bytes) -> str:
    """Return the SHA-256 of some content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


_OTHER_FOLDER = "Give an empty or a new folder with --dist."


def _check_replaceable(dist: Path) -> None:
    if not dist.exists():
        return
    if not dist.is_dir():
        raise _refusal(dist, "It is not a folder that a build made", _OTHER_FOLDER)
    foreign = _foreign_files(dist)
    if foreign is None:
        raise _refusal(dist, "It is not a folder that a build made", _OTHER_FOLDER)
    if foreign:
        shown = ", ".join(foreign[:FOREIGN_FILES_SHOWN])
        more = len(foreign) - FOREIGN_FILES_SHOWN
        raise _refusal(
            dist,
            f"It holds what no build wrote: {shown}"
            + (f" and {more} more" if more > 0 else ""),
            f"Move that elsewhere, or {_OTHER_FOLDER[0].lower()}{_OTHER_FOLDER[1:]}",
        )
    # Permission bits too: to root everything is writable, but a folder
    # without them is meant to stay.
    if not (os.access(dist, os.W_OK) and dist.stat().st_mode & WRITE_BITS):
        raise _refusal(
            dist,
            "It is read-only",
            f"Run chmod u+w {dist.name}, or give another folder with --dist.",
        )


def _refusal(dist: Path, what: str, remedy: str) -> Failure:
    return Failure(
        Problem(
            where=f"{dist.name}/",
            what=f"{what}, so it stays as it is.",
            why="A build replaces the whole folder.",
            remedy=remedy,
        ),
        exit_code=ExitCode.UNABLE,
    )


def _busy(dist: Path) -> BusyError:
    return BusyError(
        Problem(
            where=f"{dist.name}/",
            what="Another build is writing it.",
            why="Two builds at once would mix their files.",
            remedy="Wait until the other one ends, then run this again.",
        ),
        exit_code=ExitCode.UNABLE,
    )


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write_manifest(folder: Path, inputs: str, files: Mapping[str, str]) -> None:
    document = {"generator": GENERATOR, "inputs": inputs, "files": files}
    (folder / MANIFEST).write_text(json.dumps(document, indent=1) + "\n")


def _foreign_files(dist: Path) -> list[str] | None:
    """Return the files that no build wrote; None for a folder of other contents."""
    entries = {
        entry.relative_to(dist).as_posix()
        for entry in dist.rglob("*")
        if entry.is_symlink() or not entry.is_dir()
    }
    if not entries:
        return []
    files = _written_files(dist)
    return None if files is None else sorted(entries - files - {MANIFEST})


def _written_files(folder: Path) -> set[str] | None:
    """Return the files in the manifest of a build; None where there is none."""
    try:
        document = json.loads((folder / MANIFEST).read_text())
        is_of_build = document["generator"] == GENERATOR
        return set(document["files"]) if is_of_build else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _recover(dist: Path) -> None:
    """Clean up after a build that was ended between any two of its steps."""
    previous, stage = _beside(dist, "previous"), _beside(dist, "staged")
    for folder in (previous, stage):
        is_empty = folder.is_dir() and not any(folder.iterdir())
        if folder.exists() and not is_empty and _written_files(folder) is None:
            raise _refusal(
                folder, "It is not from a build", f"Move {folder.name} elsewhere."
            )
    if previous.exists():
        if dist.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(dist)
    if stage.exists():
        shutil.rmtree(stage)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals that end a build back for the moment between two renames."""
    waiting = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def _beside(dist: Path, state: str) -> Path:
    return dist.with_name(f".{dist.name}.{state}")

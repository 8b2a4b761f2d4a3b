"""Replace ``dist/`` as a whole, or leave it exactly as it was.

A build is staged in a folder beside ``dist/``, checked there, and exchanged for it
by two renames. A reader of ``dist/`` never sees half a build; after a crash
between the renames, the next build restores the old one.
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

WRITE_BITS = 0o222


class BusyError(Failure):
    """Another process is writing the same folder."""


@contextmanager
def exclusive(dist: Path) -> Iterator[None]:
    """Keep other builds of ``dist`` out; the lock ends with this process."""
    folder = os.open(dist.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                Problem(
                    where=f"{dist.name}/",
                    what="Another build is writing it.",
                    why="Two builds at once would mix their files.",
                    remedy="Wait until the other one ends, then run this again.",
                ),
                exit_code=ExitCode.UNABLE,
            ) from error
        yield
    finally:
        os.close(folder)


@contextmanager
def staged(dist: Path) -> Iterator[Path]:
    """Return a folder to write a build to; it is deleted afterwards in any case."""
    _recover(dist)
    _check_replaceable(dist)
    stage = _beside(dist, "staged")
    try:
        # Inside the try: Ctrl-C may come right after its creation.
        stage.mkdir()
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def exchange(stage: Path, dist: Path) -> None:
    """Put the staged build in the place of ``dist``."""
    previous = _beside(dist, "previous")
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


def write(stage: Path, files: Mapping[str, bytes], inputs: str) -> None:
    """Write a build and its manifest."""
    for path, content in files.items():
        file = stage / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    listed = {path: digest(files[path]) for path in sorted(files)}
    text = json.dumps({"inputs": inputs, "files": listed}, indent=1) + "\n"
    (stage / MANIFEST).write_text(text)


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
    return bool(recorded == {"inputs": inputs, "files": actual})


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


def _check_replaceable(dist: Path) -> None:
    if dist.exists() and not _is_ours(dist):
        raise Failure(
            Problem(
                where=f"{dist.name}/",
                what="It is not a folder that a build made, so nothing was built.",
                why="A build replaces the whole folder.",
                remedy="Give an empty or a new folder with --dist.",
            ),
            exit_code=ExitCode.UNABLE,
        )
    # Permission bits too: to root everything is writable, but a folder
    # without them is meant to stay.
    if dist.exists() and not (
        os.access(dist, os.W_OK) and dist.stat().st_mode & WRITE_BITS
    ):
        raise Failure(
            Problem(
                where=f"{dist.name}/",
                what="It is read-only, so nothing was built.",
                why="A build replaces the whole folder.",
                remedy=f"Run chmod u+w {dist.name}, or give another folder with "
                "--dist.",
            ),
            exit_code=ExitCode.UNABLE,
        )


def _is_ours(dist: Path) -> bool:
    return dist.is_dir() and (
        (dist / MANIFEST).exists()
        or any(dist.glob("*.template.json"))
        or not any(dist.iterdir())
    )


def _recover(dist: Path) -> None:
    """Clean up after a build that was ended between any two of its steps."""
    previous, stage = _beside(dist, "previous"), _beside(dist, "staged")
    if previous.exists():
        if dist.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(dist)
    if stage.exists():
        shutil.rmtree(stage)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and a termination back for the moment between two renames."""
    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)


def _beside(dist: Path, state: str) -> Path:
    return dist.with_name(f".{dist.name}.{state}")

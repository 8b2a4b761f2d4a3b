"""A folder of DAGs as an archive: the same files give the same archive.

What a release cannot hold is refused with its name: symbolic links out of the folder,
names that terminals or other systems cannot show, and more than the bounds of the
contract, which a worker enforces too.
"""

from __future__ import annotations

import difflib
import gzip
import io
import os
import shlex
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cli.errors import Problem, Refused
from fargate_runtime import contract

IGNORED_FOLDERS = frozenset({"__pycache__"})
IGNORED_SUFFIXES = frozenset({".pyc", ".pyo"})
AIRFLOW_IGNORE = ".airflowignore"
"""The one hidden file that Airflow reads."""

MOST_PROBLEMS = 20
"""Problems that one push names; a folder may have thousands."""


@dataclass(frozen=True)
class Archive:
    """A release before it is uploaded."""

    body: bytes
    files: int
    size: int
    """Bytes of its files."""

    @property
    def version(self) -> str:
        """Its name: the SHA-256 of the archive."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two releases."""

    kind: str
    """``added``, ``changed`` or ``removed``."""
    path: str
    added_lines: int = 0
    removed_lines: int = 0


def pack(folder: Path) -> Archive:
    """Return the archive of a folder; raise Refused for what it cannot hold."""
    paths, problems = _checked(folder)
    if problems:
        shown = problems[:MOST_PROBLEMS]
        if rest := len(problems) - len(shown):
            shown.append(
                Problem(where=str(folder), what=f"{rest} more files are refused.")
            )
        raise Refused(*shown)
    body, size = io.BytesIO(), 0
    with (
        # Without a time, so that the same files give the same bytes.
        gzip.GzipFile(fileobj=body, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in paths:
            content = path.read_bytes()
            size += len(content)
            _check_size(folder, size)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return Archive(body.getvalue(), len(paths), size)


def changes(before: bytes, after: bytes) -> list[FileChange]:
    """Return the files that differ between two archives, by path."""
    old, new = _contents(before), _contents(after)
    differences = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            kind = "changed"
            if path not in old:
                kind = "added"
            elif path not in new:
                kind = "removed"
            differences.append(
                FileChange(kind, path, *_lines(old.get(path, b""), new.get(path, b"")))
            )
    return differences


def _contents(archive: bytes) -> dict[str, bytes]:
    if not archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        streams = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: stream.read() for name, stream in streams if stream}


def _lines(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many lines of text were added and removed; none of other files."""
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return 0, 0
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return (
        sum(line.startswith("+") for line in lines),
        sum(line.startswith("-") for line in lines),
    )


def _checked(folder: Path) -> tuple[list[tuple[str, Path]], list[Problem]]:
    """Return the files to pack in their order, and what prevents it."""
    files: list[tuple[str, Path]] = []
    problems: list[Problem] = []
    root = folder.resolve()
    size = 0
    for path in _walk(folder):
        problem = _problem(path, folder, root)
        if problem:
            problems.append(problem)
            continue
        size += path.stat().st_size
        files.append((path.relative_to(folder).as_posix(), path))
        if len(files) > contract.RELEASE_FILES:
            raise Refused(
                Problem(
                    where=str(folder),
                    what=f"It holds more than {contract.RELEASE_FILES:,} files.",
                    why="Each worker unpacks all of them before its first task.",
                    remedy="Push the folder of the DAGs alone: not a repository, a "
                    "virtual environment or data.",
                )
            )
        _check_size(folder, size)
    if not files and not problems:
        problems.append(
            Problem(
                where=str(folder),
                what="It holds no file.",
                why="All DAGs of the bundle would be removed.",
                remedy="Correct the folder. To retire a DAG, push the folder "
                "without its file.",
            )
        )
    return sorted(files), problems


def _check_size(folder: Path, size: int) -> None:
    if size > contract.RELEASE_BYTES:
        raise Refused(
            Problem(
                where=str(folder),
                what=f"Its files have more than {contract.RELEASE_BYTES >> 20} MiB.",
                why="Each worker copies all of them before its first task.",
                remedy="Put data into a bucket of its own and packages into the image; "
                "a DAG reads both when it runs.",
            )
        )


def _walk(folder: Path) -> Iterator[Path]:
    """Yield what a release holds: no hidden files, no compiled ones."""
    for parent, folders, names in os.walk(folder):
        # A link to a folder is listed among the folders, and is checked as a file.
        links = [name for name in folders if Path(parent, name).is_symlink()]
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in IGNORED_FOLDERS
            and name not in links
        )
        for name in sorted([*names, *links]):
            is_hidden = name.startswith(".") and name != AIRFLOW_IGNORE
            if not is_hidden and Path(name).suffix not in IGNORED_SUFFIXES:
                yield Path(parent, name)


def _problem(path: Path, folder: Path, root: Path) -> Problem | None:
    """Return why a release cannot hold a file."""
    name = path.relative_to(folder).as_posix()
    where = f"{folder}/{printable(name)}"
    if printable(name) != name:
        return Problem(
            where=where,
            what="Its name holds a control character or is not UTF-8.",
            why="Logs, the UI and other systems cannot show it.",
            remedy="Rename the file. Spaces, accents and other letters are allowed.",
        )
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError):
        return Problem(
            where=where,
            what="It is a symbolic link that leads nowhere.",
            remedy="Remove it, or correct it.",
        )
    if path.is_symlink() and not target.is_relative_to(root):
        return Problem(
            where=where,
            what=f"It is a symbolic link out of the folder, to {target}.",
            why="The release would hold a file that no reader of the folder sees.",
            remedy="Copy the file into the folder.",
        )
    if not stat.S_ISREG(mode):
        is_link = stat.S_ISDIR(mode)
        return Problem(
            where=where,
            what="It is a link to a folder."
            if is_link
            else "It is a device, a socket or a pipe.",
            why="A release holds regular files only.",
            remedy="Remove it, or put a copy of the files in its place.",
        )
    if not os.access(path, os.R_OK):
        return Problem(
            where=where,
            what="You may not read it.",
            remedy=f"chmod +r {shlex.quote(name)}",
        )
    return None


def printable(name: str) -> str:
    """Return a name with escapes for what a terminal cannot show."""
    return "".join(
        letter
        if letter.isprintable()
        else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in name
    )

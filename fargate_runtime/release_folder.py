"""Releases of DAGs on the disk of a container.

::

    versions/<SHA-256>/   the files of one release; never changed
    current               link to one of them, or to the empty folder
    contents/<SHA-256>    each content once: equal files of versions are hard links
    pointer.json          the version that was current, and when that was asked

A version is unpacked beside the others and renamed when it is complete, so a crash
leaves nothing that could be taken for a release. Methods that change the folder need
the lock of the bundle, which the caller holds.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tarfile
import time
import zlib
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from fargate_runtime import contract

if TYPE_CHECKING:
    from typing import IO

VERSION = re.compile(r"[0-9a-f]{64}")

KEPT_VERSIONS = 3
"""Versions that stay although nothing uses them; more are pruned."""

IDLE_SECONDS = 3600.0
"""A version that was used more recently is not pruned."""

CHUNK = 1 << 20


class ReleaseError(Exception):
    """A pointer or an archive is not what a push writes."""


class ReleaseSource(Protocol):
    """Where releases come from."""

    def pointer(self, known: str) -> tuple[str, bytes] | None:
        """Return mark and content of the pointer, empty if there is none.

        Nothing if its mark is still ``known``.
        """

    def archive(self, version: str, target: Path) -> None:
        """Write the archive of a version to a file."""


class ReleaseFolder:
    """The releases of one bundle."""

    def __init__(self, root: Path, source: ReleaseSource, tracking: Path) -> None:
        """Nothing is created before it is needed.

        ``tracking`` is the folder in which Airflow keeps a locked file for each version
        in use.
        """
        self._root = root
        self._source = source
        self._tracking = tracking
        self._contents = root / "contents"
        self._pointer = root / "pointer.json"
        self.current = root / "current"

    def path(self, version: str) -> Path:
        """Return the folder of a version, which may not be there."""
        return self._root / "versions" / version

    def has(self, version: str) -> bool:
        """Whether a version is there; if so, it counts as used now."""
        try:
            os.utime(self.path(version))
        except FileNotFoundError:
            return False
        return True

    def current_version(self) -> str | None:
        """Return the version that ``current`` leads to; none before the first push."""
        try:
            name = self.current.readlink().name
        except OSError:
            return None
        return name if VERSION.fullmatch(name) else None

    def is_fresh(self, seconds: float) -> bool:
        """Whether the pointer was read within so many seconds."""
        try:
            age = time.time() - self._pointer.stat().st_mtime
        except FileNotFoundError:
            return False
        return 0 <= age < seconds and self.current.exists()

    def follow(self) -> None:
        """Bring ``current`` to the version that the pointer names.

        Raises ReleaseError, or what the source raises; everything is then as before.
        """
        mark = self._known_mark() if self.current.exists() else ""
        answer = self._source.pointer(mark)
        if answer is None:
            os.utime(self._pointer)
            return
        mark, content = answer
        version = current_of(content) if content else None
        if version:
            self.add(version)
        elif self.current_version():
            raise ReleaseError("the pointer is gone; push or roll back to restore it")
        self._switch(version)
        new = self._root / "pointer.new"
        new.write_text(json.dumps({"mark": mark}))
        new.replace(self._pointer)

    def add(self, version: str) -> None:
        """Fetch and unpack a version, unless it is there; prune old ones."""
        if self.has(version):
            return
        if not VERSION.fullmatch(version):
            raise ReleaseError(f"{version!r} is no version of a DAG release")
        unpacking = self._root / "unpacking"
        shutil.rmtree(unpacking, ignore_errors=True)
        unpacking.mkdir(parents=True)
        self._contents.mkdir(exist_ok=True)
        try:
            archive = unpacking / "archive"
            self._source.archive(version, archive)
            check_digest(archive, version)
            unpack(archive, unpacking / "files", self._contents)
            self.path(version).parent.mkdir(exist_ok=True)
            (unpacking / "files").rename(self.path(version))
        finally:
            shutil.rmtree(unpacking, ignore_errors=True)
        self._prune(version)

    def _known_mark(self) -> str:
        try:
            return str(json.loads(self._pointer.read_text())["mark"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def _switch(self, version: str | None) -> None:
        before = self.current_version()
        if version and before and version != before:
            self._touch_changed(self.path(before), self.path(version))
        (self._root / "empty").mkdir(parents=True, exist_ok=True)
        new = self._root / "current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(f"versions/{version}" if version else "empty")
        new.replace(self.current)

    def _touch_changed(self, before: Path, after: Path) -> None:
        """Let the DAG processor parse at once what differs, as after a rollback.

        It parses a file early only if the file is younger than its last parse.
        """
        for path in after.rglob("*.py"):
            try:
                is_same = path.samefile(before / path.relative_to(after))
            except OSError:
                is_same = False
            if not is_same:
                os.utime(path)

    def _prune(self, new: str) -> None:
        """Remove idle versions beyond ``KEPT_VERSIONS``, and contents without one."""
        protected = {new, self.current_version()}
        idle = [
            path
            for path in (self._root / "versions").iterdir()
            if path.name not in protected
        ]
        idle.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in idle[KEPT_VERSIONS:]:
            if time.time() - path.stat().st_mtime > IDLE_SECONDS:
                self._remove(path)
        for content in self._contents.iterdir():
            if content.stat().st_nlink == 1:
                content.unlink()

    def _remove(self, path: Path) -> None:
        """Remove a version unless a task holds Airflow's lock on it."""
        lock = self._tracking / path.name
        try:
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
                lock.unlink()
        except FileNotFoundError:
            shutil.rmtree(path)
        except BlockingIOError:
            return


def current_of(pointer: bytes) -> str:
    """Return the version that a pointer names."""
    try:
        document = json.loads(pointer)
        number, version = document["format"], document["current"]
    except (ValueError, LookupError, TypeError) as error:
        raise ReleaseError(f"the pointer is unreadable: {error}") from error
    if not isinstance(number, int) or number > contract.RELEASE_FORMAT:
        raise ReleaseError(
            f"the pointer has format {number!r}; these containers read up to "
            f"{contract.RELEASE_FORMAT}. Update the stack, or push with the older "
            "build.py"
        )
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ReleaseError(f"the pointer names {version!r}, which is no version")
    return version


def check_digest(archive: Path, version: str) -> None:
    """Raise ReleaseError unless a version is the SHA-256 of its archive."""
    digest = sha256()
    with archive.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != version:
        raise ReleaseError(f"archive {version} has SHA-256 {digest.hexdigest()}")


def unpack(archive: Path, target: Path, contents: Path) -> None:
    """Unpack an archive into a new folder; equal contents become hard links.

    Raises ReleaseError for anything but regular files at plain relative paths, for
    damage, and beyond the bounds of the contract.
    """
    target.mkdir()
    files = size = 0
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                files, size = files + 1, size + member.size
                if files > contract.RELEASE_FILES or size > contract.RELEASE_BYTES:
                    raise ReleaseError(
                        f"the archive holds more than {contract.RELEASE_FILES} files "
                        f"or {contract.RELEASE_BYTES} bytes"
                    )
                path = target / _checked(member)
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = members.extractfile(member)
                if stream is None:
                    raise ReleaseError(f"{member.name!r} has no content")
                _link(stream, path, contents)
    except (tarfile.TarError, EOFError, zlib.error, FileExistsError) as error:
        raise ReleaseError(f"the archive is damaged: {error}") from error


def _checked(member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if (
        not member.isreg()
        or path.is_absolute()
        or not path.parts
        or ".." in path.parts
        or "\0" in member.name
    ):
        raise ReleaseError(f"{member.name!r} is no regular file inside the folder")
    return path


def _link(stream: IO[bytes], path: Path, contents: Path) -> None:
    """Store a content once, and link a path to it."""
    digest, new = sha256(), contents / "new"
    new.unlink(missing_ok=True)
    with new.open("xb") as file:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    content = contents / digest.hexdigest()
    if content.exists():
        new.unlink()
    else:
        # Shared by versions: a task that could write it would change all of them.
        new.chmod(0o444)
        new.rename(content)
    path.hardlink_to(content)

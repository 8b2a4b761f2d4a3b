"""Releases of DAGs on disk: switching, sharing, pruning, and archives to refuse."""

from __future__ import annotations

import fcntl
import io
import json
import os
import tarfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from fargate_runtime import contract, release_folder
from fargate_runtime.release_folder import ReleaseError, ReleaseFolder


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return body.getvalue()


def release_of(files: Mapping[str, str]) -> bytes:
    return archive_of(
        *((tarfile.TarInfo(name), text.encode()) for name, text in files.items())
    )


class Source:
    """A bucket that counts its requests."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}
        self.content = b""
        self.requests: list[str] = []

    def push(self, files: Mapping[str, str]) -> str:
        body = release_of(files)
        version = sha256(body).hexdigest()
        self.archives[version] = body
        self.point(version)
        return version

    def point(self, version: str) -> None:
        self.content = json.dumps(
            {"format": contract.RELEASE_FORMAT, "current": version}
        ).encode()

    def pointer(self, known: str) -> tuple[str, bytes] | None:
        self.requests.append("pointer")
        mark = sha256(self.content).hexdigest()
        return None if mark == known else (mark, self.content)

    def archive(self, version: str, target: Path) -> None:
        self.requests.append(version)
        target.write_bytes(self.archives[version])


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def folder(tmp_path: Path, source: Source) -> ReleaseFolder:
    return ReleaseFolder(tmp_path / "dags", source, tmp_path / "_tracking")


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_bundle_without_a_release_is_an_empty_folder(folder: ReleaseFolder) -> None:
    folder.follow()
    assert folder.current_version() is None
    assert list(folder.current.iterdir()) == []


def test_an_older_version_stays_when_a_new_one_becomes_current(
    folder: ReleaseFolder, source: Source
) -> None:
    first = source.push({"a.py": "1", "lib/b.py": "1"})
    folder.follow()
    second = source.push({"a.py": "2", "lib/b.py": "1"})
    folder.follow()
    assert folder.current_version() == second
    assert texts(folder.current) == {"a.py": "2", "lib/b.py": "1"}
    assert texts(folder.path(first)) == {"a.py": "1", "lib/b.py": "1"}


def test_unchanged_files_are_one_file_on_disk(
    folder: ReleaseFolder, source: Source
) -> None:
    first, second = (
        folder.path(source.push({"a.py": text, "b.py": "same"})) for text in "12"
    )
    for version in (first, second):
        folder.add(version.name)
    assert (first / "b.py").samefile(second / "b.py")
    assert not (first / "a.py").samefile(second / "a.py")
    assert not (first / "b.py").stat().st_mode & 0o222


def test_version_on_disk_causes_no_request(
    folder: ReleaseFolder, source: Source
) -> None:
    version = source.push({"a.py": "1"})
    folder.follow()
    source.requests.clear()
    folder.add(version)
    assert folder.is_fresh(60)
    assert source.requests == []
    folder.follow()
    assert source.requests == ["pointer"]


def test_changed_files_of_a_rollback_are_parsed_at_once(
    folder: ReleaseFolder, source: Source
) -> None:
    first = source.push({"a.py": "1", "b.py": "same"})
    folder.follow()
    source.push({"a.py": "2", "b.py": "same"})
    folder.follow()
    for path in folder.path(first).iterdir():
        os.utime(path, (1, 1))
    source.point(first)
    folder.follow()
    assert (folder.current / "a.py").stat().st_mtime > 1
    assert (folder.current / "b.py").stat().st_mtime == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "unreadable"),
        (b"[]", "unreadable"),
        (b'{"format": 99, "current": "0"}', "format 99"),
        (b'{"format": 1, "current": "../x"}', "no version"),
        (b"", "gone"),
    ],
)
def test_bad_pointer_keeps_the_last_version(
    folder: ReleaseFolder, source: Source, content: bytes, reason: str
) -> None:
    version = source.push({"a.py": "1"})
    folder.follow()
    source.content = content
    with pytest.raises(ReleaseError, match=reason):
        folder.follow()
    assert folder.current_version() == version


def link(name: str, kind: bytes, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


@pytest.mark.parametrize(
    "body",
    [
        b"no archive",
        release_of({"a.py": "1" * 500})[:-20],
        release_of({"../a.py": "1"}),
        release_of({"/a.py": "1"}),
        archive_of(link("a.py", tarfile.SYMTYPE, "/etc/passwd")),
        archive_of(link("a.py", tarfile.LNKTYPE, "../b.py")),
        archive_of(link("a", tarfile.DIRTYPE, "")),
        archive_of(link("a", tarfile.CHRTYPE, "")),
        release_of({"a": "1", "a/b.py": "1"}),
    ],
    ids=(
        *("no archive", "truncated", "parent folder", "absolute", "symbolic link"),
        *("hard link", "folder", "device", "file and folder"),
    ),
)
def test_bad_archive_changes_nothing(
    folder: ReleaseFolder, source: Source, tmp_path: Path, body: bytes
) -> None:
    version = source.push({"a.py": "1"})
    folder.follow()
    before = sorted(tmp_path.rglob("*"))
    bad = sha256(body).hexdigest()
    source.archives[bad] = body
    source.point(bad)
    with pytest.raises((ReleaseError, OSError)):
        folder.follow()
    assert folder.current_version() == version
    after = {path for path in tmp_path.rglob("*") if path.parent.name != "contents"}
    assert after <= set(before)


def test_archive_with_another_digest_is_refused(
    folder: ReleaseFolder, source: Source
) -> None:
    version = source.push({"a.py": "1"})
    source.archives[version] = release_of({"a.py": "2"})
    with pytest.raises(ReleaseError, match="has SHA-256"):
        folder.follow()


def test_archive_beyond_the_bounds_is_refused(
    folder: ReleaseFolder, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = source.push({"a.py": "1", "b.py": "1"})
    for bound in ("RELEASE_FILES", "RELEASE_BYTES"):
        with monkeypatch.context() as changed:
            changed.setattr(contract, bound, 1)
            with pytest.raises(ReleaseError, match="more than"):
                folder.add(version)


def test_idle_versions_are_pruned_unless_a_task_uses_them(
    folder: ReleaseFolder, source: Source, tmp_path: Path
) -> None:
    old = time.time() - release_folder.IDLE_SECONDS - 100
    versions = [source.push({"a.py": str(number)}) for number in range(6)]
    for version in versions:
        folder.add(version)
    for age, version in enumerate(versions):
        os.utime(folder.path(version), (old + age, old + age))
    (tmp_path / "_tracking").mkdir()
    (tmp_path / "_tracking" / versions[0]).touch()
    with (tmp_path / "_tracking" / versions[0]).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        new = source.push({"a.py": "new"})
        folder.add(new)
    left = [version for version in versions if folder.path(version).exists()]
    assert left == [versions[0], *versions[-release_folder.KEPT_VERSIONS :]]
    contents = [path.read_text() for path in (tmp_path / "dags/contents").iterdir()]
    assert sorted(contents) == ["0", "3", "4", "5", "new"]

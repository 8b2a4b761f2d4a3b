"""A folder of DAGs as an archive: what it holds, and what is refused."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.errors import Refused
from deploy.release_archive import FileChange, changes, pack
from fargate_runtime import contract


def folder_of(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(body: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        return tar.getnames()


def test_same_files_give_the_same_version(tmp_path: Path) -> None:
    files = {"a.py": "1", "lib/b.py": "2"}
    first = pack(folder_of(tmp_path / "one", files))
    second = pack(folder_of(tmp_path / "two", files))
    assert first.version == second.version
    assert (first.files, first.size) == (2, 2)


def test_hidden_and_compiled_files_stay_behind(tmp_path: Path) -> None:
    files = dict.fromkeys(
        (
            *(".airflowignore", "a.py", "a.pyc", ".env", ".git/config"),
            *("__pycache__/a.py", "lib/.airflowignore", "lib/__pycache__/b.pyc"),
        ),
        "x",
    )
    body = pack(folder_of(tmp_path, files)).body
    assert names(body) == [".airflowignore", "a.py", "lib/.airflowignore"]


def test_names_of_every_letter_are_kept(tmp_path: Path) -> None:
    odd = [
        "with space.py",
        "ünïcödé.py",
        "quote'\".py",
        "$(x);&|.py",
        "\\n.py",
        "-r.py",
    ]
    body = pack(folder_of(tmp_path, dict.fromkeys(odd, "x"))).body
    assert names(body) == sorted(odd)


def test_link_inside_the_folder_becomes_a_file(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.py": "text"})
    (tmp_path / "b.py").symlink_to("a.py")
    with tarfile.open(fileobj=io.BytesIO(pack(tmp_path).body), mode="r:gz") as tar:
        assert [member.isreg() for member in tar] == [True, True]


def link_out(folder: Path) -> None:
    (folder / "link.py").symlink_to("/etc/hostname")


def link_to_folder(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")


def broken_link(folder: Path) -> None:
    (folder / "link.py").symlink_to("nothing")


def link_to_itself(folder: Path) -> None:
    (folder / "link.py").symlink_to("link.py")


def control_character(folder: Path) -> None:
    (folder / "a\n\x1b[31m.py").touch()


def not_utf8(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.py")).touch()


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("make", "where", "what"),
    [
        (link_out, "link.py", "out of the folder"),
        (link_to_folder, "link", "link to a folder"),
        (broken_link, "link.py", "leads nowhere"),
        (link_to_itself, "link.py", "leads nowhere"),
        (control_character, "a\\n\\x1b[31m.py", "control character"),
        (not_utf8, "\\udcff.py", "not UTF-8"),
        (pipe, "pipe", "a pipe"),
    ],
)
def test_what_no_release_holds_is_refused_by_name(
    tmp_path: Path, make: object, where: str, what: str
) -> None:
    folder_of(tmp_path, {"a.py": "1"})
    assert callable(make)
    make(tmp_path)
    with pytest.raises(Refused) as caught:
        pack(tmp_path)
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path}/{where}"
    assert what in problem.what
    assert problem.remedy


def test_many_problems_are_counted(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.py").symlink_to("/etc/hostname")
    with pytest.raises(Refused) as caught:
        pack(tmp_path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1].what == "10 more files are refused."


@pytest.mark.parametrize(
    ("bound", "what"),
    [("RELEASE_FILES", "more than 1 files"), ("RELEASE_BYTES", "more than 0 MiB")],
)
def test_folder_beyond_the_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, what: str
) -> None:
    monkeypatch.setattr(contract, bound, 1)
    with pytest.raises(Refused, match=what):
        pack(folder_of(tmp_path, {"a.py": "1", "b.py": "1"}))


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no file"):
        pack(tmp_path)


def test_changes_name_files_and_count_lines(tmp_path: Path) -> None:
    old = {"a.py": "1\n2\n", "b.py": "1", "c": "x"}
    new = {"a.py": "1\n3\n4\n", "c": "x", "d": "\x00"}
    before = pack(folder_of(tmp_path / "old", old))
    after = pack(folder_of(tmp_path / "new", new))
    assert changes(before.body, after.body) == [
        FileChange("changed", "a.py", 2, 1),
        FileChange("removed", "b.py", 0, 1),
        FileChange("added", "d", 1, 0),
    ]

"""dist/ is swapped in whole, or stays exactly as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli.errors import ExitCode, Failure
from compiler import output

OLD = {"a.template.json": b"old", "gone.template.json": b"old"}
NEW = {"a.template.json": b"new", "assets/runtime.zip": b"zip"}


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    build(folder, OLD)
    return folder


def build(dist: Path, files: dict[str, bytes], inputs: str = "inputs") -> None:
    with output.staged(dist) as stage:
        output.write(stage, files, inputs)
        output.exchange(stage, dist)


def content(dist: Path) -> dict[str, bytes]:
    return {
        file.relative_to(dist).as_posix(): file.read_bytes()
        for file in dist.rglob("*")
        if file.is_file() and file.name != output.MANIFEST
    }


def beside(dist: Path) -> set[str]:
    return {path.name for path in dist.parent.iterdir()}


def test_new_build_takes_the_place_of_the_old_one_whole(dist: Path) -> None:
    build(dist, NEW)
    assert content(dist) == NEW
    assert beside(dist) == {"dist"}


def test_manifest_names_every_file_with_its_digest(dist: Path) -> None:
    build(dist, NEW)
    manifest = json.loads((dist / output.MANIFEST).read_text())
    assert manifest["files"] == {
        path: output.digest(content) for path, content in NEW.items()
    }


def test_build_that_fails_leaves_everything_as_it_was(dist: Path) -> None:
    broken: dict[str, bytes] = {**NEW, "a.template.json/b": b"no folder is called so"}
    with pytest.raises(FileExistsError):
        build(dist, broken)
    assert content(dist) == OLD
    assert beside(dist) == {"dist"}


def test_failed_rename_restores_the_old_build(dist: Path) -> None:
    with pytest.raises(FileNotFoundError):
        output.exchange(dist.with_name("was never staged"), dist)
    assert content(dist) == OLD
    assert beside(dist) == {"dist"}


def test_next_build_recovers_from_a_crash_between_the_renames(dist: Path) -> None:
    stage = dist.with_name(".dist.staged")
    stage.mkdir()
    output.write(stage, NEW, "inputs")
    dist.rename(dist.with_name(".dist.previous"))

    with output.staged(dist):
        assert content(dist) == OLD
    assert beside(dist) == {"dist"}


def test_crash_after_the_renames_keeps_the_new_build(dist: Path) -> None:
    shutil.copytree(dist, dist.with_name(".dist.previous"))
    build(dist, NEW)
    with output.staged(dist):
        assert content(dist) == NEW
    assert beside(dist) == {"dist"}


def test_two_builds_at_once_are_refused(dist: Path) -> None:
    with (
        output.exclusive(dist),
        pytest.raises(Failure, match="Another build is writing it") as refused,
        output.exclusive(dist),
    ):
        pass
    assert refused.value.exit_code is ExitCode.UNABLE
    with output.exclusive(dist), output.exclusive(dist.with_name("other")):
        pass
    assert beside(dist) == {"dist"}


def test_read_only_dist_is_refused_and_kept(dist: Path) -> None:
    dist.chmod(0o555)
    with pytest.raises(Failure, match="read-only") as refused, output.staged(dist):
        pass
    dist.chmod(0o755)
    assert refused.value.exit_code is ExitCode.UNABLE
    assert content(dist) == OLD


@pytest.mark.parametrize(
    "name", ["letter.txt", "manifest.json", "x.template.json", ".hidden/letter.txt"]
)
@pytest.mark.parametrize("text", ['{"name": "a web page"}', '{"files": {}}', "[]"])
def test_folder_of_no_build_is_never_replaced(
    name: str, text: str, tmp_path: Path
) -> None:
    # `--dist ~` would have replaced the home folder; any web page has a manifest.json.
    home = tmp_path / "home"
    (home / name).parent.mkdir(parents=True)
    (home / name).write_text(text)
    with pytest.raises(Failure, match="not a folder that a build made"):
        build(home, NEW)
    assert (home / name).read_text() == text


def test_file_that_no_build_wrote_is_never_deleted(dist: Path) -> None:
    (dist / "notes.txt").write_text("mine")
    (dist / "link").symlink_to(dist.parent)
    with pytest.raises(Failure, match=r"no build wrote: link, notes.txt"):
        build(dist, NEW)
    assert (dist / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("state", ["staged", "previous"])
def test_folder_beside_dist_that_is_from_no_build_is_kept(
    state: str, dist: Path
) -> None:
    folder = dist.with_name(f".dist.{state}")
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(Failure, match="not from a build"):
        build(dist, NEW)
    assert (folder / "letter.txt").read_text() == "dear"


def test_removal_spares_what_no_build_wrote(dist: Path) -> None:
    """`make clean` deleted a dist/ of any origin."""
    (dist / "notes.txt").write_text("mine")
    with pytest.raises(Failure, match="no build wrote"):
        output.remove(dist)
    assert content(dist) == {**OLD, "notes.txt": b"mine"}
    (dist / "notes.txt").unlink()
    output.remove(dist)
    assert beside(dist) == set()
    output.remove(dist)


def test_symlink_loop_and_root_are_refused(tmp_path: Path) -> None:
    loop = tmp_path / "dist"
    loop.symlink_to(loop)
    for folder in (loop, Path("/")):
        with pytest.raises(Failure, match="it stays as it is"):
            output.destination(folder)


def test_unchanged_build_is_recognised(dist: Path) -> None:
    assert output.is_made_from(dist, "inputs")
    assert not output.is_made_from(dist, "other inputs")


@pytest.mark.parametrize(
    "tamper",
    [
        lambda dist: (dist / "a.template.json").write_bytes(b"edited"),
        lambda dist: (dist / "a.template.json").unlink(),
        lambda dist: (dist / "more.template.json").write_bytes(b"x"),
        lambda dist: (dist / output.MANIFEST).unlink(),
        lambda dist: (dist / output.MANIFEST).write_text("{"),
        shutil.rmtree,
    ],
    ids=["edited", "deleted", "added", "no manifest", "torn manifest", "no dist"],
)
def test_tampered_dist_is_no_unchanged_build(dist: Path, tamper: object) -> None:
    assert callable(tamper)
    tamper(dist)
    assert not output.is_made_from(dist, "inputs")


def test_inputs_are_names_and_contents_without_the_location(
    tmp_path: Path,
) -> None:
    digests = set()
    for name in ("here", "there"):
        root = tmp_path / name
        root.mkdir()
        (root / "a.py").write_text("a")
        (root / "b.py").write_text("b")
        digests.add(output.inputs_digest(root, [root / "a.py", root / "b.py"]))
    assert len(digests) == 1

    (root / "b.py").rename(root / "c.py")
    digests.add(output.inputs_digest(root, [root / "a.py", root / "c.py"]))
    (root / "c.py").write_text("c")
    digests.add(output.inputs_digest(root, [root / "a.py", root / "c.py"]))
    assert len(digests) == 3

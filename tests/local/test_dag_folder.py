"""The DAG folder of a local environment is copied as its files change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from local.dag_folder import DagFolder, dag_files


class FakeBucket:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"]

    def delete_object(self, **request: Any) -> None:
        del self.objects[request["Key"]]


def test_changes_are_copied_once_and_removals_deleted(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("old")
    folder, bucket, messages = DagFolder(tmp_path), FakeBucket(), list[str]()

    def look() -> dict[str, bytes]:
        folder.copy_changes(bucket, "dags", messages.append)
        return dict(bucket.objects)

    assert look() == {}
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "dag.py").write_text("new")
    assert look() == {"new/dag.py": b"new"}
    (tmp_path / "new" / "dag.py").write_text("changed")
    os.utime(tmp_path / "new" / "dag.py", (1, 1))
    assert look() == {"new/dag.py": b"changed"}
    (tmp_path / "new" / "dag.py").unlink()
    assert look() == {}
    assert len(messages) == 3


def test_removed_folder_is_told_once_and_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    folder, messages = DagFolder(tmp_path / "dags"), list[str]()
    (tmp_path / "dags").rmdir()
    for _ in range(2):
        folder.copy_changes(FakeBucket(), "dags", messages.append)
    assert len(messages) == 1
    assert "There is no folder" in messages[0]


def test_caches_and_hidden_files_are_no_dags(tmp_path: Path) -> None:
    for name in (".git/config", "__pycache__/a.pyc", "a/dag.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [key for key, _ in dag_files(tmp_path)] == ["a/dag.py"]

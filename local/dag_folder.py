"""A folder of DAG files that is copied to the bucket whenever a file changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

SECONDS = 2.0
"""Time between two looks at the folder."""

DEFAULT = "dags"
"""Folder of a project with the DAG files of its environments."""


def dag_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the key in the bucket and the path of every file that Airflow may need."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not is_hidden and "__pycache__" not in relative.parts:
            yield relative.as_posix(), path


class DagFolder:
    """Copies each file that was added or changed, and deletes what was removed."""

    def __init__(self, folder: Path) -> None:
        """Take the present files as copied."""
        self.folder = folder
        self._copied = self._versions()
        self._problem = ""

    def copy_changes(
        self, s3: Any, bucket: str, tell: Callable[[str], None]
    ) -> list[Path]:
        """Bring the bucket up to date, and return the files that were copied.

        Says what was copied, or why it was not, once.
        """
        copied: list[Path] = []
        try:
            self._copy_changes(s3, bucket, tell, copied)
            self._problem = ""
        except (OSError, BotoCoreError, ClientError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                tell(f"DAGs are not copied: {error}")
        return copied

    def _copy_changes(
        self, s3: Any, bucket: str, tell: Callable[[str], None], copied: list[Path]
    ) -> None:
        if not self.folder.is_dir():
            raise FileNotFoundError(f"There is no folder {self.folder} any more.")
        versions = self._versions()
        for key, version in versions.items():
            if self._copied.get(key) != version:
                s3.put_object(
                    Bucket=bucket, Key=key, Body=(self.folder / key).read_bytes()
                )
                self._copied[key] = version
                tell(f"Copied {key} to the DAG bucket.")
                copied.append(self.folder / key)
        for key in self._copied.keys() - versions.keys():
            s3.delete_object(Bucket=bucket, Key=key)
            del self._copied[key]
            tell(f"Deleted {key} from the DAG bucket.")

    def _versions(self) -> dict[str, tuple[int, int]]:
        versions = {}
        for key, path in dag_files(self.folder):
            stat = path.stat()
            versions[key] = (stat.st_mtime_ns, stat.st_size)
        return versions

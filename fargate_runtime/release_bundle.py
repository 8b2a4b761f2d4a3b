"""Airflow's view of DAG releases: a bundle with versions, from S3.

A version is an archive that never changes, so a worker that has it asks S3 nothing when
a task starts. The DAG processor asks for the pointer, with the mark of the last answer.

Airflow logs what ``initialize`` and ``refresh`` raise, tries again, and goes on with
the other bundles; the last good version stays.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles.base import (
    BaseDagBundle,
    BundleVersion,
    get_bundle_tracking_dir,
)

from fargate_runtime import contract
from fargate_runtime.release_folder import ReleaseError, ReleaseFolder

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

NOT_MODIFIED, MISSING = "304", "NoSuchKey"

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 4
"""Of each request to S3. Some two minutes, then the refresh has failed."""


class ReleaseBundle(BaseDagBundle):  # type: ignore[misc]  # Airflow is not installed here
    """DAGs that ``build.py dags push`` released."""

    supports_versioning = True

    def __init__(self, *, bucket_name: str, prefix: str, **settings: Any) -> None:
        """Refer to the releases below a prefix of a bucket; ask S3 nothing yet."""
        super().__init__(**settings)
        self._releases = ReleaseFolder(
            self.base_dir,
            S3Releases(bucket_name, prefix),
            get_bundle_tracking_dir(self.name),
        )

    @property
    def path(self) -> Path:
        """Folder of the DAG files: of the version, or of the current one."""
        if self.version:
            return self._releases.path(self.version)
        return self._releases.current

    def initialize(self) -> None:
        """Have the files on disk; raise if there are none to be had."""
        if self.version:
            self._have(self.version)
        elif not self._releases.is_fresh(self.refresh_interval):
            self._follow_or_keep()
        super().initialize()

    def refresh(self) -> None:
        """Follow the pointer; raise, and keep the files, if that fails."""
        if self.version:
            raise ReleaseError(f"version {self.version} of {self.name} never changes")
        with self.lock():
            self._releases.follow()

    def get_current_version(self) -> BundleVersion | None:
        """Return the version of the files on disk; asks S3 nothing, raises nothing."""
        version = self.version or self._releases.current_version()
        return BundleVersion(version=version) if version else None

    def _have(self, version: str) -> None:
        if self._releases.has(version):
            return
        with self.lock():
            self._releases.add(version)

    def _follow_or_keep(self) -> None:
        """Follow the pointer; if that fails, keep the last good version, if any."""
        with self.lock():
            try:
                self._releases.follow()
            except Exception:
                if not self._releases.current_version():
                    raise
                log.exception("Error refreshing bundle %s", self.name)


class S3Releases:
    """Pointer and archives of one bundle in the release bucket."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Refer to them; boto3 is imported when they are asked for."""
        self._bucket = bucket
        self._prefix = prefix

    def pointer(self, known: str) -> tuple[str, bytes] | None:
        """Return mark and content of the pointer, empty if there is none."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - half a second

        condition = {"IfNoneMatch": known} if known else {}
        key = f"{self._prefix}/{contract.RELEASE_POINTER}"
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, **condition)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == NOT_MODIFIED:
                return None
            if code == MISSING:
                return "", b""
            raise
        return answer["ETag"], answer["Body"].read()

    def archive(self, version: str, target: Path) -> None:
        """Write the archive of a version to a file."""
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - as above

        key = f"{self._prefix}/{contract.RELEASE_ARCHIVES}/{version}.tar.gz"
        # Its threads would be started in the process of a task.
        config = TransferConfig(use_threads=False)
        self._s3.download_file(self._bucket, key, str(target), Config=config)

    @cached_property
    def _s3(self) -> Any:
        import boto3  # noqa: PLC0415 - a task whose version is there needs none
        from botocore.config import Config  # noqa: PLC0415 - as above

        return boto3.client(
            "s3",
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            ),
        )

"""What can be asked of a running stage from outside, as an administrator would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from deploy import stacks
from deploy.aws import Aws
from local import stores
from local.ecs import EcsAgent
from local.emulator.process import SECRET_ACCESS_KEY
from local.errors import LocalEnvironmentError

REGION = "eu-central-1"
HTTPS, HTTP = 443, 80


class Reach:
    """Addresses, clients, outputs and secrets of one stack that runs here."""

    agent: EcsAgent
    _aws: Aws
    _stack_name: str

    @property
    def url(self) -> str:
        """Address of the public listener: HTTPS where there is one."""
        doors = self.agent.listener_urls()
        return doors.get(HTTPS) or doors[HTTP]

    def client(self, service: str) -> Any:
        """Return a client of boto3, with every right, as an administrator has."""
        return boto3.client(
            service,
            endpoint_url=self.agent.url,
            region_name=REGION,
            aws_access_key_id=self.agent.settings.account,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    @property
    def outputs(self) -> Mapping[str, str]:
        """What the parent gives, by name."""
        return stacks.existing(self._aws, self._stack_name).outputs

    @property
    def admin(self) -> tuple[str, str]:
        """User and password of the first administrator."""
        words = self.outputs["AdminLoginCommand"].split()
        arn = words[words.index("--secret-id") + 1]
        held = self.secret(arn.rpartition(":")[2].rpartition("-")[0])
        return held["username"], held["password"]

    def secret(self, words: str) -> dict[str, str]:
        """Return a secret by a part of its name or its description.

        Raises LocalEnvironmentError when none has these words.
        """
        found = stores.login(self.client("secretsmanager"), words)
        if found is None:
            raise LocalEnvironmentError(
                f"No secret has {words} in its name or description."
            )
        return found

    def put_dags(self, folder: Path) -> None:
        """Upload every file of a folder to where DAGs are read."""
        bucket, store = self.outputs["DagBucketName"], self.client("s3")
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                key = file.relative_to(folder).as_posix()
                store.upload_file(str(file), bucket, key)

"""Client of a local environment: addresses, AWS clients, outputs and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

from deploy import stacks
from deploy.aws import Aws
from local import stores
from local.dag_folder import dag_files
from local.ecs import EcsAgent
from local.emulator.process import SECRET_ACCESS_KEY
from local.errors import LocalEnvironmentError

REGION = "eu-central-1"
HTTPS, HTTP = 443, 80
TEXT = "SecretString"


class EnvironmentClient:
    """What an administrator can reach of a stack that runs here."""

    folder: Path
    agent: EcsAgent
    aws: Aws
    stack_name: str

    relay = None
    """This machine reaches the listener."""

    @property
    def url(self) -> str:
        """Address of the public listener: HTTPS where there is one."""
        urls = self.agent.listener_urls()
        return urls.get(HTTPS) or urls[HTTP]

    @property
    def ca_path(self) -> Path:
        """The certificate authority of this environment alone."""
        return self.folder / "ca" / "ca.pem"

    @property
    def logs_folder(self) -> Path:
        """The folder of all container logs."""
        return self.agent.settings.folder / "logs"

    def logs(self, *components: str) -> str:
        """Return a sentence that names the logs of components, as a remedy."""
        paths = sorted(
            str(path)
            for component in components
            for path in self.logs_folder.glob(f"{component}-*.log")
        )
        return f"Read {', '.join(paths or [str(self.logs_folder)])}."

    def client(self, service: str) -> Any:
        """Return a client of boto3 with an administrator's permissions."""
        return boto3.client(
            service,
            endpoint_url=self.agent.url,
            region_name=REGION,
            aws_access_key_id=self.agent.settings.account,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )

    @property
    def outputs(self) -> Mapping[str, str]:
        """Outputs of the parent stack, by name."""
        return stacks.existing(self.aws, self.stack_name).outputs

    @property
    def admin_secret_arn(self) -> str:
        """The secret with the login of the first administrator."""
        words = self.outputs["AdminLoginCommand"].split()
        return words[words.index("--secret-id") + 1]

    @property
    def admin(self) -> tuple[str, str]:
        """User and password of the first administrator."""
        name = self.admin_secret_arn.rpartition(":")[2].rpartition("-")[0]
        login = self.secret(name)
        return login["username"], login["password"]

    def secret(self, words: str) -> dict[str, str]:
        """Return a secret by a part of its name or its description.

        Raises LocalEnvironmentError when none has these words.
        """
        secret = stores.login(self.client("secretsmanager"), words)
        if secret is None:
            raise LocalEnvironmentError(
                f"No secret has {words} in its name or description."
            )
        return secret

    def all_secrets(self) -> dict[str, str]:
        """Return the text of every secret of the stack, by name."""
        client = self.client("secretsmanager")
        pages = client.get_paginator("list_secrets").paginate()
        return {
            entry["Name"]: client.get_secret_value(SecretId=entry["ARN"])[
                "SecretString"
            ]
            for page in pages
            for entry in page["SecretList"]
        }

    def put_dags(self, folder: Path) -> None:
        """Upload every file of a folder to the DAG bucket."""
        bucket, s3 = self.outputs["DagBucketName"], self.client("s3")
        for key, path in dag_files(folder):
            s3.upload_file(str(path), bucket, key)

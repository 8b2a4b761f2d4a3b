"""A launched environment, reached by the APIs of AWS and its load balancer.

The same class serves an environment on AWS and one that ``build.py local`` runs, whose
AWS endpoint answers the same calls.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from acceptance.check import CheckFailed
from acceptance.environment import Relay
from cli.errors import Denied, Problem, Refused
from deploy import ecs, inventory, stacks
from deploy.aws import Aws
from deploy.inventory import StackResource
from deploy.stacks import StackSummary

COMPLETE = frozenset(
    {
        *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"),
        *("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE"),
    }
)
"""Of a stack whose resources are all there."""

CANARY = "airflow-verify/"
"""Prefix in the DAG bucket of the files that ``verify`` uploads and removes."""

CONNECT_SECONDS = 3.0
HTTPS, HTTP = 443, 80


@dataclass(eq=False)
class AwsEnvironment:
    """An environment whose stack exists, complete, in the version of this checkout."""

    aws: Aws
    name: str
    project: Path
    stack: StackSummary
    url: str
    """Address of the public listener, without a slash at its end."""
    ca_path: Path
    """Certificate authorities to trust for ``url``."""
    relay: Relay | None = None
    denied: list[Denied] = field(default_factory=list)
    """Calls that the credentials did not allow."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Outputs of the parent stack, by name."""
        return self.stack.outputs

    @property
    def is_local(self) -> bool:
        """Whether this machine runs it."""
        return self.aws.is_local

    @cached_property
    def admin(self) -> tuple[str, str]:
        """User and password of the first administrator."""
        words = self.outputs["AdminLoginCommand"].split()
        arn = words[words.index("--secret-id") + 1]
        answer = self.aws.call("secretsmanager", "get_secret_value", arn, SecretId=arn)
        login = json.loads(answer["SecretString"])
        return login["username"], login["password"]

    def client(self, service: str) -> Any:
        """Return a client of boto3 with the operator's permissions."""
        return self.aws.client(service)

    def put_dags(self, folder: Path) -> None:
        """Upload every DAG file of a folder, below the prefix of the canary."""
        s3 = self.client("s3")
        for file in sorted(folder.rglob("*.py")):
            key = CANARY + file.relative_to(folder).as_posix()
            s3.upload_file(str(file), self.outputs["DagBucketName"], key)

    def logs(self, *components: str) -> str:
        """Return a sentence that names the log groups of components."""
        titles = {
            "".join(word.capitalize() for word in component.split("-"))
            for component in components
        }
        groups = sorted(
            resource.physical_id
            for resource in self.of_type("AWS::Logs::LogGroup")
            if resource.logical_id.removesuffix("Log") in titles
        )
        return f"Read the log groups {', '.join(groups)}." if groups else ""

    # Resources.

    @cached_property
    def resources(self) -> list[StackResource]:
        """Every resource of the stack and its nested stacks."""
        return list(inventory.take(self.aws, self.stack.id))

    def of_type(self, kind: str) -> list[StackResource]:
        """Return the resources of one type."""
        return [resource for resource in self.resources if resource.type == kind]

    def id_of(self, name: str) -> str:
        """Return the physical ID of a resource by its path, as Database/Cluster."""
        for resource in self.resources:
            if resource.name == name:
                return resource.physical_id
        raise CheckFailed(
            f"The stack has no {name}.", "Launch this version first: build.py launch."
        )

    def parameters_of(self, nested: str) -> Mapping[str, str]:
        """Return the parameters of a nested stack."""
        return stacks.existing(self.aws, self.id_of(nested)).parameters

    @cached_property
    def key_arn(self) -> str:
        """The customer managed key."""
        key = self.id_of("Encryption/Key")
        answer = self.aws.call("kms", "describe_key", key, KeyId=key)
        return str(answer["KeyMetadata"]["Arn"])

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return the task definitions of the stack, by ARN."""
        arns = [r.physical_id for r in self.of_type("AWS::ECS::TaskDefinition")]
        return {
            arn: self.aws.call(
                "ecs", "describe_task_definition", arn, taskDefinition=arn
            )["taskDefinition"]
            for arn in arns
        }

    def services(self) -> list[dict[str, Any]]:
        """Return the services of the stack, as ECS describes them."""
        names = [
            resource.physical_id.rpartition("/")[2]
            for resource in self.of_type("AWS::ECS::Service")
        ]
        return list(ecs.services(self.aws, self.outputs["ClusterName"], names))


def launched(
    aws: Aws,
    name: str,
    stack_name: str,
    *,
    project: Path,
    version: str,
    url: str = "",
    ca_path: Path | None = None,
) -> AwsEnvironment:
    """Return an environment that can be checked.

    Raises UsageError if there is no such stack, Refused if it is incomplete or of
    another version, Denied without the rights to read it.
    """
    stack = stacks.existing(aws, stack_name)
    if stack.status not in COMPLETE:
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what=f"It is {stack.status}, so there is nothing complete to check.",
                why=stack.reason,
                remedy="Follow the operation with build.py events ENV --follow, or let "
                "build.py diagnose ENV name the cause.",
            )
        )
    own = stack.outputs.get("Version", "of no version")
    if own != version:
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what=f"It is {own}, and this checkout is {version}.",
                why="The checks compare with the tables of their own version.",
                remedy="Check out that version, or update with build.py launch ENV.",
            )
        )
    return AwsEnvironment(
        aws,
        name,
        project,
        stack,
        (url or stack.outputs["WebUrl"]).rstrip("/"),
        ca_path or Path(DEFAULT_CA_BUNDLE_PATH),
    )


def is_reachable(url: str) -> bool:
    """Whether this machine reaches the host of an address."""
    address = urlsplit(url)
    port = address.port or (HTTPS if address.scheme == "https" else HTTP)
    try:
        socket.create_connection((address.hostname, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True

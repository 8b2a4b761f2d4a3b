"""Connections and variables of an environment in Secrets Manager, without values.

Names are read with ListSecrets: no command reads a value, so the operator's role needs
no right to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.errors import Problem, Refused
from deploy import stacks
from deploy.aws import Aws
from deploy.connection_file import GROUPS, Entry

PREFIX, KEY = "SecretsPrefix", "KeyArn"
"""Parameter and output of the stack."""

TAG = "AirflowStack"
"""Its value is the name of the stack. Not a name that begins with airflow: or aws:, by
which roles decide what they may change."""

MISSING, PRESENT, UNLISTED = "missing", "present", "not in the file"


@dataclass(frozen=True)
class SecretStore:
    """Where the secrets of an environment are."""

    stack: str
    prefix: str
    key_arn: str


@dataclass(frozen=True)
class State:
    """A connection or variable, and whether its secret is there."""

    path: str
    kind: str
    status: str


def store(aws: Aws, stack_name: str) -> SecretStore:
    """Return the place of a launched environment; raise Refused if it has none."""
    stack = stacks.existing(aws, stack_name)
    prefix = stack.parameters.get(PREFIX, "")
    if not prefix or KEY not in stack.outputs:
        raise Refused(
            Problem(
                where=f"Stack {stack_name}",
                what="Its Airflow does not look for connections in Secrets Manager.",
                why=f"Its parameter {PREFIX} is empty, or its launch is not over.",
                remedy=f'Set "{PREFIX}": "{stack_name}" in the parameter file; launch.',
            )
        )
    return SecretStore(stack_name, prefix, stack.outputs[KEY])


def compare(
    aws: Aws, place: SecretStore, entries: Mapping[str, Entry]
) -> tuple[State, ...]:
    """Return the state of each entry, and of the secrets that the file lacks."""
    paths = _paths(aws, place)
    listed = [
        State(entry.path, entry.kind, PRESENT if entry.path in paths else MISSING)
        for entry in entries.values()
    ]
    others = sorted(paths - set(entries))
    return (*listed, *(State(path, "", UNLISTED) for path in others))


def write(
    aws: Aws, place: SecretStore, entry: Entry, text: str, *, is_new: bool
) -> None:
    """Make a secret, or add a version to it. Another key of it stays."""
    name = f"{place.prefix}/{entry.path}"
    tags = [{"Key": TAG, "Value": place.stack}]
    if is_new:
        aws.call(
            *("secretsmanager", "create_secret", name),
            Name=name,
            Description=f"Airflow: {entry.title} ({entry.kind}).",
            SecretString=text,
            KmsKeyId=place.key_arn,
            Tags=tags,
        )
        return
    aws.call(
        *("secretsmanager", "put_secret_value", name),
        SecretId=name,
        SecretString=text,
    )
    aws.call("secretsmanager", "tag_resource", name, SecretId=name, Tags=tags)


def _paths(aws: Aws, place: SecretStore) -> set[str]:
    """Return what is below the prefix, by path."""
    starts = tuple(f"{place.prefix}/{group}/" for group in GROUPS)
    pages = aws.pages(
        *("secretsmanager", "list_secrets", f"{place.prefix}/*"),
        Filters=[{"Key": "name", "Values": list(starts)}],
    )
    return {
        secret["Name"].removeprefix(f"{place.prefix}/")
        for page in pages
        for secret in page["SecretList"]
        if secret["Name"].startswith(starts)
    }

"""The roles that AWS's services need in an account: name missing ones, and create them.

The first call of a service creates its role and uses it at once. IAM is eventually
consistent, so in a new account that call can fail ("Unable to assume the service linked
role"), and with it the stack. A launch therefore creates them before. They cannot be in
a template: ``AWS::IAM::ServiceLinkedRole`` fails where the role exists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli import console
from cli.errors import AwsError, Denied
from deploy.aws import Aws, is_missing
from deploy.preflight.context import LaunchContext, service_key
from deploy.preflight.findings import Finding, passed, warning
from deploy.preflight.permissions import statements

CREATE = "iam:CreateServiceLinkedRole"
PRINCIPAL_KEY = "iam:AWSServiceName"
PATH = "/aws-service-role/"

EXISTING = ("has been taken", "already exists")
"""How IAM, and the emulator, say that a role exists."""


@dataclass(frozen=True)
class RoleWait:
    """How long a launch waits until every part of IAM knows a new role."""

    seconds: float = 3.0
    answers: int = 5
    """In a row, from GetRole, for each new role: 15 seconds without a miss."""
    attempts: int = 20
    """For all roles together; a minute, and the launch goes on."""
    sleep: Callable[[float], None] = time.sleep


LOCAL_WAIT = RoleWait(seconds=0, answers=1)


def linked_roles(context: LaunchContext) -> Iterator[Finding]:
    """Name the service-linked roles that the account lacks."""
    needed = required(context)
    if not needed:
        return
    existing = _existing(context.aws)
    missing = [name for name in needed if name not in existing]
    if not missing:
        yield passed(f"The account has all {len(needed)} service-linked roles.")
        return
    yield warning(
        f"The account lacks the service-linked roles of {', '.join(missing)}.",
        "`build.py launch ENV` creates them. Before a launch in the console or Service "
        "Catalog, for each: aws iam create-service-linked-role --aws-service-name NAME",
    )


def required(context: LaunchContext) -> list[str]:
    """Return the principals that need a role for this launch."""
    names: list[str] = []
    for statement in statements(context):
        if CREATE in statement["Action"]:
            for test in statement["Condition"].values():
                names += test.get(PRINCIPAL_KEY, [])
    return sorted(
        name
        for name in set(names)
        if context.services.intersection(map(service_key, name.split(".")))
    )


def create(context: LaunchContext, wait: RoleWait | None = None) -> None:
    """Create the roles that the account lacks, and wait until IAM knows them."""
    aws = context.aws
    needed = required(context)
    if not needed:
        return
    try:
        existing = _existing(aws)
    except Denied:
        # Creating a role that exists is an error with a name.
        existing = frozenset()
    created, not_allowed = [], []
    for name in needed:
        if name not in existing:
            try:
                created += _create(aws, name)
            except Denied:
                not_allowed.append(name)
    if not_allowed:
        console.note(
            f"Not allowed to create the service-linked roles of "
            f"{', '.join(not_allowed)} ({CREATE}). Their services create them; in a "
            "new account the first attempt can fail because of that."
        )
    if created:
        console.message(f"Created service-linked roles: {', '.join(created)}.")
        _settle(aws, created, wait or (LOCAL_WAIT if aws.is_local else RoleWait()))


def _existing(aws: Aws) -> frozenset[str]:
    """Return the principals of all service-linked roles of the account."""
    pages = aws.pages(
        "iam", "list_roles", "service-linked roles", PathPrefix=PATH, MaxItems=1000
    )
    return frozenset(
        role["Path"].removeprefix(PATH).strip("/")
        for page in pages
        for role in page["Roles"]
    )


def _create(aws: Aws, principal: str) -> list[str]:
    """Create a role; return its name, or nothing if it exists."""
    try:
        answer = aws.call(
            "iam",
            "create_service_linked_role",
            f"Service-linked role of {principal}",
            AWSServiceName=principal,
        )
    except AwsError as error:
        if any(text in error.message for text in EXISTING):
            return []
        raise
    return [answer["Role"]["RoleName"]]


def _settle(aws: Aws, roles: list[str], wait: RoleWait) -> None:
    """Wait until GetRole finds every new role several times in a row."""
    answers = 0
    with console.progress("Waiting until IAM knows the new roles everywhere ..."):
        for _ in range(wait.attempts):
            wait.sleep(wait.seconds)
            answers = answers + 1 if all(_is_known(aws, r) for r in roles) else 0
            if answers >= wait.answers:
                return
    console.note(
        "IAM does not know the new roles everywhere yet. If the launch fails because a "
        "service cannot assume its role, launch again."
    )


def _is_known(aws: Aws, role: str) -> bool:
    try:
        aws.call("iam", "get_role", f"Role {role}", RoleName=role)
    except AwsError as error:
        if is_missing(error):
            return False
        raise
    except Denied:
        # Creating was allowed; that must do.
        return True
    return True

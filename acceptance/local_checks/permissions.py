"""Permissions of every role suffice for what its containers and functions called."""

from __future__ import annotations

from acceptance.check import CheckFailed
from acceptance.local_checks import secrets_manager, team_permissions
from local.environment import LocalEnvironment


def sufficient(environment: LocalEnvironment) -> str:
    """See that each call of a container or a function was allowed by its role.

    The local ECS agent decides by the policies and writes a line a call: time,
    decision, role, action, resource. A refusal counts unless the same call was allowed
    later: new policies take a moment, as on AWS, and callers try again. What a check
    has tried in order to be refused does not count.
    """
    record = environment.agent.roles.record
    calls = [line.split(maxsplit=2)[1:] for line in record.read_text().splitlines()]
    refused: set[str] = set()
    for decision, call in calls:
        if decision == "allowed":
            refused.discard(call)
        elif call.split()[-1] not in team_permissions.REFUSED and (
            not secrets_manager.is_provoked(call)
        ):
            refused.add(call)
    if refused:
        raise CheckFailed(
            f"Refused: {'; '.join(sorted(refused))}.",
            "Each role's permissions are in templates/airflow/permissions.py; every "
            f"call is in {record}.",
        )
    if not calls:
        raise CheckFailed(
            "No call was decided by a role.", "Look at local/ecs/aws_proxy.py."
        )
    roles = {call.split()[0] for _, call in calls}
    return f"{len(calls)} calls by {len(roles)} roles, none refused in the end"

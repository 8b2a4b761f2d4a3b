"""The rights that the templates give are enough for all that was done."""

from __future__ import annotations

from acceptance.check import NotProven
from local.environment import Stage


def suffice(stage: Stage) -> str:
    """See that each call of a container or a function was allowed by its role.

    The agent decides by the policies and writes a line a call: time, word, role,
    action, resource. A refusal counts unless the same call was allowed later: new
    policies take a moment, as on AWS, and callers try again.
    """
    record = stage.agent.roles.record
    calls = [line.split(maxsplit=2)[1:] for line in record.read_text().splitlines()]
    lacking: set[str] = set()
    for word, call in calls:
        if word == "allowed":
            lacking.discard(call)
        else:
            lacking.add(call)
    if lacking:
        raise NotProven(
            f"Refused: {'; '.join(sorted(lacking))}.",
            f"Each role's rights are in templates/airflow/permissions.py; every call is in "
            f"{record}.",
        )
    if not calls:
        raise NotProven(
            "No call was decided by a role.", "Look at the agent's gateway."
        )
    roles = {call.split()[0] for _, call in calls}
    return f"{len(calls)} calls by {len(roles)} roles, none refused in the end"

"""Paths that the public listener refuses."""

from __future__ import annotations

from acceptance.api import status
from acceptance.check import CheckFailed
from acceptance.environment import Environment

OPEN = "/api/v2/version"
CLOSED = (
    "/execution",
    "/execution/health",
    "/%65xecution/health",
    "/execution%2Fhealth",
    "//execution/health",
    "/./execution/health",
    "/api/../execution/health",
)
"""The tasks' own API, plain and in spellings that the API server may decode."""

REFUSED = frozenset({400, 403, 404})
"""The load balancer itself answers some malformed request lines with 400."""

OK = 200


def execution_api(environment: Environment) -> str:
    """See the tasks' own API refused by the public listener."""
    remedy = environment.logs("api-server")
    if (answer := status(environment, OPEN)) != OK:
        raise CheckFailed(
            f"{OPEN} is answered {answer} at the listener, so a refusal says nothing.",
            remedy,
        )
    answered = {
        path: answer
        for path in CLOSED
        if (answer := status(environment, path)) not in REFUSED
    }
    if answered:
        raise CheckFailed(
            f"The public listener answers {answered}.",
            "Look at templates/airflow/routes.py.",
        )
    return f"{len(CLOSED)} spellings refused at the listener"

"""What the public listener lets through, and what only the inside may reach."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

from acceptance.api import SECONDS, session
from acceptance.check import LeftOut, NotProven
from acceptance.containers import first, logs
from local.environment import Stage

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
"""The tasks' own API, plainly and in disguises that the API server may see through."""

REFUSED = frozenset({403, 404})
OK, UNAUTHORISED = 200, 401
FLOWER = "/flower/"
METRICS = "/flower/metrics"
"""The one page of Flower that asks for no password."""


def execution_api(stage: Stage) -> str:
    """See the tasks' own API answer inside, and nobody at the public listener."""
    if (status := _status(stage, OPEN)) != OK:
        raise NotProven(
            f"{OPEN} is answered {status} at the listener, so a refusal says nothing.",
            logs(stage, "api-server"),
        )
    through = {
        path: status
        for path in CLOSED
        if (status := _status(stage, path)) not in REFUSED
    }
    if through:
        raise NotProven(
            f"The public listener answers {through}.",
            "Look at templates/airflow/routes.py.",
        )
    worker = first(stage, "worker")
    inside = worker.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    with session(stage.folder / "ca" / "ca.pem") as one:
        answer = one.get(f"{inside.rstrip('/')}/health", timeout=SECONDS)
    if answer.status_code != OK:
        raise NotProven(
            f"Inside, {inside}/health is answered {answer.status_code}.",
            logs(stage, "api-server"),
        )
    return (
        f"{len(CLOSED)} spellings refused at the listener; 200 from a worker's address"
    )


def flower(stage: Stage) -> str:
    """Ask Flower with its login and without; its open page is not to be had."""
    if stage.parameters["EnableFlower"] != "true":
        raise LeftOut(f"EnableFlower is false in {stage.environment}")
    held = first(stage, "flower").environment
    login = (held["FLOWER_USER"], held["FLOWER_PASSWORD"])
    remedy = logs(stage, "flower")
    with session(stage.folder / "ca" / "ca.pem") as one:
        seen = {
            "without a login": one.get(stage.url + FLOWER, timeout=SECONDS),
            "with a wrong one": one.get(
                stage.url + FLOWER, auth=(login[0], "wrong"), timeout=SECONDS
            ),
            "with its login": one.get(stage.url + FLOWER, auth=login, timeout=SECONDS),
        }
        metrics = one.get(stage.url + METRICS, timeout=SECONDS).status_code
    statuses = {how: answer.status_code for how, answer in seen.items()}
    if [*statuses.values()] != [UNAUTHORISED, UNAUTHORISED, OK]:
        raise NotProven(f"Flower answers {statuses}.", remedy)
    if metrics not in REFUSED:
        raise NotProven(f"{METRICS} is answered {metrics} at the listener.", remedy)
    return "401 without and with a wrong login, 200 with its own; metrics refused"


def _status(stage: Stage, target: str) -> int:
    """Return the status of a request line that no client library has tidied."""
    at = urlsplit(stage.url)
    host, port = str(at.hostname), at.port
    link = HTTPConnection(host, port, timeout=SECONDS)
    if at.scheme == "https":
        trusted = ssl.create_default_context(cafile=stage.folder / "ca" / "ca.pem")
        link = HTTPSConnection(host, port, timeout=SECONDS, context=trusted)
    try:
        link.putrequest("GET", target)
        link.endheaders()
        return link.getresponse().status
    finally:
        link.close()

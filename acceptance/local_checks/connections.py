"""Paths that the public listener refuses, and that answer inside the network."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

from acceptance.api import SECONDS, session
from acceptance.check import CheckFailed, Skipped
from acceptance.containers import first_container
from local.environment import LocalEnvironment

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

REFUSED = frozenset({403, 404})
OK, UNAUTHORISED = 200, 401
FLOWER = "/flower/"
METRICS = "/flower/metrics"
"""The one page of Flower that asks for no password."""


def execution_api(environment: LocalEnvironment) -> str:
    """See the tasks' own API refused by the public listener, and answer inside."""
    remedy = environment.logs("api-server")
    if (status := _status(environment, OPEN)) != OK:
        raise CheckFailed(
            f"{OPEN} is answered {status} at the listener, so a refusal says nothing.",
            remedy,
        )
    answered = {
        path: status
        for path in CLOSED
        if (status := _status(environment, path)) not in REFUSED
    }
    if answered:
        raise CheckFailed(
            f"The public listener answers {answered}.",
            "Look at templates/airflow/routes.py.",
        )
    worker = first_container(environment, "worker")
    base = worker.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].rstrip("/")
    with session(environment.ca_path) as http:
        status = http.get(f"{base}/health", timeout=SECONDS).status_code
    if status != OK:
        raise CheckFailed(f"Inside, {base}/health is answered {status}.", remedy)
    return (
        f"{len(CLOSED)} spellings refused at the listener; 200 from a worker's address"
    )


def flower(environment: LocalEnvironment) -> str:
    """Ask Flower with its login and without; its metrics page is refused."""
    if environment.parameters["EnableFlower"] != "true":
        raise Skipped(f"EnableFlower is false in {environment.name}")
    environ = first_container(environment, "flower").environ
    user, password = environ["FLOWER_USER"], environ["FLOWER_PASSWORD"]
    url, remedy = environment.url, environment.logs("flower")
    logins = {
        "without a login": None,
        "with a wrong one": (user, "wrong"),
        "with its login": (user, password),
    }
    with session(environment.ca_path) as http:
        statuses = {
            how: http.get(url + FLOWER, auth=login, timeout=SECONDS).status_code
            for how, login in logins.items()
        }
        metrics = http.get(url + METRICS, timeout=SECONDS).status_code
    if [*statuses.values()] != [UNAUTHORISED, UNAUTHORISED, OK]:
        raise CheckFailed(f"Flower answers {statuses}.", remedy)
    if metrics not in REFUSED:
        raise CheckFailed(f"{METRICS} is answered {metrics} at the listener.", remedy)
    return "401 without and with a wrong login, 200 with its own; metrics refused"


def _status(environment: LocalEnvironment, target: str) -> int:
    """Return the status of a request line that no client library has normalised."""
    address = urlsplit(environment.url)
    host, port = str(address.hostname), address.port
    connection = HTTPConnection(host, port, timeout=SECONDS)
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=environment.ca_path)
        connection = HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        connection.putrequest("GET", target)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()

"""Paths that the public listener refuses, and that answer inside the network."""

from __future__ import annotations

from acceptance.api import SECONDS, session
from acceptance.check import CheckFailed, Skipped
from acceptance.checks import listener
from acceptance.containers import first_container
from local.environment import LocalEnvironment

UNAUTHORISED = 401
FLOWER = "/flower/"
METRICS = "/flower/metrics"
"""The one page of Flower that asks for no password."""


def execution_api(environment: LocalEnvironment) -> str:
    """See the tasks' own API refused by the public listener, and answer inside."""
    observed = listener.execution_api(environment)
    worker = first_container(environment, "worker")
    base = worker.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].rstrip("/")
    with session(environment) as http:
        status = http.get(f"{base}/health", timeout=SECONDS).status_code
    if status != listener.OK:
        raise CheckFailed(
            f"Inside, {base}/health is answered {status}.",
            environment.logs("api-server"),
        )
    return f"{observed}; 200 from a worker's address"


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
    with session(environment) as http:
        statuses = {
            how: http.get(url + FLOWER, auth=login, timeout=SECONDS).status_code
            for how, login in logins.items()
        }
        metrics = http.get(url + METRICS, timeout=SECONDS).status_code
    if [*statuses.values()] != [UNAUTHORISED, UNAUTHORISED, listener.OK]:
        raise CheckFailed(f"Flower answers {statuses}.", remedy)
    if metrics not in listener.REFUSED:
        raise CheckFailed(f"{METRICS} is answered {metrics} at the listener.", remedy)
    return "401 without and with a wrong login, 200 with its own; metrics refused"

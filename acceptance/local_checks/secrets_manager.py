"""Connections and variables that exist in Secrets Manager only."""

from __future__ import annotations

import json
from pathlib import Path

from acceptance.api import api
from acceptance.check import CheckFailed
from acceptance.checks.dags import RUN_SECONDS
from acceptance.containers import first_container
from acceptance.local_checks.encryption import DAG_ID, digests, make_both
from acceptance.store_probe import ask
from fargate_runtime.contract import CONNECTIONS_FOLDER, VARIABLES_FOLDER
from local.environment import LocalEnvironment

MAIN = Path(__file__).parents[1] / "secret_probe_main.py"

PREFIX = "verify/airflow"
PARAMETERS = {"SecretsPrefix": PREFIX}

NAME, IN_METADATA = "check_external", "check_beside_external"
VALUES = {"connection": "verify-external-3b1d", "variable": "verify-external-77aa"}
CONNECTION = f"{PREFIX}/{CONNECTIONS_FOLDER}/{NAME}"
VARIABLE = f"{PREFIX}/{VARIABLES_FOLDER}/{NAME}"
OUTSIDE = "verify/outside"
SECRETS = {
    # As RDS and people write them, not as Airflow does.
    CONNECTION: json.dumps({"engine": "http", "password": VALUES["connection"]}),
    VARIABLE: VALUES["variable"],
    OUTSIDE: "not for Airflow",
}

REFUSED = "AccessDeniedException"
PROBES = {
    "api-server": {CONNECTION: "", f"{PREFIX}/{OUTSIDE}": REFUSED, OUTSIDE: REFUSED},
    **{
        component: {CONNECTION: REFUSED}
        for component in ("worker", "scheduler", "dag-processor", "triggerer")
    },
}
"""Component -> secret -> the error that its role gets, or none."""


def is_provoked(call: str) -> bool:
    """Whether this check makes a call, which is refused: role, action, resource."""
    return any(
        call.endswith(f":secret:{name}")
        for secrets in PROBES.values()
        for name, error in secrets.items()
        if error
    )


def used(environment: LocalEnvironment) -> str:
    """Read them in a task, beside others that the API has made; probe every role."""
    airflow = api(environment)
    plain = make_both(airflow, IN_METADATA)
    run_id = airflow.trigger(DAG_ID, {"names": [NAME, IN_METADATA]})
    wrong = [
        f"{component} gets {answer or 'the value'} of {name}, not {error or 'it'}"
        for component, secrets in PROBES.items()
        for (name, error), answer in zip(
            secrets.items(),
            ask(MAIN, first_container(environment, component).environ, list(secrets)),
            strict=True,
        )
        if answer != error
    ]
    if wrong:
        raise CheckFailed(
            "; ".join(wrong), "Look at secrets_policy in templates/airflow."
        )
    remedy = environment.logs("worker", "api-server")
    airflow.wait_for_run(DAG_ID, run_id, seconds=RUN_SECONDS, remedy=remedy)
    read = airflow.returned(DAG_ID, run_id, "read")
    for name, values in ((NAME, VALUES), (IN_METADATA, plain)):
        if read[name] != digests(values):
            raise CheckFailed(f"A task read other values of {name}.", remedy)
    return (
        "a task read a connection and a variable that exist only there, and two from "
        f"the API; {REFUSED} for the API server outside of {PREFIX}, and for "
        f"{len(PROBES) - 1} other components everywhere"
    )

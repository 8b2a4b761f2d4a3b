"""Who holds which secret, looked at where it counts: in the running processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from acceptance import store_probe
from acceptance.check import NotProven
from acceptance.containers import environment, environments, first
from local.environment import Stage

ARN_FIELDS = 7
"""Of the ARN of a secret; what follows in a ``ValueFrom`` names a key."""

FORBIDDEN = {
    "METADATA_PASSWORD": ("worker", "flower", "autoscaler"),
    "AIRFLOW__API_AUTH__JWT_SECRET": (
        *("worker", "flower", "autoscaler"),
        *("dag-processor", "triggerer"),
    ),
    "MASTER_PASSWORD": (
        *("worker", "flower", "autoscaler", "dag-processor", "triggerer"),
        *("api-server", "scheduler"),
    ),
}
"""Variable -> components that must not hold it whatever the task definition says.

Airflow's own security model; its first row is what the whole arrangement is for.
"""

METADATA_DATABASE = "airflow"

SHOWN = 6
"""Of what is wrong; one cause often shows in many places."""


def exact(stage: Stage) -> str:
    """Compare each process with its task definition: all its secrets, and no other."""
    known = _secrets(stage)
    wrong: list[str] = []
    counts: dict[str, int] = {}
    processes = 0
    for one, main in environments(stage):
        expected = {
            variable: _value(stage, value_from)
            for variable, value_from in one.declared.items()
        }
        counts[one.name] = len(expected)
        wrong += [
            f"{one.name} lacks {variable}"
            for variable, value in expected.items()
            if main.get(variable) != value
        ]
        wrong += [
            f"{one.name} holds {variable}"
            for variable, forbidden in FORBIDDEN.items()
            if one.name in forbidden and variable in main
        ]
        own = set(expected.values())
        foreign = {value: name for value, name in known.items() if value not in own}
        for pid in one.pids:
            processes += 1
            wrong += [f"{one.name}: {stray}" for stray in _strays(pid, foreign, known)]
    if wrong:
        found = sorted(set(wrong))
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise NotProven(
            "; ".join(found[:SHOWN]) + more,
            "Compare templates/airflow/components.py with the task definition, and see what "
            "else sets variables.",
        )
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{processes} processes, {len(known)} secrets; variables with one: {told}"


def metadata_closed(stage: Stage) -> str:
    """Try to log in to the metadata database with everything that a worker holds."""
    worker = first(stage, "worker")
    scheduler = first(stage, "scheduler").environment
    environ = worker.environment
    master = stage.secret("rds!cluster")["username"]
    users = {
        *(value for name, value in environ.items() if name.endswith("_USER")),
        *(scheduler["METADATA_USER"], master, "postgres", "rdsadmin"),
    }
    passwords = {environ[variable] for variable in worker.declared} - users
    # The two that must get in show that address, TLS and database are the right ones.
    own = environ["RESULTS_USER"], environ["RESULTS_PASSWORD"]
    airflow = scheduler["METADATA_USER"], scheduler["METADATA_PASSWORD"]
    told = environ | {name: scheduler[name] for name in ("PGSSLMODE", "PGSSLROOTCERT")}
    said = [
        *store_probe.logins(told, environ["RESULTS_NAME"], [own]),
        *store_probe.logins(told, METADATA_DATABASE, [airflow]),
    ]
    if any(said):
        raise NotProven(f"A login that must work was refused: {said}.")
    pairs = [(user, password) for user in sorted(users) for password in passwords]
    answers = store_probe.logins(told, METADATA_DATABASE, pairs)
    entered = {user for (user, _), no in zip(pairs, answers, strict=True) if not no}
    if entered:
        raise NotProven(
            f"With what a worker holds, {', '.join(sorted(entered))} gets into the "
            "metadata database.",
            "Look at fargate_runtime/migration/databases.py and the worker's secrets.",
        )
    return f"{len(pairs)} logins tried with {len(users)} users, none was let in"


def _secrets(stage: Stage) -> dict[str, str]:
    """Return every secret text of the environment with the name it is kept under."""
    client = stage.client("secretsmanager")
    found: dict[str, str] = {}
    for page in client.get_paginator("list_secrets").paginate():
        for one in page["SecretList"]:
            text = client.get_secret_value(SecretId=one["ARN"])["SecretString"]
            try:
                found[json.loads(text)["password"]] = one["Name"]
            except (ValueError, TypeError, KeyError):
                found[text] = one["Name"]
    return found


def _value(stage: Stage, value_from: str) -> str:
    """Return what ECS fills in for a ``ValueFrom``: ``arn[:key:stage:version]``."""
    fields = value_from.split(":")
    arn, key = ":".join(fields[:ARN_FIELDS]), ":".join(fields[ARN_FIELDS:]).strip(":")
    client = stage.client("secretsmanager")
    text = str(client.get_secret_value(SecretId=arn)["SecretString"])
    return str(json.loads(text)[key]) if key else text


def _strays(pid: int, foreign: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return which secrets of others a process holds, and any in its arguments.

    A process that has ended holds none.
    """
    try:
        held = environment(pid)
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return [
        f"{variable} holds {name}"
        for variable, text in held.items()
        for value, name in foreign.items()
        if value in text
    ] + ["a secret among its arguments" for value in known if value in arguments]

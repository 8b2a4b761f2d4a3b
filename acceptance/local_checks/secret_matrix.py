"""Secrets that each running process holds, compared with its task definition."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from acceptance import value_from
from acceptance.check import CheckFailed
from acceptance.containers import first_container, process_environ, with_environ
from acceptance.store_probe import probe
from cli.console import shortened
from local.environment import LocalEnvironment
from local.stores import MASTER

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
"""Variable -> components that must not hold it whatever the task definition says, by
Airflow's own security model."""

METADATA_DATABASE = "airflow"

SHOWN = 6
"""Of the differences; one cause often shows in many places."""


def exact(environment: LocalEnvironment) -> str:
    """Compare each process with its task definition: all its secrets, and no other."""
    known = _secrets(environment)
    wrong: list[str] = []
    counts: dict[str, int] = {}
    processes = 0
    for container, environ in with_environ(environment):
        expected = {
            variable: _value(environment, reference)
            for variable, reference in container.secrets.items()
        }
        counts[container.name] = len(expected)
        wrong += [
            f"{container.name} lacks {variable}"
            for variable, value in expected.items()
            if environ.get(variable) != value
        ]
        wrong += [
            f"{container.name} holds {variable}"
            for variable, forbidden in FORBIDDEN.items()
            if container.name in forbidden and variable in environ
        ]
        own = set(expected.values())
        foreign = {value: name for value, name in known.items() if value not in own}
        for pid in container.pids:
            processes += 1
            wrong += [
                f"{container.name}: {leak}" for leak in _leaks(pid, foreign, known)
            ]
    if wrong:
        lines = sorted(set(wrong))
        raise CheckFailed(
            shortened(lines, SHOWN, "; "),
            "Compare templates/airflow/components.py with the task definition, and see "
            "what else sets variables.",
        )
    text = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{processes} processes, {len(known)} secrets; variables with one: {text}"


def metadata_closed(environment: LocalEnvironment) -> str:
    """Try to log in to the metadata database with everything that a worker holds."""
    worker = first_container(environment, "worker")
    scheduler = first_container(environment, "scheduler").environ
    environ = worker.environ
    master = environment.secret(MASTER)["username"]
    users = {
        *(value for name, value in environ.items() if name.endswith("_USER")),
        *(scheduler["METADATA_USER"], master, "postgres", "rdsadmin"),
    }
    passwords = {environ[variable] for variable in worker.secrets} - users
    # The two that must get in show that address, TLS and database are the right ones.
    own = environ["RESULTS_USER"], environ["RESULTS_PASSWORD"]
    airflow = scheduler["METADATA_USER"], scheduler["METADATA_PASSWORD"]
    pairs = [(user, password) for user in sorted(users) for password in passwords]
    environ |= {name: scheduler[name] for name in ("PGSSLMODE", "PGSSLROOTCERT")}
    *expected, errors = probe(
        ("logins", environ, [environ["RESULTS_NAME"], [own]]),
        ("logins", environ, [METADATA_DATABASE, [airflow]]),
        ("logins", environ, [METADATA_DATABASE, pairs]),
    )
    if any(error for (error,) in expected):
        raise CheckFailed(f"A login that must work was refused: {expected}.")
    admitted = {
        user for (user, _), error in zip(pairs, errors, strict=True) if not error
    }
    if admitted:
        raise CheckFailed(
            f"A password that a worker holds lets {', '.join(sorted(admitted))} into "
            "the metadata database.",
            "Look at fargate_runtime/migration/databases.py and the worker's secrets.",
        )
    return f"{len(pairs)} logins tried with {len(users)} users, all refused"


def _secrets(environment: LocalEnvironment) -> dict[str, str]:
    """Return the name of the secret for every password and text of a secret."""
    names: dict[str, str] = {}
    for name, text in environment.all_secrets().items():
        try:
            names[json.loads(text)["password"]] = name
        except (ValueError, TypeError, KeyError):
            names[text] = name
    return names


def _value(environment: LocalEnvironment, reference: str) -> str:
    """Return what ECS fills in for a ``ValueFrom``."""
    arn, key = value_from.parts(reference)
    client = environment.client("secretsmanager")
    text = str(client.get_secret_value(SecretId=arn)["SecretString"])
    return str(json.loads(text)[key]) if key else text


def _leaks(pid: int, foreign: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return the secrets of others that a process holds, and any in its arguments.

    A process that has ended holds none.
    """
    try:
        environ = process_environ(pid)
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return [
        f"{variable} holds {name}"
        for variable, text in environ.items()
        for value, name in foreign.items()
        if value in text
    ] + ["a secret among its arguments" for value in known if value in arguments]

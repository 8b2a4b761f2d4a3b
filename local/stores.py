"""The database and the broker of a stage, with the logins that its stack made.

What takes time is done before there is a login: the database's files are laid out
while the emulator starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.datastores import (
    Authority,
    Postgres,
    Valkey,
    broker_access,
    broker_settings,
    database_settings,
)

MASTER = "rds!cluster"
"""How RDS begins the name of the secret that it keeps for a master user."""

BROKER = "CeleryLogin"
"""The logical ID of the broker's login, which its secret's name holds."""

CONNECTIONS_PER_UNIT, KEPT_BACK = 211.4, 22
MOST, MOST_WHEN_SMALL = 5000, 2000
"""How Aurora computes max_connections from its capacity, as in templates/checks/aurora.py;
a test holds the two equal."""


def max_connections(parameters: Mapping[str, str]) -> int:
    """Return how many connections Aurora would admit with these capacities."""
    low = float(parameters["DatabaseMinCapacity"])
    high = float(parameters["DatabaseMaxCapacity"])
    limit = MOST if low >= 1 else MOST_WHEN_SMALL
    return min(limit, int(CONNECTIONS_PER_UNIT * high - KEPT_BACK))


def login(secrets: Any, words: str) -> dict[str, str] | None:
    """Return the newest secret whose name or description holds ``words``, if any.

    ``secrets`` is a client of Secrets Manager.
    """
    found = [
        one
        for page in secrets.get_paginator("list_secrets").paginate()
        for one in page["SecretList"]
        if words in one["Name"] or words in one.get("Description", "")
    ]
    if not found:
        return None
    value = secrets.get_secret_value(SecretId=found[-1]["ARN"])["SecretString"]
    held: dict[str, str] = json.loads(value)
    return held


def database(
    dist: Path, authority: Authority, master: Mapping[str, str], most: int
) -> Postgres:
    """Return the database that stands in for Aurora, not started."""
    return Postgres(
        authority=authority,
        master_user=master["username"],
        master_password=master["password"],
        settings=database_settings(dist),
        max_connections=most,
    )


def broker(dist: Path, authority: Authority, password: str) -> Valkey:
    """Return the broker that stands in for ElastiCache, not started."""
    return Valkey(
        authority=authority,
        access=broker_access(dist),
        password=password,
        settings=broker_settings(dist),
    )

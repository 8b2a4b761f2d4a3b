"""The database and the broker of a local environment, with the logins of its stack."""

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

CONNECTIONS_PER_UNIT, RESERVED = 211.4, 22
MAXIMUM, MAXIMUM_WHEN_SMALL = 5000, 2000
"""How Aurora computes max_connections from its capacity, as in
templates/checks/aurora.py; a test holds the two equal."""


def max_connections(parameters: Mapping[str, str]) -> int:
    """Return how many connections Aurora would admit with these capacities."""
    low = float(parameters["DatabaseMinCapacity"])
    high = float(parameters["DatabaseMaxCapacity"])
    limit = MAXIMUM if low >= 1 else MAXIMUM_WHEN_SMALL
    return min(limit, int(CONNECTIONS_PER_UNIT * high - RESERVED))


def secret_name(secrets: Any, words: str) -> str | None:
    """Return the newest secret whose name or description holds ``words``, if any.

    ``secrets`` is a client of Secrets Manager.
    """
    names = [
        entry["ARN"]
        for page in secrets.get_paginator("list_secrets").paginate()
        for entry in page["SecretList"]
        if words in entry["Name"] or words in entry.get("Description", "")
    ]
    return names[-1] if names else None


def login(secrets: Any, words: str) -> dict[str, str] | None:
    """Return the value of the secret that ``secret_name`` finds."""
    name = secret_name(secrets, words)
    if name is None:
        return None
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    secret: dict[str, str] = json.loads(value)
    return secret


def database(
    dist: Path, authority: Authority, master: Mapping[str, str], connections: int
) -> Postgres:
    """Return the database that replaces Aurora, not started."""
    return Postgres(
        authority=authority,
        master_user=master["username"],
        master_password=master["password"],
        settings=database_settings(dist),
        max_connections=connections,
    )


def broker(dist: Path, authority: Authority, password: str) -> Valkey:
    """Return the broker that replaces ElastiCache, not started."""
    return Valkey(
        authority=authority,
        access=broker_access(dist),
        password=password,
        settings=broker_settings(dist),
    )

"""Read and check the environment variables that the task definition sets.

Names and addresses are plain variables; users and passwords come from the JSON keys
``username`` and ``password`` of a secret. A value never enters a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HIGHEST_PORT = 65535

MAINTENANCE_DATABASE = "postgres"
"""Where the master user connects: every PostgreSQL has it."""


class EnvError(Exception):
    """A variable is missing or invalid; the message names it."""


class DatabaseLogin(NamedTuple):
    """Server, database, role and password of a PostgreSQL session."""

    host: str
    port: int
    name: str
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.user} at {self.host}:{self.port}, database {self.name}"


def required(environ: Mapping[str, str], name: str) -> str:
    """Return the variable ``name``, which must be set and not empty."""
    value = environ.get(name, "")
    if not value:
        state = "is empty" if name in environ else "is not set"
        raise EnvError(
            f"{name} {state}; the task definition takes it from a secret or an input"
        )
    return value


def host(environ: Mapping[str, str], name: str) -> str:
    """Return a host name: a stray character would change where a URL points."""
    value = required(environ, name)
    if not value.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise EnvError(f"{name} is not a host name")
    return value


def port(environ: Mapping[str, str], name: str) -> int:
    """Return a TCP port."""
    value = required(environ, name)
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= HIGHEST_PORT):
        raise EnvError(f"{name} is not a port between 1 and {HIGHEST_PORT}")
    return int(value)


def database_login(
    environ: Mapping[str, str], store: str, *, role: str = "", name: str = ""
) -> DatabaseLogin:
    """Return the login to the database of ``store``, METADATA or RESULTS.

    It is that of the owner, unless ``role`` names another prefix of variables.
    """
    return DatabaseLogin(
        host=host(environ, f"{store}_HOST"),
        port=port(environ, f"{store}_PORT"),
        name=name or required(environ, f"{store}_NAME"),
        user=required(environ, f"{role or store}_USER"),
        password=required(environ, f"{role or store}_PASSWORD"),
    )


def autoscaler_login(environ: Mapping[str, str]) -> DatabaseLogin:
    """Return the autoscaler's login to the metadata database."""
    return database_login(environ, "METADATA", role="SCALING")


def master_login(environ: Mapping[str, str]) -> DatabaseLogin:
    """Return the login of the master user of RDS."""
    return database_login(environ, "METADATA", role="MASTER", name=MAINTENANCE_DATABASE)

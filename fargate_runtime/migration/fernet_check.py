"""Check that this environment's Fernet keys decrypt what its database holds.

A database restored from a snapshot was encrypted with the key of another environment.
With a generated key all looks well until the first task reads a connection.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fargate_runtime import keys
from fargate_runtime.migration.databases import DatabaseError, connect, first_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fargate_runtime.env import DatabaseLogin

ENCRYPTED = (
    ("connection", "password", "is_encrypted"),
    ("connection", "extra", "is_extra_encrypted"),
    ("variable", "val", "is_encrypted"),
)
"""Table of Airflow, column of Fernet tokens, and column that says whether it is one."""

MOST_VALUES = 1000
"""Values that are read of each column: milliseconds to decrypt."""

QUERY = (
    "SELECT array_agg({0}) FROM "
    "(SELECT {0} FROM {1} WHERE {2} AND {0} <> '' LIMIT %s) AS stored"
)


class FernetKeyError(Exception):
    """The keys decrypt nothing of the database; the message is for the operator."""


def check_fernet_key(
    environ: Mapping[str, str], airflow: DatabaseLogin, say: Callable[[str], None]
) -> None:
    """Raise FernetKeyError where there are encrypted values and none can be decrypted.

    One that can is enough: a rotation that skipped a step leaves values of an older
    key, which must not hold up a launch.
    """
    fernet = import_module("cryptography.fernet")
    own = fernet.MultiFernet(
        [fernet.Fernet(key) for key in keys.fernet(environ).split(",")]
    )
    error = import_module("psycopg2").Error
    try:
        connection = connect(airflow)
        try:
            stored = [*_stored(connection)]
        finally:
            connection.close()
    except error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    readable = sum(_is_readable(own, token, fernet.InvalidToken) for token in stored)
    if stored and not readable:
        raise FernetKeyError(
            "the Fernet key does not fit this database: it decrypts none of the "
            f"{len(stored)} stored passwords, extras and variables, so no task could "
            "use them; nothing was migrated; set FernetKeySecretArn to the Fernet "
            "secret of the environment that wrote them, and launch again"
        )
    say(f"The Fernet key decrypts {readable} of {len(stored)} stored values")


def _stored(connection: Any) -> Iterator[str]:
    """Yield the Fernet tokens of the database; a new one has no tables yet."""
    sql = import_module("psycopg2.sql")
    for table, column, is_encrypted in ENCRYPTED:
        if first_value(connection, "SELECT to_regclass(%s) IS NOT NULL", table):
            names = (sql.Identifier(name) for name in (column, table, is_encrypted))
            query = sql.SQL(QUERY).format(*names)
            yield from first_value(connection, query, MOST_VALUES) or ()


def _is_readable(own: Any, token: str, invalid: type[Exception]) -> bool:
    try:
        own.decrypt(token.encode())
    except invalid:
        return False
    return True

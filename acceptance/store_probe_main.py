"""Queries the datastores with the packages of the image; run by Airflow's own Python.

Reads calls as JSON, each ``[function, environ, arguments]``, and writes their results.
When a datastore or TLS refuses, it ends with status 1 and the error, which holds no
password.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from fargate_runtime import connections
from fargate_runtime.env import DatabaseLogin
from fargate_runtime.migration import databases

# By name: the checker runs where these are not installed.
kombu: Any = import_module("kombu")
psycopg2: Any = import_module("psycopg2")
redis: Any = import_module("redis")
sqlalchemy: Any = import_module("sqlalchemy")
asynchronous: Any = import_module("sqlalchemy.ext.asyncio")

ROLE = "check_passwords"

Environ = dict[str, str]


def rows(environ: Environ, query: str, values: Sequence[Any]) -> list[list[Any]]:
    """Return the rows of a query to the metadata database."""
    connection = databases.connect(_login(environ, "METADATA"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, tuple(values))
            return [list(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def logins(
    environ: Environ, database: str, pairs: Sequence[tuple[str, str]]
) -> list[str]:
    """Return the error of the results server for each login, empty for a success."""
    server = _login(environ, "RESULTS")
    errors = []
    for user, password in pairs:
        login = server._replace(name=database, user=user, password=password)
        try:
            databases.connect(login).close()
        except psycopg2.Error as error:
            errors.append(" ".join(str(error).split()))
        else:
            errors.append("")
    return errors


def login_as(environ: Environ, master: dict[str, str], password: str) -> dict[str, str]:
    """Return the user that each datastore reports, by every URL of the runtime.

    ``master`` makes a role with this password, and its database; both are dropped.
    """
    server = _login(environ, "METADATA")
    administrator = databases.connect(
        server._replace(
            name="postgres", user=master["username"], password=master["password"]
        )
    )
    own = server._replace(name=ROLE, user=ROLE, password=password)
    try:
        databases.provide(administrator, own)
        role_environ = environ | {
            f"{store}_{field}": value
            for store in ("METADATA", "RESULTS")
            for field, value in (
                ("NAME", ROLE),
                ("USER", ROLE),
                ("PASSWORD", password),
                ("HOST", server.host),
                ("PORT", str(server.port)),
            )
        }
        metadata = connections.metadata(role_environ)
        return {
            "metadata": _current_user(metadata),
            "metadata, asynchronous": asyncio.run(_current_user_async(metadata)),
            "results": _current_user(
                connections.results(role_environ).removeprefix("db+")
            ),
            "broker": _broker_user(connections.broker(role_environ)),
        }
    finally:
        with administrator.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {ROLE} WITH (FORCE)")
            cursor.execute(f"DROP ROLE IF EXISTS {ROLE}")
        administrator.close()


def _login(environ: Environ, store: str) -> DatabaseLogin:
    return DatabaseLogin(
        host=environ[f"{store}_HOST"],
        port=int(environ[f"{store}_PORT"]),
        name=environ[f"{store}_NAME"],
        user=environ[f"{store}_USER"],
        password=environ[f"{store}_PASSWORD"],
    )


def _current_user(url: str) -> str:
    engine = sqlalchemy.create_engine(url, connect_args=connections.CONNECT_ARGS)
    with engine.connect() as connection:
        user: str = connection.execute(sqlalchemy.text("SELECT current_user")).scalar()
    engine.dispose()
    return user


async def _current_user_async(url: str) -> str:
    engine = asynchronous.create_async_engine(
        url.replace("psycopg2", "asyncpg"), connect_args=connections.CONNECT_ARGS_ASYNC
    )
    async with engine.connect() as connection:
        result = await connection.execute(sqlalchemy.text("SELECT current_user"))
        user: str = result.scalar()
    await engine.dispose()
    return user


def _broker_user(url: str) -> str:
    with kombu.Connection(url, ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED}) as connection:
        user: bytes = connection.default_channel.client.execute_command("ACL", "WHOAMI")
        return user.decode()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "rows": rows,
    "logins": logins,
    "login_as": login_as,
}


def main() -> int:
    """Make every call."""
    results = []
    try:
        for name, environ, arguments in json.load(sys.stdin):
            # What libpq, asyncpg and Celery read themselves.
            for key in ("PGSSLMODE", "PGSSLROOTCERT", "SSL_CERT_FILE"):
                os.environ[key] = environ[key]
            results.append(FUNCTIONS[name](environ, *arguments))
    except (psycopg2.Error, redis.RedisError, sqlalchemy.exc.SQLAlchemyError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    sys.stdout.write(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())

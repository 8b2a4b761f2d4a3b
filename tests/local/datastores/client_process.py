"""Calls the datastores with the packages of the image; run by Airflow's Python.

Reads requests as lines of JSON, ``[function, arguments]``, and answers each with one:
``{"answer": ...}``, or ``{"refused": ...}`` with what the server or TLS said.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fargate_runtime import connections
from fargate_runtime.env import DatabaseLogin
from fargate_runtime.migration import databases

# By name: the checker runs where these are not installed.
celery: Any = import_module("celery")
testing: Any = import_module("celery.contrib.testing.worker")
kombu: Any = import_module("kombu")
psycopg2: Any = import_module("psycopg2")
redis: Any = import_module("redis")
sqlalchemy: Any = import_module("sqlalchemy")
asynchronous: Any = import_module("sqlalchemy.ext.asyncio")

PATIENCE_SECONDS = 10


def sql(environ: dict[str, str], *statements: str) -> Any:
    """Run statements as libpq's variables say; return the rows of the last one."""
    os.environ.update(environ)
    connection = psycopg2.connect("")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def valkey(options: dict[str, Any], *commands: list[str]) -> Any:
    """Run commands; return the answer to the last one."""
    # Only the authority that the caller names is trusted.
    os.environ.pop("SSL_CERT_FILE", None)
    client = redis.Redis(socket_timeout=PATIENCE_SECONDS, **options)
    answer = None
    for command in commands:
        answer = client.execute_command(*command)
    return answer.decode() if isinstance(answer, bytes) else answer


def stores(environ: dict[str, str]) -> list[str]:
    """Prepare the databases, connect to every store, say as whom."""
    os.environ.update(environ)
    os.environ["SSL_CERT_FILE"] = environ["PGSSLROOTCERT"]
    master, airflow, celery_results = (
        DatabaseLogin(
            host=environ["METADATA_HOST"],
            port=int(environ["METADATA_PORT"]),
            name=environ[f"{store}_NAME"],
            user=environ[f"{store}_USER"],
            password=environ[f"{store}_PASSWORD"],
        )
        for store in ("MASTER", "METADATA", "RESULTS")
    )
    databases.prepare(master, airflow, celery_results, say=lambda _: None)
    metadata = connections.metadata(environ)
    results = connections.results(environ).removeprefix("db+")
    return [
        _who(metadata),
        asyncio.run(_who_async(metadata.replace("psycopg2", "asyncpg"))),
        _who(results),
        _broker_user(connections.broker(environ)),
    ]


def _who(url: str) -> str:
    engine = sqlalchemy.create_engine(url, connect_args=connections.CONNECT_ARGS)
    with engine.connect() as connection:
        user: str = connection.execute(sqlalchemy.text("SELECT current_user")).scalar()
    engine.dispose()
    return user


async def _who_async(url: str) -> str:
    engine = asynchronous.create_async_engine(
        url, connect_args=connections.CONNECT_ARGS_ASYNC
    )
    async with engine.connect() as connection:
        answer = await connection.execute(sqlalchemy.text("SELECT current_user"))
        user: str = answer.scalar()
    await engine.dispose()
    return user


def _broker_user(url: str) -> str:
    with kombu.Connection(url, ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED}) as connection:
        client = connection.default_channel.client
        assert client.ping()
        return str(client.connection_pool.connection_kwargs["username"])


def work(environ: dict[str, str]) -> dict[str, Any]:
    """Run a Celery worker, a task and remote control of it."""
    os.environ["SSL_CERT_FILE"] = environ["PGSSLROOTCERT"]
    app = celery.Celery(
        broker=connections.broker(environ),
        backend="cache+memory://",
        set_as_current=False,
    )
    app.conf.update(
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
        task_default_queue="default",
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
    )

    @app.task(name="double")  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        return 2 * number

    with testing.start_worker(
        app, pool="solo", perform_ping_check=False, shutdown_timeout=PATIENCE_SECONDS
    ):
        value = double.delay(21).get(timeout=PATIENCE_SECONDS)
        pong = app.control.ping(timeout=PATIENCE_SECONDS, limit=1)
        stopped = app.control.cancel_consumer("default", reply=True, limit=1)
    return {"value": value, "ping": len(pong), "stopped": len(stopped)}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sql": sql,
    "valkey": valkey,
    "stores": stores,
    "work": work,
}
REFUSALS = (
    psycopg2.Error,
    redis.RedisError,
    sqlalchemy.exc.SQLAlchemyError,
    databases.DatabaseError,
    ssl.SSLError,
)


def main() -> None:
    """Answer until the requests end."""
    answers = sys.stdout
    # What a library prints is not an answer.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            reply: dict[str, Any] = {"answer": FUNCTIONS[name](*arguments)}
        except REFUSALS as error:
            reply = {"refused": " ".join(str(error).split())}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

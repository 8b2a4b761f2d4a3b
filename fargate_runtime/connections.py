"""URLs of the datastores: ``python -m fargate_runtime.connections NAME``.

``start`` sets them for the container's command. Any other process, such as a shell,
has ``AIRFLOW__..._CMD``: Airflow runs this each time it reads the setting, and takes
every byte of the output: there is no newline. A password may hold any character.

TLS of PostgreSQL stays out of the URLs: Airflow hands the metadata URL to asyncpg
too, which refuses libpq's query parameters. Both read ``PGSSLMODE`` and
``PGSSLROOTCERT``.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from fargate_runtime.contract import CONNECT_ARGS
from fargate_runtime.env import EnvError, host, port, required

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CONNECT_ARGS"]
# Airflow imports both by ``AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS[_ASYNC]``.

CONNECT_ARGS_ASYNC = {"timeout": 15}
"""For asyncpg, which has no keepalives; seconds."""


def metadata(environ: Mapping[str, str]) -> str:
    """Return the URL of Airflow's own database."""
    return "postgresql+psycopg2" + _database(environ, "METADATA")


def results(environ: Mapping[str, str]) -> str:
    """Return the URL of the database of Celery's results."""
    return "db+postgresql+psycopg2" + _database(environ, "RESULTS")


def broker(environ: Mapping[str, str]) -> str:
    """Return the URL of the broker; kombu knows Valkey as ``rediss``."""
    return f"rediss{_server(environ, 'BROKER')}/0"


def _database(environ: Mapping[str, str], store: str) -> str:
    return f"{_server(environ, store)}/{quote(required(environ, f'{store}_NAME'), '')}"


def _server(environ: Mapping[str, str], store: str) -> str:
    user = quote(required(environ, f"{store}_USER"), "")
    password = quote(required(environ, f"{store}_PASSWORD"), "")
    server = f"{host(environ, f'{store}_HOST')}:{port(environ, f'{store}_PORT')}"
    return f"://{user}:{password}@{server}"


URLS = {"metadata": metadata, "results": results, "broker": broker}


def main(arguments: Sequence[str]) -> int:
    """Print one URL; return 1, with one line, when it cannot be built."""
    if len(arguments) != 1 or arguments[0] not in URLS:
        sys.stderr.write(
            f"fargate_runtime.connections: name one of {', '.join(URLS)}\n"
        )
        return 2
    try:
        sys.stdout.write(URLS[arguments[0]](os.environ))
    except EnvError as error:
        sys.stderr.write(f"fargate_runtime.connections {arguments[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

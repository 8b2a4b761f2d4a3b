"""One pair of datastores and one client for each test process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.wiring import Build
from local.airflow_environment import airflow_environment
from local.datastores import (
    Authority,
    Postgres,
    Valkey,
    broker_access,
    broker_settings,
    database_settings,
)
from templates import cache, database
from tests.local.datastores.clients import MASTER, PASSWORD, WRITER, Client, Datastores


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the templates of the datastores."""
    folder = tmp_path_factory.mktemp("dist")
    for name, page in (("cache", cache), ("database", database)):
        template = folder / f"{name}.template.json"
        template.write_text(Build().template(page.define).text())
    return folder


@pytest.fixture(scope="session")
def datastores(
    dist: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Datastores]:
    """Start both datastores, and stop them."""
    folder = tmp_path_factory.mktemp("datastores")
    authority = Authority(folder / "tls")
    postgres = Postgres(
        authority=authority,
        master_user=MASTER,
        master_password=PASSWORD,
        settings=database_settings(dist),
        max_connections=189,
        names=[WRITER],
    )
    access = broker_access(dist)
    valkey = Valkey(
        authority=authority,
        access=access,
        password=PASSWORD,
        settings=broker_settings(dist),
        memory_mebibytes=8,
    )
    try:
        database = postgres.start(folder / "postgres")
        broker = valkey.start(folder / "valkey")
        yield Datastores(authority, postgres, database, valkey, broker, access)
    finally:
        postgres.stop()
        valkey.stop()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Give a client with the packages of the image."""
    client = Client(airflow_environment().python)
    yield client
    client.close()

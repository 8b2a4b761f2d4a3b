"""One pair of engines and one client for each test process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.airflow_environment import airflow_environment
from local.engines import (
    Authority,
    Postgres,
    Valkey,
    broker_access,
    broker_settings,
    database_settings,
)
from tests.local_engines.clients import MASTER, PASSWORD, ROOT, WRITER, Client, Engines


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the templates: the engines are as these say."""
    folder = tmp_path_factory.mktemp("compiled") / "dist"
    subprocess.run(  # noqa: S603 - our own build
        [ROOT / ".venv/bin/python", "build.py", "templates", "--dist", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def engines(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Start both engines, and stop them."""
    folder = tmp_path_factory.mktemp("engines")
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
        memory_mebibytes=24,
    )
    try:
        database = postgres.start(folder / "postgres")
        broker = valkey.start(folder / "valkey")
        yield Engines(authority, postgres, database, valkey, broker, access)
    finally:
        postgres.stop()
        valkey.stop()


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Give a client with the packages of the image."""
    one = Client(airflow_environment().python)
    yield one
    one.close()

"""One Valkey and one client for each test process, a queue for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.wiring import Build
from local.datastores import Authority, Valkey, broker_access, broker_settings
from templates import cache
from tests.fargate_runtime.celery_worker.bench import Bench, Client, stores
from tests.fargate_runtime.celery_worker.fake_ecs import FakeEcs

PASSWORD = "a:b/c?d#e%f@g h&i=j+k'\"$HOME~\\"  # noqa: S105 - of a server of our own


@pytest.fixture(scope="session")
def broker(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Valkey, dict[str, str], Client]]:
    """Start a Valkey as the template describes it, and a client of it."""
    folder = tmp_path_factory.mktemp("broker")
    (folder / "cache.template.json").write_text(Build().template(cache.define).text())
    access = broker_access(folder)
    valkey = Valkey(
        authority=Authority(folder / "tls"),
        access=access,
        password=PASSWORD,
        settings=broker_settings(folder),
    )
    try:
        environment = stores(valkey.start(folder / "valkey"), access, PASSWORD)
        client = Client(environment)
        yield valkey, environment, client
        client.close()
    finally:
        valkey.stop()


@pytest.fixture
def bench(
    broker: tuple[Valkey, dict[str, str], Client],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Bench]:
    """Give a test its queue, its fake ECS and its workers."""
    valkey, environment, client = broker
    ecs = FakeEcs()
    queue = re.sub(r"\W+", "_", request.node.name)
    bench = Bench(valkey, environment, client, ecs, tmp_path, queue)
    try:
        yield bench
    finally:
        bench.close()
        ecs.close()

"""Datastores end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.datastores import Authority, DatastoreError, Postgres
from tests.local.datastores.clients import ROOT

pytestmark = pytest.mark.slow

START_DATASTORES = """
import sys, time
from pathlib import Path
from local.datastores import Authority, BrokerAccess, Postgres, Valkey
folder = Path(sys.argv[1])
authority = Authority(folder / "tls")
postgres = Postgres(authority=authority, master_user="m", master_password="p",
                    settings={}, max_connections=20)
valkey = Valkey(authority=authority, access=BrokerAccess("u", "on ~* &* +@all"),
                password="p", settings={})
postgres.start(folder / "postgres")
valkey.start(folder / "valkey")
print(postgres.pid, valkey.pid, valkey.listener_pid, flush=True)
time.sleep(60)
"""
PATIENCE_SECONDS = 60


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_datastores_end_with_a_killed_process(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", START_DATASTORES, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        starter.kill()
    until(lambda: not any(map(is_alive, pids)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder = tmp_path_factory.mktemp("server")
    server = small(folder)
    server.start(folder / "postgres")
    yield server
    server.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_a_datastore(server: Postgres) -> None:
    # The database would end before the services that use it.
    assert server.pid
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_two_servers_run_side_by_side(server: Postgres, tmp_path: Path) -> None:
    other = small(tmp_path)
    try:
        assert other.start(tmp_path / "postgres").port != server.restart().port
        assert server.pid
        assert other.pid
    finally:
        other.stop()


def test_stopped_server_leaves_no_process(server: Postgres) -> None:
    pid = server.pid
    assert pid
    server.stop()
    assert not is_alive(pid)
    assert server.pid is None
    server.stop()
    server.restart()


def test_crashed_server_has_no_pid(server: Postgres) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not server.pid)
    server.restart()
    assert server.pid


def test_failed_start_says_why(tmp_path: Path) -> None:
    server = small(tmp_path, no_such_setting="1")
    with pytest.raises(DatastoreError, match="no_such_setting"):
        server.start(tmp_path / "postgres")
    assert server.pid is None


def small(folder: Path, **settings: str) -> Postgres:
    return Postgres(
        authority=Authority(folder / "tls"),
        master_user="master",
        master_password="secret",  # noqa: S106 - of a test server
        settings=settings,
        max_connections=20,
    )

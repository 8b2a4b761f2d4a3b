"""Engines end with whoever started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.datastores import Authority, DatastoreEndpoint, DatastoreError, Postgres
from tests.local.datastores.clients import ROOT

pytestmark = pytest.mark.slow

STARTS_ENGINES = """
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
PATIENCE_SECONDS = 10


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_engines_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    # A rehearsal that was killed left its servers to the next one's table of ports.
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", STARTS_ENGINES, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(lives, pids))
        starter.kill()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(lives, pids)):
        assert time.monotonic() < deadline, "an engine is left over"
        time.sleep(0.05)


def test_a_ctrl_c_in_the_terminal_does_not_reach_an_engine(tmp_path: Path) -> None:
    # The database would go before the services that use it.
    server = small(tmp_path)
    server.start(tmp_path / "postgres")
    try:
        assert server.pid
        assert os.getpgid(server.pid) != os.getpgid(0)
    finally:
        server.stop()


def test_a_stopped_engine_leaves_no_process(tmp_path: Path) -> None:
    server = small(tmp_path)
    server.start(tmp_path / "postgres")
    pid = server.pid
    assert pid
    server.stop()
    assert not lives(pid)
    assert server.pid is None
    server.stop()


def test_two_servers_run_side_by_side(tmp_path: Path) -> None:
    servers = [small(tmp_path / name) for name in "ab"]
    try:
        found: list[DatastoreEndpoint] = [
            server.start(tmp_path / name / "postgres")
            for server, name in zip(servers, "ab", strict=True)
        ]
        assert found[0].port != found[1].port
        assert all(server.pid for server in servers)
    finally:
        for server in servers:
            server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = small(tmp_path, no_such_setting="1")
    with pytest.raises(DatastoreError, match="no_such_setting"):
        server.start(tmp_path / "postgres")
    assert server.pid is None


def test_the_pid_tells_when_an_engine_has_crashed(tmp_path: Path) -> None:
    server = small(tmp_path)
    server.start(tmp_path / "postgres")
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.pid:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.restart()
    assert server.pid
    server.stop()


def small(folder: Path, **settings: str) -> Postgres:
    return Postgres(
        authority=Authority(folder / "tls"),
        master_user="master",
        master_password="secret",  # noqa: S106 - of a server of our own
        settings=settings,
        max_connections=20,
    )

"""Connections of a control group, refused by the kernel."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.ecs.connect_filter import ConnectFilter, FilterUnavailableError, cgroup2

CONNECT = """
import os, socket, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write(str(os.getpid()))
for port in sys.argv[3:]:
    try:
        socket.create_connection((sys.argv[2], int(port)), 5)
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def group() -> Iterator[ConnectFilter]:
    try:
        filtered = ConnectFilter(
            cgroup2() / f"airflow-test-{secrets.token_hex(4)}", "127.77.0.9"
        )
    except FilterUnavailableError as error:
        pytest.skip(str(error))
    yield filtered
    filtered.close()
    assert filtered.remove()


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.77.0.5", 0)) as listener:
        yield listener.getsockname()


def connect(group: ConnectFilter, host: str, *ports: int) -> list[str]:
    words = [sys.executable, "-I", "-S", "-c", CONNECT, str(group.folder), host]
    done = subprocess.run(  # noqa: S603 - the program above
        [*words, *map(str, ports)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_other_destinations_are_refused_and_counted(
    group: ConnectFilter, server: tuple[str, int]
) -> None:
    host, port = server
    group.set_permitted({(host, 1), server})
    assert connect(group, host, port, port, 2) == [
        "connected",
        "connected",
        "PermissionError",
    ]
    group.set_permitted({(host, 1)})
    assert connect(group, host, port) == ["PermissionError"]
    assert group.used() == {}
    assert group.refused() == {(host, 2): 1, server: 1}


def test_counts_of_destinations_that_stay_are_kept(
    group: ConnectFilter, server: tuple[str, int]
) -> None:
    group.set_permitted({server})
    connect(group, *server)
    group.set_permitted({server, ("127.77.0.6", 1)})
    connect(group, *server)
    assert group.used() == {server: 2}
    assert group.refused() == {}


def test_a_task_may_call_itself(group: ConnectFilter) -> None:
    with socket.create_server(("127.77.0.9", 0)) as own:
        port = own.getsockname()[1]
        assert connect(group, "127.77.0.9", port) == ["connected"]

"""Connections of a control group, refused by the kernel."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Network

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


OUTSIDE = "192.0.2.10"


def test_ranges_permit_their_ports_and_no_others(
    group: ConnectFilter, server: tuple[str, int]
) -> None:
    # No server is there: the redirection shows that the connection was permitted.
    ports = (21, 22, 443, 5432, 5439, 5440, 65535)
    redirected = {(OUTSIDE, port): server for port in ports}
    ranges = [
        (IPv4Network("192.0.2.0/24"), range(5432, 5440)),
        (IPv4Network("192.0.2.10/32"), range(22, 23)),
        (IPv4Network("0.0.0.0/0"), range(443, 444)),
    ]
    group.set_permitted((), ranges, redirected)
    refused = "PermissionError"
    assert connect(group, OUTSIDE, *ports) == [
        *(refused, "connected", "connected", "connected", "connected"),
        *(refused, refused),
    ]
    group.set_permitted((), ranges[:1], redirected)
    assert connect(group, OUTSIDE, 22, 5432) == [refused, "connected"]


def test_a_range_opens_nothing_on_this_machine(
    group: ConnectFilter, server: tuple[str, int]
) -> None:
    host, port = server
    for text in ("0.0.0.0/0", f"{host}/32"):
        group.set_permitted((), [(IPv4Network(text), range(65536))])
        assert connect(group, host, port) == ["PermissionError"]

"""Give every Python process of a task the task's own address and host name.

A task on Fargate has its own network interface. Here all tasks share one machine,
without privileges, so a server on every address listens on the task's loopback address
instead, and the host name is that address. Two API servers can then use the same port,
and Airflow finds a worker's log server in its usual way.

Where another program of the machine holds a port on every address, ``LOCAL_PORTS`` maps
it to the port used instead at the addresses of all tasks, which begin with
``LOCAL_BLOCK``.

Python imports a module of this name by itself when it starts.
"""

import os
import socket
from typing import Any

ADDRESS = os.environ.get("LOCAL_TASK_ADDRESS", "")

BLOCK = os.environ.get("LOCAL_BLOCK", "")
PORTS = {
    int(pair.partition("=")[0]): int(pair.partition("=")[2])
    for pair in os.environ.get("LOCAL_PORTS", "").split(",")
    if pair
}

_bind = socket.socket.bind
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _bind_to_task(self: socket.socket, address: object, /) -> None:
    if isinstance(address, tuple) and self.type & socket.SOCK_STREAM:
        host, port = address[0], PORTS.get(address[1], address[1])
        if self.family == socket.AF_INET and host in {"", "0.0.0.0"}:  # noqa: S104 - to replace it
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = (ADDRESS, port)
        elif self.family == socket.AF_INET6 and host in {"", "::"}:
            # A server on "every address" opens one socket for each family. Both
            # mean the same address here, hence the shared port.
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = (f"::ffff:{ADDRESS}", port, *address[2:])
    _bind(self, address)  # type: ignore[arg-type] # whatever the caller gave


def _moved(address: Any) -> Any:
    if isinstance(address, tuple) and str(address[0]).startswith(BLOCK):
        return (address[0], PORTS.get(address[1], address[1]), *address[2:])
    return address


def _connect_to_task(self: socket.socket, address: Any, /) -> None:
    _connect(self, _moved(address))


def _connect_ex_to_task(self: socket.socket, address: Any, /) -> int:
    return _connect_ex(self, _moved(address))


if PORTS and BLOCK:
    socket.socket.connect = _connect_to_task  # type: ignore[assignment, method-assign] # the point
    socket.socket.connect_ex = _connect_ex_to_task  # type: ignore[assignment, method-assign] # as above
if ADDRESS:
    socket.socket.bind = _bind_to_task  # type: ignore[assignment, method-assign] # the point
    socket.gethostname = lambda: ADDRESS

"""Give every Python process of a task the task's own address and host name.

A task on Fargate has a network interface of its own. Here all tasks share one machine
and no privilege is at hand to change that, so what listens on every address listens on
the task's loopback address instead, and the host's name is that address. Two API
servers then have the same port without being in each other's way, and Airflow's way to
find a worker's log server works unchanged.

Python imports a module of this name by itself when it starts.
"""

import os
import socket

ADDRESS = os.environ.get("LOCAL_TASK_ADDRESS", "")

_bind = socket.socket.bind


def _bind_to_task(self: socket.socket, address: object, /) -> None:
    if isinstance(address, tuple) and self.type & socket.SOCK_STREAM:
        host, port = address[:2]
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


if ADDRESS:
    socket.socket.bind = _bind_to_task  # type: ignore[assignment, method-assign] # the point
    socket.gethostname = lambda: ADDRESS

"""The TCP proxy of a Service Connect name."""

from __future__ import annotations

import gc
import socket

import pytest

from local.datastores.processes import free_port
from local.ecs.service_connect import ServiceConnectProxy

SECONDS = 30.0


def test_servers_see_the_end_of_a_client_that_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # asyncio once forgot the connection with the client, and logged a destroyed task.
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ServiceConnectProxy("127.0.0.1", port)
        proxy.route_to([listener.getsockname()])
        try:
            with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
                server, _ = listener.accept()
                client.sendall(b"last words")
            with server:
                server.settimeout(SECONDS)
                text = b""
                while data := server.recv(64):
                    text += data
                for _ in range(3):
                    gc.collect()
                assert text == b"last words"
                server.sendall(b"too late")
        finally:
            proxy.close()
    gc.collect()
    assert not caplog.records

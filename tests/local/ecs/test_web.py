"""The HTTP server: failures are answered and reported."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from tests.local.ecs.fakes import until


def answer(request: HttpRequest) -> HttpResponse:
    if request.target == "/good":
        return HttpResponse(200, b"good")
    raise LookupError("no such operator")


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def server(problems: list[str]) -> Iterator[HttpServer]:
    server = HttpServer(answer, on_error=problems.append)
    yield server
    server.close()


def get(server: HttpServer, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(server.host, server.port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def test_a_handler_that_raises_answers_500_and_reports_it(
    server: HttpServer, problems: list[str]
) -> None:
    text = "GET /bad failed: LookupError: no such operator"
    assert get(server, "/bad?X-Amz-Security-Token=secret") == (500, text.encode())
    assert problems == [text]
    assert get(server, "/good") == (200, b"good")


def test_a_connection_that_fails_is_reported(
    server: HttpServer, problems: list[str]
) -> None:
    with socket.create_connection((server.host, server.port), 5) as connection:
        connection.sendall(b"PUT /good HTTP/1.1\r\nContent-Length: many\r\n\r\n")
        assert connection.recv(100) == b""
    assert "ValueError" in until(lambda: problems)[0]


def test_a_client_that_goes_away_is_not_reported(
    server: HttpServer, problems: list[str]
) -> None:
    with socket.create_connection((server.host, server.port), 5) as connection:
        connection.sendall(b"PUT /good HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf")
        # A reset instead of a regular end.
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    assert get(server, "/good") == (200, b"good")
    assert problems == []

"""Fixtures of the acceptance checks' own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from local.datastores import Authority
from local.datastores.certificates import Certificate
from local.ecs.web import HttpRequest, HttpResponse, HttpServer


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="session")
def issued(authority: Authority) -> Certificate:
    return authority.issue("server")


@pytest.fixture
def serve(issued: Certificate) -> Iterator[Callable[..., HttpServer]]:
    """Give a function that starts an HTTPS server, by its handler."""
    servers: list[HttpServer] = []

    def start(handle: Callable[[HttpRequest], HttpResponse]) -> HttpServer:
        certificate = (issued.certificate_path, issued.key_path)
        servers.append(HttpServer(handle, certificate=certificate))
        return servers[-1]

    yield start
    for server in servers:
        server.close()

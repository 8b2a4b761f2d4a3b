"""Health checks: good, bad, and one clear line."""

from __future__ import annotations

import socket
import ssl
import sys
from types import ModuleType
from typing import Any

import pytest

from fargate_runtime import health
from tests.fargate_runtime.migration.fake_postgresql import Server, verifier

STORES = {
    "METADATA_HOST": "db.example",
    "METADATA_PORT": "5433",
    "METADATA_NAME": "postgres",
    "METADATA_USER": "airflow",
    "METADATA_PASSWORD": "p/w",
    "BROKER_HOST": "cache.example",
    "BROKER_PORT": "6379",
    "BROKER_USER": "celery",
    "BROKER_PASSWORD": "b/w",
}


@pytest.fixture(autouse=True)
def _stores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STORES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIRFLOW__CELERY__SSL_CACERT", raising=False)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    server.verifiers["airflow"] = verifier("p/w")
    server.install(monkeypatch)
    return server


class Celery:
    """The parts of Celery that a ping needs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alive = {f"celery@{socket.gethostname()}"}
        self.broken = False
        self.settings: dict[str, Any] = {}
        self.conf = self
        self.control = self
        celery, exceptions = ModuleType("celery"), ModuleType("kombu.exceptions")
        celery.__dict__["Celery"] = self.make
        exceptions.__dict__["KombuError"] = type("KombuError", (Exception,), {})
        monkeypatch.setitem(sys.modules, "celery", celery)
        monkeypatch.setitem(sys.modules, "kombu", ModuleType("kombu"))
        monkeypatch.setitem(sys.modules, "kombu.exceptions", exceptions)

    def make(self, **settings: Any) -> Celery:
        self.settings |= settings
        return self

    def update(self, **settings: Any) -> None:
        self.settings |= settings

    def ping(
        self, *, destination: list[str], timeout: float, limit: int
    ) -> list[dict[str, Any]]:
        assert timeout < 10
        assert limit == 1
        if self.broken:
            raise ConnectionRefusedError(111, "Connection refused")
        return [{name: {"ok": "pong"}} for name in destination if name in self.alive]


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> Celery:
    return Celery(monkeypatch)


@pytest.mark.parametrize("component", ["scheduler", "dag-processor", "triggerer"])
@pytest.mark.parametrize(
    ("age", "words"),
    [
        (3.2, ""),
        (None, "Job of "),
        (health.OLDEST_HEARTBEAT_SECONDS + 1, "is 61 s old"),
    ],
)
def test_job_is_healthy_while_its_heartbeat_is_fresh(
    database: Server,
    capsys: pytest.CaptureFixture[str],
    component: str,
    age: float | None,
    words: str,
) -> None:
    database.answers["latest_heartbeat"] = (age,)
    assert health.main([component]) == (1 if words else 0)
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == (1 if words else 0)
    assert health.JOBS[component] in database.statements[-1]
    assert health.own_address() in database.statements[-1]
    assert database.connections == 0


def test_jobs_are_unhealthy_without_their_database(
    database: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    database.refusals = ["connection\nrefused"]
    assert health.main(["scheduler"]) == 1
    assert "the database does not answer: connection refused" in capsys.readouterr().err


def test_worker_is_healthy_while_it_answers(celery: Celery) -> None:
    assert health.main(["worker"]) == 0
    assert celery.settings["broker"] == "rediss://celery:b%2Fw@cache.example:6379/0"
    # A bare rediss:// URL would not check the certificate.
    assert celery.settings["broker_use_ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def test_another_worker_does_not_answer_for_this_one(
    celery: Celery, capsys: pytest.CaptureFixture[str]
) -> None:
    celery.alive = {"celery@elsewhere"}
    assert health.main(["worker"]) == 1
    assert "does not answer over the broker" in capsys.readouterr().err


def test_workers_are_unhealthy_without_their_broker(
    celery: Celery, capsys: pytest.CaptureFixture[str]
) -> None:
    celery.broken = True
    assert health.main(["worker"]) == 1
    assert "the broker does not answer" in capsys.readouterr().err


def test_custom_authority_verifies_the_broker(
    celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CELERY__SSL_CACERT", "/own.pem")
    assert health.main(["worker"]) == 0
    assert celery.settings["broker_use_ssl"]["ssl_ca_certs"] == "/own.pem"


def test_unknown_component_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main(["webserver"]) == 2
    assert "scheduler, dag-processor, triggerer" in capsys.readouterr().err


def test_missing_secret_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, celery: Celery
) -> None:
    monkeypatch.delenv("BROKER_PASSWORD")
    assert health.main(["worker"]) == 1
    assert "BROKER_PASSWORD is not set" in capsys.readouterr().err
    assert celery.settings == {}

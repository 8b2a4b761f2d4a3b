"""Roles and databases, as far as they can be shown without a server."""

from __future__ import annotations

from copy import deepcopy

import pytest

from fargate_runtime.env import DatabaseLogin
from fargate_runtime.migration.databases import DatabaseError, prepare
from tests.fargate_runtime.migration.fake_postgresql import Server, verifier

MASTER = DatabaseLogin("db.example", 5433, "postgres", "master", "master pw")
AIRFLOW = DatabaseLogin("db.example", 5433, "airflow", "airflow", "p'w\"1 %")
RESULTS = DatabaseLogin(
    "db.example", 5433, "celery_results", "celery_results", "other pw"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    server.install(monkeypatch)
    return server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let time pass without waiting for it; return how long was waited."""
    waited: list[float] = []
    monkeypatch.setattr("fargate_runtime.migration.databases.time.sleep", waited.append)
    monkeypatch.setattr(
        "fargate_runtime.migration.databases.time.monotonic", lambda: sum(waited)
    )
    return waited


def quiet(_: str) -> None:
    """Say nothing."""


def test_each_role_owns_its_database_and_no_other_connects(server: Server) -> None:
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    assert server.owners["airflow"] == "airflow"
    assert server.owners["celery_results"] == "celery_results"
    assert server.open_to_public == set()
    assert not server.may_connect("celery_results", "airflow")
    assert server.verifiers["airflow"] == verifier(AIRFLOW.password)
    assert server.connections == 0


def test_second_run_changes_nothing(server: Server) -> None:
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    before = deepcopy(server)
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    server.statements = before.statements
    assert server == before


def test_changed_secret_changes_the_password(server: Server) -> None:
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    prepare(MASTER, AIRFLOW._replace(password=RESULTS.password), RESULTS, quiet)
    assert server.verifiers["airflow"] == verifier(RESULTS.password)


def test_database_ownership_is_corrected(server: Server) -> None:
    # RDS makes the first database, if it is asked to, as the master's own.
    server.owners["airflow"] = "master"
    server.open_to_public.add("airflow")
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    assert server.owners["airflow"] == "airflow"
    assert server.open_to_public == set()


def test_workers_with_access_to_the_metadata_fail_the_job(server: Server) -> None:
    server.granted.add(("celery_results", "airflow"))
    with pytest.raises(DatabaseError, match="celery_results may connect"):
        prepare(MASTER, AIRFLOW, RESULTS, quiet)


def test_unavailable_database_is_waited_for(
    server: Server, pauses: list[float]
) -> None:
    server.refusals = ["Connection refused"] * 6
    lines: list[str] = []
    prepare(MASTER, AIRFLOW, RESULTS, lines.append)
    assert pauses == [1, 2, 4, 8, 15, 15]
    assert lines[0] == (
        "Waiting up to 300 s for master at db.example:5433, database postgres: "
        "Connection refused"
    )


def test_unavailable_database_ends_the_wait_in_time(
    server: Server, pauses: list[float]
) -> None:
    server.refusals = ["Connection\nrefused"] * 1000
    with pytest.raises(DatabaseError, match="within 300 s: Connection refused"):
        prepare(MASTER, AIRFLOW, RESULTS, quiet)
    assert sum(pauses) == 300


@pytest.mark.parametrize(
    "words",
    [
        "SSL error: certificate verify failed",
        'root certificate file "/tmp/rds-ca.pem" does not exist',
        'server certificate for "a" does not match host name "b"',
    ],
)
def test_wrong_certificate_is_not_waited_for(
    words: str, server: Server, pauses: list[float]
) -> None:
    server.refusals = [words] * 1000
    with pytest.raises(DatabaseError, match=r"certificate of db\.example"):
        prepare(MASTER, AIRFLOW, RESULTS, quiet)
    assert pauses == []


def test_error_of_the_server_is_one_line_and_leaves_no_session(
    server: Server,
) -> None:
    server.errors["CREATE DATABASE"] = "permission denied\nHINT: ask"
    with pytest.raises(DatabaseError, match="permission denied HINT: ask"):
        prepare(MASTER, AIRFLOW, RESULTS, quiet)
    assert server.connections == 0


def test_no_password_reaches_the_server_or_a_line(
    server: Server, pauses: list[float]
) -> None:
    # log_statement=ddl would keep a plain one in the log for years.
    server.refusals = ["Connection refused"]
    lines: list[str] = []
    prepare(MASTER, AIRFLOW, RESULTS, lines.append)
    assert pauses == [1]
    for login in (MASTER, AIRFLOW, RESULTS):
        assert login.password not in " ".join([*lines, *server.statements])

"""The role of the autoscaler, as far as it can be shown without a server."""

from __future__ import annotations

from copy import deepcopy

import pytest

from fargate_runtime.autoscaler import queries
from fargate_runtime.env import DatabaseLogin
from fargate_runtime.migration import scaling_role
from fargate_runtime.migration.databases import DatabaseError, prepare
from fargate_runtime.migration.scaling_role import admit
from tests.fargate_runtime.migration.fake_postgresql import Server, verifier

MASTER = DatabaseLogin("db.example", 5433, "postgres", "master", "master pw")
AIRFLOW = DatabaseLogin("db.example", 5433, "airflow", "airflow", "airflow pw")
RESULTS = DatabaseLogin(
    "db.example", 5433, "celery_results", "celery_results", "other pw"
)
READER = DatabaseLogin("db.example", 5433, "airflow", "scaling", "s'c\"a %")


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    server.install(monkeypatch)
    prepare(MASTER, AIRFLOW, RESULTS, quiet)
    return server


def test_role_may_read_the_autoscalers_tables_alone(server: Server) -> None:
    admit(MASTER, AIRFLOW, READER, quiet)
    assert server.readable["scaling"] == list(scaling_role.TABLES)
    assert scaling_role.TABLES == queries.TABLES
    assert server.may_connect("scaling", "airflow")
    assert not server.may_connect("scaling", "celery_results")
    assert server.limits["scaling", "default_transaction_read_only"] == "on"
    assert server.connections == 0


def test_second_run_changes_nothing(server: Server) -> None:
    admit(MASTER, AIRFLOW, READER, quiet)
    before = deepcopy(server)
    admit(MASTER, AIRFLOW, READER, quiet)
    server.statements = before.statements
    assert server == before


def test_rotated_secret_changes_the_password(server: Server) -> None:
    admit(MASTER, AIRFLOW, READER, quiet)
    admit(MASTER, AIRFLOW, DatabaseLogin(*READER[:4], "new"), quiet)
    assert server.verifiers["scaling"] == verifier("new")


@pytest.mark.parametrize("user", ["airflow", "master"])
def test_role_that_may_write_is_refused(server: Server, user: str) -> None:
    with pytest.raises(DatabaseError, match="a user name of its own"):
        admit(MASTER, AIRFLOW, READER._replace(user=user), quiet)
    assert server.verifiers["airflow"] == verifier("airflow pw")


def test_error_of_the_server_is_one_line_and_leaves_no_session(
    server: Server,
) -> None:
    server.errors["GRANT SELECT"] = "permission denied\nHINT: ask"
    with pytest.raises(DatabaseError, match="permission denied HINT: ask"):
        admit(MASTER, AIRFLOW, READER, quiet)
    assert server.connections == 0

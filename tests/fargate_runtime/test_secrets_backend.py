"""Connections and variables in Secrets Manager, as the real Airflow looks them up."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fargate_runtime.contract import SECRETS_BACKEND
from fargate_runtime.operator_settings import write_options
from local.airflow_environment import airflow_environment

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, logging
from collections import Counter
from botocore.exceptions import ClientError, EndpointConnectionError
from airflow.configuration import ensure_secrets_loaded
from airflow.models import Connection
from fargate_runtime import secrets_backend

lines = []
class Kept(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
secrets_backend.log.addHandler(Kept())

backend = ensure_secrets_loaded()[0]
now, asked = [1000.0], Counter()
stored = {
    "airflow-x/connections/uri": "postgres://me:p%40ss@db:5432/dwh",
    "airflow-x/connections/rds": json.dumps({
        "username": "me", "password": "p", "engine": "postgres", "host": "db",
        "port": 5432, "dbClusterIdentifier": "c", "dbname": "dwh"}),
    "airflow-x/connections/own": json.dumps({
        "conn_type": "http", "host": "h", "extra": {"a": 1}}),
    "airflow-x/connections/bad": '{"password": "hunter2',
    "airflow-x/connections/word": "hunter2",
    "airflow-x/variables/v": "first",
}

def failure(code):
    return ClientError({"Error": {"Code": code, "Message": "m"}}, "GetSecretValue")

class Client:
    down = None
    def get_secret_value(self, SecretId):
        asked[SecretId] += 1
        if self.down:
            raise self.down
        if "refused" in SecretId:
            raise failure("AccessDeniedException")
        if SecretId not in stored:
            raise failure("ResourceNotFoundException")
        return {"SecretString": stored[SecretId]}

client = Client()
backend._read._client_of_process = lambda: client
backend._clock = lambda: now[0]
seen = {}

def variable(key="v", repeat=1):
    for _ in range(repeat):
        value = backend.get_variable(key)
    return value, asked[f"airflow-x/variables/{key}"]

def fields(conn_id):
    c = Connection.get_connection_from_secrets(conn_id)
    return [c.conn_type, c.host, c.port, c.login, c.password, c.schema, c.extra]

seen["uri"], seen["rds"], seen["own"] = fields("uri"), fields("rds"), fields("own")
seen["bad"] = backend.get_conn_value("bad"), backend.get_conn_value("word")
seen["hit"] = variable(repeat=3)
seen["miss"] = variable("none", repeat=3)
seen["refused"] = variable("refused", repeat=2)
now[0] += 61
seen["expired"] = variable()
seen["refused again"] = variable("refused")
before, lines[:] = list(lines), []
client.down = EndpointConnectionError(endpoint_url="https://secretsmanager")
now[0] += 61
seen["outage, known"] = variable(repeat=5)
seen["outage, unknown"] = variable("new", repeat=5)
seen["outage, environment"] = fields("from_environment")[:2]
now[0] += 16
seen["outage, next attempt"] = variable()
stored["airflow-x/variables/v"] = "second"
client.down = failure("InternalServiceError")
now[0] += 16
seen["outage, internal"] = variable()
client.down = None
now[0] += 16
seen["over"] = variable()
now[0] += 61
client.down = failure("ThrottlingException")
variable()
now[0] += 3700
seen["too old"] = variable()
print(json.dumps({"seen": seen, "before": before, "lines": lines}))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the script with the options that the container's start writes."""
    home = tmp_path_factory.mktemp("airflow")
    config = home / "from-start.cfg"
    write_options({"AIRFLOW_CONFIG": str(config), "SECRETS_PREFIX": "airflow-x"})
    done = subprocess.run(  # noqa: S603 - our own script
        [airflow_environment().python, "-c", SCRIPT],
        env={
            "PATH": os.defpath,
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONFIG": str(config),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_CONN_FROM_ENVIRONMENT": "http://elsewhere",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uri", ["postgres", "db", 5432, "me", "p@ss", "dwh", None]),
        ("rds", ["postgres", "db", 5432, "me", "p", "dwh", None]),
        ("own", ["http", "h", None, None, None, None, '{"a": 1}']),
        ("bad", [None, None]),
        # A value, and how often Secrets Manager was asked for it so far.
        ("hit", ["first", 1]),
        ("miss", [None, 1]),
        ("refused", [None, 1]),
        ("expired", ["first", 2]),
        ("refused again", [None, 2]),
        ("outage, known", ["first", 3]),
        ("outage, unknown", [None, 0]),
        ("outage, environment", ["http", "elsewhere"]),
        ("outage, next attempt", ["first", 4]),
        ("outage, internal", ["first", 5]),
        ("over", ["second", 6]),
        ("too old", [None, 8]),
    ],
)
def test_lookups_are_kept_and_outlive_an_outage(
    name: str, expected: list[object], result: dict[str, Any]
) -> None:
    assert result["seen"][name] == expected


def test_each_failure_is_logged_once_without_a_value(result: dict[str, Any]) -> None:
    before = result["before"]
    assert sum("variables/refused cannot be read" in line for line in before) == 1
    assert sum("connections/bad is neither" in line for line in before) == 1
    assert "hunter2" not in json.dumps(result)
    failed, answers, again = result["lines"]
    assert failed.startswith("Secrets Manager does not answer, at first for airflow-x/")
    assert answers == "Secrets Manager answers again"
    assert "ThrottlingException" in again


@pytest.mark.parametrize(
    ("environ", "backend"),
    [
        ({}, False),
        ({"SECRETS_PREFIX": ""}, False),
        ({"SECRETS_PREFIX": "x"}, True),
        ({"SECRETS_PREFIX": "x", "ENABLE_SECRETS_AT_PARSING": "false"}, False),
        ({"SECRETS_PREFIX": "x", "ENABLE_SECRETS_AT_PARSING": "true"}, True),
    ],
)
def test_the_backend_is_an_option_where_the_prefix_may_be_read(
    environ: dict[str, str], backend: object, tmp_path: Path
) -> None:
    path = tmp_path / "airflow.cfg"
    write_options({"AIRFLOW_CONFIG": str(path), **environ})
    assert (SECRETS_BACKEND in path.read_text()) is backend

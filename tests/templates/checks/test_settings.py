"""The operator's options, variables and secret variables: what is refused, and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import MappingProxyType

import pytest

from compiler.parameters import EnvironmentFile
from compiler.validation import validate
from templates.checks.settings import known_options
from templates.checks.table import checks
from tests.templates.checks.test_checks import parent

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"

BAD_INPUTS = (
    ("Airflow", {"core.default_task_retires": "3"}, "mean core.default_task_retries?"),
    ("Airflow", {"default_task_retries": "3"}, "is not section.option"),
    ("Airflow", {"core.executor": "LocalExecutor"}, "is set by the templates. The def"),
    ("Airflow", {"core.parallelism": "9"}, "It is the parameter Parallelism"),
    ("Airflow", {"database.sql_alchemy_conn": "x"}, "is set by the templates. Percen"),
    ("Airflow", {"api.secret_key": "x"}, "which the stack generates"),
    ("Airflow", {"workers.secrets_backend": "x"}, "Workers hold no right to secrets"),
    ("Airflow", {"sentry.sentry_dsn": "x"}, "AIRFLOW__SENTRY__SENTRY_DSN in Secret"),
    ("Airflow", {"aws.cloudwatch_x": "a://b:c@d"}, "looks like a secret"),
    ("Airflow", {"schedular": {"core.lazy_load_plugins": "x"}}, "mean scheduler?"),
    ("Airflow", {"pool spott": {"core.lazy_load_plugins": "x"}}, "mean pool spot?"),
    ("Airflow", {"verification": {"core.plugins_folder": "x"}}, "neither a component"),
    ("Airflow", {"metrics.otel_on": "True"}, "Set AirflowMetrics to false"),
    ("Airflow", {"worker": {"metrics.statsd_on": "t"}}, "and so is AirflowMetrics"),
    ("Environment", {"AIRFLOW__CORE__X": "1"}, "Write core.x in Airflow."),
    ("Environment", {"DB_PASSWORD": "hunter2"}, "DB_PASSWORD looks like a secret"),
    ("Environment", {"URL": "postgres://u:p@host/x"}, "URL looks like a secret"),
    ("Environment", {"KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, "KEY_ID looks like a secret"),
    ("Environment", {"AIRFLOW_CONN_X": "http://x"}, "Name its secret in SecretEnv"),
    ("Environment", {"AWS_REGION": "x"}, "The bootstrap signs with it".lower()),
    ("Environment", {"AWS_PROFILE": "x"}, "belongs to the platform"),
    ("Environment", {"PATH": "/x"}, "belongs to the platform"),
    ("Environment", {"1X": "x"}, "is no name of a variable"),
    ("Environment", {"worker": {"PGSSLMODE": "disable"}}, "is set by the templates"),
    ("SecretEnvironment", {"flower": {"X": ARN + "x"}}, "neither a component nor a po"),
    ("SecretEnvironment", {"X": "secret/x"}, 'JSON without blanks: {"NAME":'),
    ("SecretEnvironment", {"X": ARN + "x:a:b"}, "has another form"),
    ("SecretEnvironment", {"worker": {"X": ARN + "x"}, "Y": ARN + "y"}, "another form"),
    ("SecretEnvironment", {"FERNET_SECRET": ARN + "x"}, "is set by the templates"),
    ("SecretEnvironment", {"AIRFLOW__CORE__FERNET_KEY": ARN + "x"}, "is set by the te"),
    ("SecretEnvironment", {"AIRFLOW__X__Y": ARN + "x"}, "has no option x.y"),
    (
        "SecretEnvironment",
        {"X": ARN + "x", "pool spot": {"X": ARN + "y"}},
        "X has two secrets for pool spot",
    ),
    (
        "SecretEnvironment",
        {
            **{f"X{n}": ARN + "x" for n in range(4)},
            "worker": {"Y": ARN + "y"},
            "pool default": {"Z": ARN + "z"},
        },
        "pool default has 6 secret variables",
    ),
)


def messages(**parameters: object) -> list[str]:
    texts = {
        name: value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"))
        for name, value in parameters.items()
    }
    environment = EnvironmentFile(
        name="dev",
        source="dev.json",
        parameters=MappingProxyType(texts),
        lines=MappingProxyType(dict.fromkeys(texts, 1)),
    )
    without_rules = parent() | {"Rules": {}}
    return [str(p) for p in validate(environment, without_rules, checks()).problems]


@pytest.mark.parametrize(("parameter", "value", "answer"), BAD_INPUTS)
def test_wrong_settings_are_refused_with_a_reason(
    parameter: str, value: object, answer: str
) -> None:
    problems = messages(**{parameter: value})
    assert any(answer.casefold() in message.casefold() for message in problems), (
        problems
    )
    assert "hunter2" not in "".join(problems)


def test_secrets_at_parsing_need_a_prefix() -> None:
    (problem,) = messages(EnableSecretsAtParsing="true")
    assert "EnableSecretsAtParsing is true, and SecretsPrefix is empty" in problem
    assert not messages(EnableSecretsAtParsing="true", SecretsPrefix="airflow-dev")


def test_secrets_have_one_backend() -> None:
    other = {
        "Airflow": {"secrets.backend": "vault.Backend"},
        "SecretEnvironment": {
            "api-server": {"AIRFLOW__SECRETS__BACKEND_KWARGS": ARN + "vault-AbCdEf"}
        },
    }
    assert not messages(**other)
    (problem,) = messages(**other, SecretsPrefix="airflow-dev")
    assert "AIRFLOW__SECRETS__BACKEND_KWARGS and secrets.backend too" in problem


@pytest.mark.parametrize(
    "prefix",
    ["/airflow", "airflow/", "a//b", "*", "airflow-*", "a?", "${x}", "a b", "rds!x"],
)
def test_a_prefix_of_secrets_is_no_pattern_of_iam(prefix: str) -> None:
    (problem,) = messages(SecretsPrefix=prefix)
    assert "Letters, digits and _ + = . @ -" in problem


def test_every_mistake_is_reported_at_once() -> None:
    problems = messages(Airflow={"core.x": "1", "core.executor": "x", "nowhere": {}})
    assert len(problems) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"core.lazy_load_plugins": 1}', "x"])
def test_settings_in_the_console_form_are_a_json_object(text: str) -> None:
    assert messages(Airflow=text)


def test_settings_for_all_for_components_and_for_pools_are_accepted() -> None:
    assert not messages(
        Airflow={
            "core.default_task_retries": "3",
            "celery_broker_transport_options.anything": "1",
            "openlineage.disabled": "true",
            "api-server": {"api.instance_name": "Prod"},
            "pool spot": {"logging.logging_level": "DEBUG"},
        },
        Environment={"DBT_TARGET": "prod", "TOKEN": "/run/token", "worker": {"A": "b"}},
        SecretEnvironment={
            "AIRFLOW_CONN_SMTP_DEFAULT": ARN + "smtp-AbCdEf",
            "worker": {"DWH": ARN + "team/dwh-AbCdEf:password"},
        },
    )


def test_options_are_those_of_the_pinned_airflow() -> None:
    pins = (Path(__file__).parents[3] / "requirements" / "airflow.txt").read_text()
    pin = re.search(r"^apache-airflow-core==([\d.]+)", pins, re.MULTILINE)
    assert pin is not None
    assert known_options().airflow == pin[1], "run make options"


def test_metrics_go_elsewhere_without_airflow_metrics() -> None:
    options = {"metrics.otel_on": "True", "metrics.otel_host": "otel.example.com"}
    assert not messages(Airflow=options, AirflowMetrics="false")
    assert not messages(Airflow={"worker": {"metrics.statsd_on": "False"}})

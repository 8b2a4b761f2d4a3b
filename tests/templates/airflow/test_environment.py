"""Environment variables, read back from the compiled task definitions."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from fargate_runtime import contract
from fargate_runtime.start import LIMITS
from templates.airflow.components import (
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    COMPONENTS,
    DAG_PROCESSOR,
    FLOWER,
    MIGRATION,
    SCHEDULER,
    TRIGGERER,
    WORKER,
    AnyComponent,
)
from templates.airflow.environment import ENVIRONMENT, SECRETS
from templates.airflow.platform import AirflowSettings
from tests.templates.tasks import SERVICES, container, environment, injected

ROOT = Path(__file__).parents[3]
FIVE = (API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER)
TRANSPORT = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)

# Variables and values, and exactly the components that have them.
EXPECTED = {
    ("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor"): (*FIVE, FLOWER, MIGRATION, COMMAND),
    (
        "AIRFLOW__CORE__AUTH_MANAGER",
        "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    ): (*FIVE, MIGRATION, COMMAND),
    ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"): (*FIVE, MIGRATION, COMMAND),
    ("WORKER_SLOTS", "given-WorkerSlots"): (SCHEDULER, MIGRATION),
    ("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "given-ExecutionApiUrl"): (WORKER,),
    (
        "AIRFLOW__CORE__HOSTNAME_CALLABLE",
        "airflow.utils.net.get_host_ip_address",
    ): (*FIVE, MIGRATION, COMMAND),
    ("AIRFLOW__API__BASE_URL", "given-Url"): (
        *(SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER),
    ),
    ("AIRFLOW__API__WORKERS", "1"): (API_SERVER,),
    ("AIRFLOW__API_AUTH__JWT_ISSUER", "given-ClusterArn"): (API_SERVER, SCHEDULER),
    ("AIRFLOW__API_AUTH__JWT_AUDIENCE", "given-ClusterArn"): (API_SERVER,),
    ("AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME", "600"): (API_SERVER, SCHEDULER),
    ("AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "True"): (SCHEDULER,),
    ("AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT", "8974"): (SCHEDULER,),
    ("AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT", "1800"): (SCHEDULER,),
    ("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "300"): (SCHEDULER,),
    ("AIRFLOW__OPERATORS__DEFAULT_QUEUE", "default"): (
        *(*FIVE, FLOWER, MIGRATION, COMMAND),
    ),
    **{
        ("METADATA_" + key, value): (
            *(
                API_SERVER,
                SCHEDULER,
                AUTOSCALER,
                DAG_PROCESSOR,
                TRIGGERER,
                MIGRATION,
                COMMAND,
            ),
        )
        for key, value in (
            ("HOST", "given-DatabaseHost"),
            ("PORT", "given-DatabasePort"),
            ("NAME", "airflow"),
        )
    },
    **dict.fromkeys(
        (("BROKER_HOST", "given-BrokerHost"), ("BROKER_PORT", "given-BrokerPort")),
        (SCHEDULER, AUTOSCALER, WORKER, FLOWER, COMMAND),
    ),
    ("CLUSTER_NAME", "given-ClusterName"): (AUTOSCALER, *FIVE[1:]),
    **dict.fromkeys(
        (
            ("AIRFLOW_METRICS", "given-AirflowMetrics"),
            ("METRICS_PIPE", contract.METRICS_PIPE_PATH),
        ),
        FIVE[1:],
    ),
    (
        "SCALING_POOLS",
        "".join(f"given-PoolsPart{number}" for number in range(1, 7)),
    ): (AUTOSCALER,),
    ("WORKER_POOL", "given-PoolName"): (WORKER,),
    ("LONGEST_TASK_MINUTES", "given-LongestTaskMinutes"): (WORKER,),
    **{
        (f"AIRFLOW__DATABASE__{key}", value): (
            *(API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, MIGRATION, COMMAND),
        )
        for key, value in (
            ("SQL_ALCHEMY_CONN_CMD", "python -m fargate_runtime.connections metadata"),
            ("SQL_ALCHEMY_CONNECT_ARGS", "fargate_runtime.connections.CONNECT_ARGS"),
            (
                "SQL_ALCHEMY_CONNECT_ARGS_ASYNC",
                "fargate_runtime.connections.CONNECT_ARGS_ASYNC",
            ),
            ("SQL_ALCHEMY_POOL_SIZE", "5"),
            ("SQL_ALCHEMY_MAX_OVERFLOW", "10"),
            ("SQL_ALCHEMY_POOL_PRE_PING", "True"),
            ("SQL_ALCHEMY_POOL_RECYCLE", "1200"),
        )
    },
    ("PGSSLMODE", "verify-full"): (
        *(
            API_SERVER,
            SCHEDULER,
            AUTOSCALER,
            DAG_PROCESSOR,
            TRIGGERER,
            MIGRATION,
            COMMAND,
        ),
    ),
    ("PGSSLROOTCERT", contract.CERTIFICATES_PATH): (
        *FIVE,
        AUTOSCALER,
        MIGRATION,
        COMMAND,
    ),
    ("AIRFLOW__FAB__COOKIE_SECURE", "true"): (API_SERVER,),
    ("AIRFLOW__FAB__SESSION_BACKEND", "database"): (API_SERVER,),
    ("AIRFLOW__FAB__ENABLE_PROXY_FIX", "True"): (API_SERVER,),
    ("FORWARDED_ALLOW_IPS", "*"): (API_SERVER,),
    ("AIRFLOW__CELERY__WORKER_CONCURRENCY", "given-PoolConcurrency"): (WORKER,),
    ("AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER", "1"): (WORKER,),
    ("AIRFLOW__CELERY__TASK_ACKS_LATE", "True"): (WORKER,),
    ("AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL", "True"): (WORKER,),
    **dict.fromkeys(
        (
            (
                "AIRFLOW__CELERY__BROKER_URL_CMD",
                "python -m fargate_runtime.connections broker",
            ),
            ("AIRFLOW__CELERY__SSL_ACTIVE", "True"),
            ("AIRFLOW__CELERY__SSL_MUTUAL_TLS", "False"),
            (f"{TRANSPORT}SOCKET_KEEPALIVE", "True"),
            (f"{TRANSPORT}SOCKET_CONNECT_TIMEOUT", "10"),
            (f"{TRANSPORT}SOCKET_TIMEOUT", "30"),
            (f"{TRANSPORT}RETRY_ON_TIMEOUT", "True"),
            (f"{TRANSPORT}HEALTH_CHECK_INTERVAL", "30"),
        ),
        (SCHEDULER, WORKER, FLOWER, COMMAND),
    ),
    (
        "AIRFLOW__CELERY__RESULT_BACKEND_CMD",
        "python -m fargate_runtime.connections results",
    ): (SCHEDULER, WORKER),
    ("AIRFLOW__LOGGING__REMOTE_LOGGING", "True"): (API_SERVER, TRIGGERER, WORKER),
    (
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER",
        "s3://given-LogBucketName/logs",
    ): (API_SERVER, TRIGGERER, WORKER),
    ("AIRFLOW__LOGGING__DELETE_LOCAL_LOGS", "True"): (TRIGGERER, WORKER),
    ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "8793"): (API_SERVER, WORKER),
    ("AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT", "8794"): (API_SERVER, TRIGGERER),
    ("AIRFLOW__LOGGING__JSON_LOGS", "True"): (*FIVE, FLOWER),
    ("AIRFLOW__CELERY__FLOWER_URL_PREFIX", "/flower"): (FLOWER,),
    ("DUMB_INIT_SETSID", "0"): (WORKER,),
    ("CONNECTION_CHECK_MAX_COUNT", "0"): COMPONENTS,
    ("MIGRATION_VERSION", "given-MigrationVersion"): (
        *FIVE,
        AUTOSCALER,
        FLOWER,
        COMMAND,
    ),
}

# The only keys for which Airflow reads a command; on any other it is ignored.
READ_FROM_A_COMMAND = {
    "AIRFLOW__CORE__FERNET_KEY_CMD",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
    "AIRFLOW__CELERY__BROKER_URL_CMD",
    "AIRFLOW__CELERY__RESULT_BACKEND_CMD",
    "AIRFLOW__CELERY__FLOWER_BASIC_AUTH_CMD",
}

HARD_SECRET = "a:b/c?d#e%f@g h&i=j+k$HOME~"  # noqa: S105 - not a real one


@pytest.mark.parametrize(
    ("row", "components"), EXPECTED.items(), ids=[name for name, _ in EXPECTED]
)
def test_a_variable_is_set_for_exactly_its_components(
    row: tuple[str, str], components: tuple[AnyComponent, ...]
) -> None:
    variable, value = row
    values = {c.name: environment(c).get(variable) for c in COMPONENTS}
    assert values == {c.name: value if c in components else None for c in COMPONENTS}


@each_component
def test_no_variable_is_set_twice(component: AnyComponent) -> None:
    # ECS takes the last of two and does not report it.
    names = [e["Name"] for e in container(component)["Environment"]]
    names += [s["Name"] for s in container(component)["Secrets"]]
    assert len(names) == len(set(names))


@each_component
def test_no_variable_triggers_the_entrypoint(component: AnyComponent) -> None:
    # F10: it takes these for the broker's, and tests the wrong host. B5: it hides the
    # failure of a migration or of a user's creation that it is asked for.
    names = environment(component).keys() | injected(component).keys()
    assert not names & {"DB_HOST", "DB_PORT", "BACKEND", "_PIP_ADDITIONAL_REQUIREMENTS"}
    assert not [name for name in names if name.startswith("_AIRFLOW_")]


def test_the_autoscaler_has_no_airflow_configuration() -> None:
    # It does not import Airflow: what it does not have cannot be taken from it.
    names = environment(AUTOSCALER).keys() | injected(AUTOSCALER).keys()
    assert not [name for name in names if name.startswith("AIRFLOW__")]
    assert not names & {"METADATA_USER", "METADATA_PASSWORD", "FERNET_SECRET"}
    assert not [name for name in names if name.startswith("RESULTS_")]


def test_every_row_is_used_and_has_a_reason() -> None:
    variables = {name for c in COMPONENTS for name in environment(c)}
    assert variables == {row.name for row in ENVIRONMENT}
    rotating = {"PreviousFernetSecretArn": "arn"}
    handed = {name for c in COMPONENTS for name in injected(c, **rotating)}
    assert handed == {row.name for row in SECRETS}
    for row in ENVIRONMENT:
        assert row.why.endswith("."), row.name


def test_cmd_settings_are_those_that_airflow_reads() -> None:
    commands = {row.name for row in ENVIRONMENT if row.name.endswith("_CMD")}
    assert commands == READ_FROM_A_COMMAND


def as_airflow_runs(component: AnyComponent, variable: str) -> str:
    """Run a _CMD of the built task with difficult passwords; return its output."""
    variables = environment(component) | {
        name: "an-airflow-user" if name.endswith("_USER") else HARD_SECRET * 2
        for name in injected(component)
    }
    variables |= {name: "store.example" for name in variables if name.endswith("_HOST")}
    variables |= {name: "5433" for name in variables if name.endswith("_PORT")}
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: S603 - our own commands
        shlex.split(variables[variable]),
        env=variables | {"PATH": here, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("component", "variable", "scheme", "database"),
    [
        (
            *(API_SERVER, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD"),
            *("postgresql+psycopg2", "/airflow"),
        ),
        (
            *(WORKER, "AIRFLOW__CELERY__RESULT_BACKEND_CMD"),
            *("db+postgresql+psycopg2", "/celery_results"),
        ),
        (FLOWER, "AIRFLOW__CELERY__BROKER_URL_CMD", "rediss", "/0"),
    ],
    ids=["metadata", "results", "broker"],
)
def test_a_url_survives_any_password(
    component: AnyComponent, variable: str, scheme: str, database: str
) -> None:
    # C1 and C2: three parsers broke on such characters, and a newline at the end
    # became part of the database's name.
    url = urlsplit(as_airflow_runs(component, variable))
    assert unquote(url.password or "") == HARD_SECRET * 2
    assert (url.scheme, url.hostname, url.port, url.path) == (
        *(scheme, "store.example", 5433, database),
    )


def test_flower_login_is_user_colon_password() -> None:
    output = as_airflow_runs(FLOWER, "AIRFLOW__CELERY__FLOWER_BASIC_AUTH_CMD")
    assert output == f"an-airflow-user:{HARD_SECRET * 2}"


def test_fernet_key_is_derived_from_the_secret() -> None:
    # C5: Fernet wants 44 characters that end in "=".
    output = as_airflow_runs(TRIGGERER, "AIRFLOW__CORE__FERNET_KEY_CMD")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", output)


def test_names_that_airflow_imports_exist_in_the_runtime() -> None:
    for key in ("SQL_ALCHEMY_CONNECT_ARGS", "SQL_ALCHEMY_CONNECT_ARGS_ASYNC"):
        path = environment(API_SERVER)[f"AIRFLOW__DATABASE__{key}"]
        module, _, name = path.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), name), dict)


@pytest.mark.parametrize("component", [SCHEDULER, WORKER], ids=lambda c: c.name)
def test_celery_results_engine_has_tls_and_keepalives(component: AnyComponent) -> None:
    # A7 and B1: no database setting reaches it, so a failover would leave it behind.
    options = json.loads(
        environment(component)[
            "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS"
        ]
    )
    assert options.pop("connect_args") == {
        "sslmode": "verify-full",
        "sslrootcert": contract.CERTIFICATES_PATH,
        **contract.CONNECT_ARGS,
    }
    assert options == {"pool_pre_ping": True, "pool_recycle": 1200}


def test_dag_code_does_not_inherit_tls_variables() -> None:
    # A DAG's own PostgreSQL server has another authority: with these in the
    # environment, every connection to it would fail.
    assert "PGSSLMODE" not in environment(WORKER)
    command = container(WORKER)["Command"]
    assert command[3:5] == ["env", "--unset=PGSSLROOTCERT"]


def test_visibility_timeout_exceeds_the_longest_task() -> None:
    # A4 and D8. Protection from scale-in ends after 2,880 minutes at the latest;
    # three hours are to spare for a deployment.
    seconds = int(environment(WORKER)[f"{TRANSPORT}VISIBILITY_TIMEOUT"])
    (longest,) = [
        field.metadata["properties"]["MaxValue"]
        for name, field in AirflowSettings.__dataclass_fields__.items()
        if name == "longest_task_minutes"
    ]
    assert seconds >= (2880 + 180) * 60 > longest * 60


def test_a_lost_broker_is_retried_forever() -> None:
    # A1: workers that gave up stayed healthy and idle until restarted.
    extra = json.loads(environment(WORKER)["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    assert extra["broker_connection_max_retries"] is None
    assert extra["broker_channel_error_retry"] is True


def test_only_workers_import_the_protection_bootstep() -> None:
    # D1: without the import it would consume unprotected, and lose what it runs. And
    # no other component may import it.
    configs = {
        component.name: json.loads(
            environment(component)["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"]
        )
        for component in (SCHEDULER, WORKER, FLOWER, COMMAND)
    }
    imports = {name: config.pop("imports", None) for name, config in configs.items()}
    assert imports == {
        **dict.fromkeys(("scheduler", "flower", "command")),
        "worker": ["fargate_runtime.worker.bootsteps"],
    }
    assert all(config == configs["worker"] for config in configs.values())
    assert (ROOT / "fargate_runtime" / "worker" / "bootsteps.py").is_file()


def test_publications_are_retried_during_a_broker_outage() -> None:
    # Refused at once, ten tasks failed in an outage of eight seconds: the provider
    # repeats what timed out and fails what was refused.
    environ = environment(SCHEDULER)
    extra = json.loads(environ["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    policy = extra["task_publish_retry_policy"]
    assert policy["max_retries"] is None
    assert policy["interval_max"] < 1, "Airflow's own time limit is one second"
    assert int(environ["AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES"]) >= 60


def test_results_are_retried_during_a_database_outage() -> None:
    # Refused at once, a worker threw away fourteen messages in eight seconds, and
    # their tasks stayed queued.
    extra = json.loads(environment(WORKER)["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    assert extra["result_backend_always_retry"] is True


def test_tasks_retry_the_execution_api_during_a_failover() -> None:
    # With the default of five questions, four tasks failed in an outage of 45 s.
    environ = environment(WORKER)
    retries = int(environ["AIRFLOW__WORKERS__EXECUTION_API_RETRIES"])
    wait = int(environ["AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX"])
    assert retries * wait > 120


def test_no_variable_changes_the_worker_concurrency() -> None:
    # worker_autoscale overrides the concurrency that the scaling divides by. And a
    # limit that is written here would hide the one that the start works out.
    for component in COMPONENTS:
        assert "AIRFLOW__CELERY__WORKER_AUTOSCALE" not in environment(component)
        assert not environment(component).keys() & {*LIMITS}


def test_dag_bundles_use_the_bucket_root_and_the_task_role() -> None:
    # A prefix under which nothing lies yet fails. And a connection aws_default that
    # users make for their own tasks must not change whose rights we use.
    for component in (*FIVE, COMMAND):
        variables = environment(component)
        releases, files = json.loads(
            variables["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
        )
        assert releases["kwargs"] == {
            "bucket_name": "given-ReleaseBucketName",
            "prefix": "releases",
            "refresh_interval": 10,
        }
        assert files["classpath"].endswith(".s3.S3DagBundle")
        assert files["kwargs"] == {
            "bucket_name": "given-DagBucketName",
            "aws_conn_id": None,
            "refresh_interval": 60,
        }
        assert "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID" not in variables


def test_every_container_finds_the_runtime() -> None:
    for component in (*SERVICES, AUTOSCALER, MIGRATION, COMMAND):
        variables = environment(component)
        assert variables["PYTHONPATH"] == variables["RUNTIME_PATH"]
        assert {
            name: variables[name] for name in variables if name.startswith("RUNTIME_")
        } == {
            "RUNTIME_BUCKET": "given-RuntimeBucket",
            "RUNTIME_KEY": "given-RuntimeKey",
            "RUNTIME_SHA256": "given-RuntimeSha256",
            "RUNTIME_PATH": variables["RUNTIME_PATH"],
        }


ROWS = """
from templates.airflow.components import SCHEDULER, WORKER, only
from templates.airflow.environment import EnvVar

EnvVar("A", lambda inputs: inputs.pool.concurrency, only(WORKER), "Has a pool.")
EnvVar("A", lambda inputs: inputs.pool.concurrency, only(SCHEDULER), "Has none.")
EnvVar("A", lambda inputs: inputs.pool.concurrency, only(SCHEDULER, WORKER), "No.")
"""


@pytest.mark.slow
def test_mypy_refuses_a_row_whose_components_lack_its_input(tmp_path: Path) -> None:
    rows = tmp_path / "rows.py"
    rows.write_text(ROWS)
    report = subprocess.run(  # noqa: S603 - our own interpreter
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary"),
            *("--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache"), str(rows)),
        ],
        cwd=ROOT,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line.partition(":")[2] for line in report.stdout.splitlines()] == [
        f'{line}: error: "ServiceInputs" has no attribute "pool"  [attr-defined]'
        for line in (6, 7)
    ]

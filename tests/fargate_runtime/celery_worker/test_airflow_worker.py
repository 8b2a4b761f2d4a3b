"""Airflow's own worker, with the settings of the compiled task definition."""

from __future__ import annotations

import json
import signal
import socket
import subprocess

import pytest

from fargate_runtime.scaling_protocol import DRAIN, STATE, WorkerReport, WorkerState
from local.airflow_environment import airflow_environment
from templates.airflow.components import WORKER
from templates.airflow.environment import ENVIRONMENT
from tests.fargate_runtime.celery_worker.bench import Bench, Worker, until

pytestmark = pytest.mark.slow

EXTRA = "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"


def start(bench: Bench) -> Worker:
    """Start it as the template says, with a task of the tests instead of Airflow's."""
    environment = {
        variable.name: variable.value
        for variable in ENVIRONMENT
        if WORKER in variable.components and isinstance(variable.value, str)
    }
    extra = json.loads(environment[EXTRA])
    extra["imports"].append("tests.fargate_runtime.celery_worker.tasks")
    results = f"db+sqlite:///{bench.folder}/results"
    airflow = airflow_environment().programs / "airflow"
    return bench.worker(
        command=[str(airflow), "celery", "worker", "--queues", bench.queue],
        node=f"celery@{socket.gethostname()}",
        environment={
            **environment,
            EXTRA: json.dumps(extra),
            "PYTHONPATH": bench.environment["PYTHONPATH"],
            "HOME": str(bench.folder),
            "AIRFLOW_HOME": str(bench.folder),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY__RESULT_BACKEND_CMD": f"echo -n {results}",
            "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS": "{}",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "0",
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "False",
            "FERNET_SECRET": "x" * 50,
        },
    )


def health(bench: Bench) -> int:
    """Return what the container's health check says."""
    return subprocess.run(  # noqa: S603 - our own module
        [airflow_environment().python, "-m", "fargate_runtime.health", "worker"],
        env=dict(bench.environment),
        check=False,
    ).returncode


def test_airflow_loads_the_bootstep_before_its_worker_consumes(bench: Bench) -> None:
    bench.ecs.desired = 0
    bench.send(("early", 0))
    worker = start(bench)
    worker.wait_for("waiting", 90)
    assert bench.left() == (1, 0)
    assert health(bench) == 0
    bench.ecs.desired = 1
    bench.wait_for_runs("ended", 1)
    report = WorkerReport.parse(worker.control(STATE))
    assert report.state is WorkerState.READY
    # In JSON, among Airflow's own lines.
    assert worker.said('"event":"Protected from scale-in for ')
    bench.send(("long", 120))
    bench.wait_for_runs("started", 2)
    worker.control(DRAIN)
    bench.send(("late", 0))
    bench.end("long")
    worker.wait_for("released")
    assert bench.runs("ended") == {"early": 1, "long": 1}
    assert health(bench) == 0
    bench.valkey.stop()
    assert health(bench) == 1
    bench.valkey.restart()
    until(lambda: worker.control("ping", 1), "the worker to be back")
    assert worker.state() == "released"
    worker.signal(signal.SIGTERM)
    until(lambda: not worker.process.is_running, "the worker to end")
    assert bench.left() == (1, 0)

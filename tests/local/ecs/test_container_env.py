"""Paths and names, rewritten for a machine that tasks share."""

# ruff: noqa: S108 - paths of the container, each task has its own

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.ecs.container_env import TaskSandbox, check_command, environment
from local.ecs.image import ContainerImage, TaskFolders
from local.ecs.model import ContainerDefinition

ROOT = Path("/srv/task")
SANDBOX = TaskSandbox(
    address="127.9.0.2",
    folders=TaskFolders(ROOT, ("/tmp", "/opt/airflow")),
    connections={("api-server", 8080): ("127.9.0.9", 8080)},
)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("/tmp/airflow-runtime.zip", f"{ROOT}/tmp/airflow-runtime.zip"),
        ("/tmp", f"{ROOT}/tmp"),
        ("/opt/airflow", f"{ROOT}/opt/airflow"),
        ("a:/tmp/x:/tmp/y", f"a:{ROOT}/tmp/x:{ROOT}/tmp/y"),
        ("cat /tmp/a >/tmp/b", f"cat {ROOT}/tmp/a >{ROOT}/tmp/b"),
        ("/tmpfiles", "/tmpfiles"),
        ("/var/tmp/x", "/var/tmp/x"),
        ("s3://bucket/tmp/x", "s3://bucket/tmp/x"),
        ("/opt/airflow2", "/opt/airflow2"),
        ("http://api-server:8080/execution/", "http://127.9.0.9:8080/execution/"),
        ("http://api-server:80801/", "http://api-server:80801/"),
        ("http://other:8080/", "http://other:8080/"),
    ],
)
def test_paths_and_names_are_rewritten(inside: str, outside: str) -> None:
    assert SANDBOX.rewrite(inside) == outside


def test_rewritten_json_is_valid() -> None:
    options = {"connect_args": {"sslrootcert": "/tmp/rds-ca.pem"}}
    result = json.loads(SANDBOX.rewrite(json.dumps(options)))
    assert result == {"connect_args": {"sslrootcert": f"{ROOT}/tmp/rds-ca.pem"}}


def test_health_check_calls_the_task_itself() -> None:
    shell = "curl --fail http://localhost:8974/health || exit 1"
    assert check_command(["CMD-SHELL", shell], SANDBOX) == [
        *("/bin/sh", "-c"),
        "curl --fail http://127.9.0.2:8974/health || exit 1",
    ]
    assert check_command(["CMD", "true"], SANDBOX) == ["true"]


def test_entry_point_runs_programs_and_airflow_commands(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "airflow", "dumb-init"):
        (programs / name).touch(0o755)
    image = ContainerImage.of_airflow(tmp_path)
    start = [str(programs / "dumb-init"), "--"]
    assert image.command(["python", "-c", "1"]) == [*start, "python", "-c", "1"]
    assert image.command(["scheduler"]) == [*start, "airflow", "scheduler"]


def test_environment_without_dumb_init_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with pytest.raises(FileNotFoundError, match="dumb-init"):
        ContainerImage.of_airflow(tmp_path)


def test_packages_beside_airflow_are_on_the_path(tmp_path: Path) -> None:
    airflow, added = tmp_path / "airflow", tmp_path / "added"
    site = added / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (airflow / "bin").mkdir(parents=True)
    for name in ("python", "airflow", "dumb-init"):
        (airflow / "bin" / name).touch()
    variables = environment(
        ContainerDefinition(
            name="worker", environment={"PYTHONPATH": "/tmp/runtime", "BUNDLES": "60"}
        ),
        ContainerImage.of_airflow(airflow, added),
        SANDBOX,
        secrets={},
        fargate={},
        extra={},
        programs=tmp_path,
        moved_ports={},
        replaced_variables={},
        rewritten_variables={"BUNDLES": lambda value: f"not {value}", "OTHER": str},
    )
    _, runtime, packages = variables["PYTHONPATH"].split(":")
    assert (runtime, packages) == (f"{ROOT}/tmp/runtime", str(site))
    # Airflow's own programs come first.
    assert variables["PATH"].split(":")[1:3] == [
        str(airflow / "bin"),
        str(added / "bin"),
    ]
    assert variables["BUNDLES"] == "not 60"
    assert "OTHER" not in variables

"""A new setting is one field and one row: the recipes of CONTRIBUTING, carried out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.resolver import deploy

ROOT = Path(__file__).parents[2]

POOL_FIELD = """
    max_tasks_per_child: Count = about(
        "Task instances after which a worker process is replaced.",
        label="Tasks per process",
        Default=100,
        MinValue=1,
        MaxValue=1000,
    )
"""
POOL_ROW = """
    EnvVar(
        "AIRFLOW__CELERY__WORKER_MAX_TASKS_PER_CHILD",
        lambda inputs: inputs.pool.max_tasks_per_child,
        only(WORKER),
        "Bounds what a leak in a task can grow to.",
    ),
"""
PLATFORM_FIELD = """
    log_level: Text = about(
        "Level of Airflow's logs.",
        group="Logs",
        label="Level",
        Default="INFO",
        AllowedValues=["INFO", "DEBUG"],
    )
"""
PLATFORM_ROW = """
    EnvVar(
        "AIRFLOW__LOGGING__LOGGING_LEVEL",
        lambda inputs: inputs.platform.settings.log_level,
        SERVICES,
        "Operators raise it to find a fault.",
    ),
"""
INSERTIONS = (
    ("airflow/pools.py", "    ephemeral_storage_gib: ", POOL_FIELD),
    ("airflow/environment.py", "_ROWS = (\n", POOL_ROW),
    ("airflow/platform.py", "    longest_task_minutes: ", PLATFORM_FIELD),
    ("airflow/environment.py", "_ROWS = (\n", PLATFORM_ROW),
)
COMPILE = """
import json, sys
from compiler.wiring import AssetFile, Build
from templates import parent
archive = AssetFile(path="assets/runtime.zip", content=b"", sha256="0" * 64)
root = Build({"runtime": archive}).root(parent.define)
json.dump({page.path: page.document for page in root.walk()}, sys.stdout)
"""

Templates = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The product with two more settings, each one field and one row."""
    folder = tmp_path_factory.mktemp("product")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "templates", folder / "templates", ignore=unwanted)
    for shared in ("fargate_runtime", "pools.json"):
        (folder / shared).symlink_to(ROOT / shared)
    for path, anchor, text in INSERTIONS:
        file = folder / "templates" / path
        before, separator, after = file.read_text().partition(anchor)
        assert separator, anchor
        is_row = anchor.endswith("\n")
        file.write_text(before + (anchor + text if is_row else text + anchor) + after)
    compiled = subprocess.run(  # noqa: S603 - our own compiler
        [sys.executable, "-c", COMPILE],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    return dict(json.loads(compiled.stdout))


def variables(templates: Templates, **parameters: str) -> dict[str, dict[str, str]]:
    """Every container's variables by stack and container."""
    root = deploy(templates["parent.template.json"], templates, parameters)
    return {
        ".".join([*stack.path, container["Name"]]): {
            variable["Name"]: variable["Value"] for variable in container["Environment"]
        }
        for stack in root.walk()
        for resource in stack.resources.values()
        for container in resource["Properties"].get("ContainerDefinitions", [])
    }


def test_a_pool_setting_is_one_field_and_one_row(templates: Templates) -> None:
    parameters = templates["parent.template.json"]["Parameters"]
    for pool in ("Default", "Spot"):
        definition = parameters[f"{pool}WorkersMaxTasksPerChild"]
        assert definition == {
            "Type": "Number",
            "Description": "Task instances after which a worker process is replaced.",
            "Default": 100,
            "MinValue": 1,
            "MaxValue": 1000,
        }
    values = {
        name: environ["AIRFLOW__CELERY__WORKER_MAX_TASKS_PER_CHILD"]
        for name, environ in variables(
            templates, SpotWorkersMaxTasksPerChild="7"
        ).items()
        if "AIRFLOW__CELERY__WORKER_MAX_TASKS_PER_CHILD" in environ
    }
    assert values == {"DefaultWorkers.worker": "100", "SpotWorkers.worker": "7"}


def test_a_platform_setting_is_one_field_and_one_row(templates: Templates) -> None:
    parameters = templates["parent.template.json"]["Parameters"]
    assert parameters["LogLevel"]["AllowedValues"] == ["INFO", "DEBUG"]
    levels = {
        name: environ.get("AIRFLOW__LOGGING__LOGGING_LEVEL")
        for name, environ in variables(
            templates, LogLevel="DEBUG", EnableFlower="true"
        ).items()
    }
    services = {"api-server", "scheduler", "dag-processor", "triggerer", "flower"}
    assert levels == {
        **{f"AirflowServices.{name}": "DEBUG" for name in services},
        **{f"{pool}Workers.worker": "DEBUG" for pool in ("Default", "Spot")},
        **{
            f"AirflowServices.{name}": None
            for name in ("autoscaler", "command", "verification")
        },
        "Migration.migration": None,
    }


def test_only_templates_that_use_a_setting_declare_it(templates: Templates) -> None:
    declaring = {
        path.removesuffix(".template.json")
        for path, template in templates.items()
        if {"LogLevel", "PoolMaxTasksPerChild"} & template.get("Parameters", {}).keys()
    }
    assert declaring == {"parent", "airflow-services", "workers"}

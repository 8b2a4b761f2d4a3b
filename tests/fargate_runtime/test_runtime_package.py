"""Imports of the runtime package: what the stock image and Lambda provide."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fargate_runtime"
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
OWN = PACKAGE.name

HOSTS = {
    "fargate_runtime.airflow_metrics.client": {"statsd"},
    "fargate_runtime.autoscaler.__main__": {"boto3", "botocore"},
    "fargate_runtime.autoscaler.services": {"botocore"},
    "fargate_runtime.migration.custom_resource": {"boto3", "botocore"},
    "fargate_runtime.relay": {"boto3", "cryptography"},
    "fargate_runtime.release_bundle": {"airflow", "boto3", "botocore"},
    "fargate_runtime.secrets_backend": {"airflow", "boto3", "botocore"},
    "fargate_runtime.single_sign_on.flask_settings": {"flask_appbuilder"},
    "fargate_runtime.single_sign_on.security_manager": {
        *("airflow", "flask", "flask_appbuilder"),
    },
    "fargate_runtime.worker.bootsteps": {"billiard", "celery"},
}
"""Modules that import more, and what the program that loads them has loaded already.
"""


def imported(file: Path) -> set[str]:
    """Return the top-level packages that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.partition(".")[0] for name in names} - {OWN}


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_the_standard_library_and_their_host(module: str) -> None:
    # airflow takes seconds to import; psycopg2 and celery come when they are used.
    others = imported(MODULES[module]) - set(sys.stdlib_module_names)
    assert others == HOSTS.get(module, set())


@pytest.mark.parametrize("module", ["start", "connections", "keys", "health"])
def test_modules_of_every_container_import_without_site_packages(module: str) -> None:
    imports = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-S", "-c", f"import {OWN}.{module}"],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert imports.returncode == 0, imports.stderr


def test_custom_resource_imports_no_module_that_lambda_lacks() -> None:
    file = MODULES["fargate_runtime.migration.custom_resource"]
    own = {
        node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OWN)
    }
    assert own <= {OWN, f"{OWN}.contract"}


def test_contract_imports_nothing() -> None:
    tree = ast.parse(MODULES["fargate_runtime.contract"].read_text())
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_dag_authors_package_named_runtime_imports_beside_ours(
    tmp_path: Path,
) -> None:
    # DAG bundles put their root on sys.path, where authors keep packages of any name.
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").write_text("OWNER = 'author'\n")
    program = "import fargate_runtime.start, runtime; print(runtime.OWNER)"
    output = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{PACKAGE.parent}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output == "author\n"


def test_archive_stays_small() -> None:
    # Every start of every container fetches all of it.
    sizes = [
        file.stat().st_size
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]
    assert sum(sizes) < 450_000

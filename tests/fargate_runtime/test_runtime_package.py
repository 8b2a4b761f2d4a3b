"""What the archive may need: the stock image for the tasks, Lambda for the gate."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fargate_runtime"
MODULES = sorted(file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__")

GUESTS = {"gate": {"boto3", "botocore"}, "worker": {"billiard", "celery", "runtime"}}
"""Modules that another program loads, and what that program has loaded already."""


@pytest.mark.parametrize("module", [m for m in MODULES if m not in GUESTS])
def test_a_module_of_the_tasks_imports_from_the_standard_library_alone(
    module: str,
) -> None:
    # airflow takes seconds to import; psycopg2 and celery come when they are used.
    seen = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-S", "-c", f"import runtime.{module}"],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 0, seen.stderr


@pytest.mark.parametrize("module", GUESTS)
def test_a_guest_needs_no_more_than_its_host_has(module: str) -> None:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    roots = {
        module.split(".")[0]
        for node in ast.walk(tree)
        for module in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert roots - set(sys.stdlib_module_names) == GUESTS[module]


def test_the_archive_stays_small() -> None:
    # Every start of every container fetches all of it.
    sizes = [file.stat().st_size for file in PACKAGE.iterdir() if file.is_file()]
    assert sum(sizes) < 250_000

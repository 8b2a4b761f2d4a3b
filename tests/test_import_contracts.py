"""The import contracts in pyproject.toml hold, and each notices a forbidden import."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = [each for each in SETTINGS["contracts"] if each["type"] == "forbidden"]

FORBIDDEN = (
    ("templates describe", "templates", "boto3"),
    ("templates describe", "templates", "deploy"),
    ("templates describe", "templates", "fargate_runtime.start"),
    ("the compiler is offline", "compiler", "boto3"),
    ("the compiler is offline", "compiler", "templates"),
    ("deploy knows", "deploy", "templates"),
    ("the runtime is the code in a container", "fargate_runtime", "compiler"),
    ("local reads what was built", "local", "templates"),
    ("local reads what was built", "local", "simulation"),
    ("cloudformation is pure", "cloudformation", "deploy"),
    ("only a whole local environment deploys", "local.ecs", "deploy"),
    ("only a whole local environment deploys", "local.datastores", "acceptance"),
    ("acceptance.checks suit any environment", "acceptance.checks", "local.client"),
    ("the simulation runs what is shipped", "simulation", "templates"),
    ("alarms and step policies are pure", "local.step_scaling", "fargate_runtime"),
    ("the team's image is read", "team_image", "boto3"),
    ("commands are on top", "simulation", "cli.main"),
    ("errors and the console are at the bottom", "cli.errors", "compiler"),
)
"""How a contract begins, and an import that it forbids."""

NAMED = {
    *SETTINGS["root_packages"],
    *(module for each in CONTRACTS for module in each["source_modules"]),
    *(module for each in CONTRACTS for module in each["forbidden_modules"]),
    *(module for _, _, module in FORBIDDEN),
}
PACKAGES = {
    name for name in NAMED if name.partition(".")[0] in SETTINGS["root_packages"]
}
"""Every module of the project that a contract names, as a package."""

# Not the script beside python: that breaks when a checkout moves.
LINT_IMPORTS = "import importlinter.cli as cli; cli.lint_imports_command()"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own environment's command
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_as_empty_packages(folder: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in PACKAGES:
        package = folder.joinpath(*name.split("."))
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()


def module_that_uses(imported: str) -> str:
    return f"use_{imported.replace('.', '_')}"


def test_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_each_contract_notices_a_forbidden_import(tmp_path: Path) -> None:
    copy_as_empty_packages(tmp_path)
    for _, importer, imported in FORBIDDEN:
        file = tmp_path.joinpath(*importer.split("."), module_that_uses(imported))
        file.with_suffix(".py").write_text(f"import {imported}\n")

    broken = lint_imports(tmp_path).stdout.partition("Broken contracts")[2]
    names = {contract["name"] for contract in CONTRACTS}
    untried = set(names)
    for start, importer, imported in FORBIDDEN:
        (name,) = (name for name in names if name.startswith(start))
        untried.discard(name)
        report = broken.partition(f"\n{name}\n---")[2].partition("\n---")[0]
        line = f"{importer}.{module_that_uses(imported)} -> {imported} (l.1)"
        assert line in report, f"{name}: {report}"
    assert not untried


def test_circle_in_local_is_noticed(tmp_path: Path) -> None:
    copy_as_empty_packages(tmp_path)
    for importer, imported in (("agent", "server"), ("server", "agent")):
        module = tmp_path / "local" / "ecs" / f"{importer}.py"
        module.write_text(f"import local.ecs.{imported}\n")
    assert "No cycles are allowed in local.ecs" in lint_imports(tmp_path).stdout

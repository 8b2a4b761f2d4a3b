"""The import contracts in pyproject.toml hold, and each notices a forbidden import."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = {
    *SETTINGS["root_packages"],
    *(
        module
        for contract in SETTINGS["contracts"]
        for module in (*contract["source_modules"], *contract["forbidden_modules"])
        if module.partition(".")[0] in SETTINGS["root_packages"]
    ),
}
"""Every module of the project that a contract names, as a package."""

FORBIDDEN = (
    ("templates describe", "templates", "boto3"),
    ("templates describe", "templates", "deploy"),
    ("the compiler is offline", "compiler", "boto3"),
    ("the compiler is offline", "compiler", "templates"),
    ("deploy knows", "deploy", "templates"),
    ("the runtime is the code in a container", "fargate_runtime", "compiler"),
    ("local reads what was built", "local", "templates"),
    ("local reads what was built", "local", "simulation"),
    ("only a whole local environment deploys", "local.ecs", "deploy"),
    ("only a whole local environment deploys", "local.datastores", "acceptance"),
    ("the simulation runs what is shipped", "simulation", "templates"),
    ("alarms and step policies are pure", "local.step_scaling", "fargate_runtime"),
    ("commands are on top", "simulation", "cli.main"),
    ("errors are at the bottom", "cli.errors", "compiler"),
)
"""How a contract begins, and an import that it forbids."""


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


def test_contracts_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_each_contract_notices_a_forbidden_import(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in PACKAGES:
        package = tmp_path.joinpath(*name.split("."))
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
    for _, importer, imported in FORBIDDEN:
        module = tmp_path.joinpath(*importer.split("."), f"use_{imported}.py")
        module.with_stem(module.stem.replace(".", "_")).write_text(
            f"import {imported}\n"
        )

    output = lint_imports(tmp_path).stdout
    names = [contract["name"] for contract in SETTINGS["contracts"]]
    broken = output.partition("Broken contracts")[2]
    for start, importer, imported in FORBIDDEN:
        (name,) = (name for name in names if name.startswith(start))
        report = broken.partition(f"\n{name}\n---")[2].partition("\n---")[0]
        line = f"{importer}.use_{imported.replace('.', '_')} -> {imported} (l.1)"
        assert line in report, f"{name}: {report}"
    assert all(any(n.startswith(start) for start, *_ in FORBIDDEN) for n in names)

"""Who may import whom: the contracts in pyproject.toml, and proof that they bite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("acceptance", "cli", "compiler", "deploy", "fargate_runtime", "local"),
    *("simulation", "templates"),
    *(f"local/{name}" for name in ("datastores", "ecs", "emulator", "step_scaling")),
)


def inspect(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own environment's command
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_wall_stands() -> None:
    seen = inspect(ROOT)
    assert seen.returncode == 0, seen.stdout


@pytest.mark.parametrize(
    ("package", "trespass"),
    [
        ("templates", "import boto3"),
        ("templates", "import deploy"),
        ("compiler", "import boto3"),
        ("compiler", "import templates"),
        ("deploy", "import templates"),
        ("fargate_runtime", "import compiler"),
        ("local", "import templates"),
        ("local", "import simulation"),
        ("local/ecs", "import deploy"),
        ("local/datastores", "import acceptance"),
        ("simulation", "import templates"),
        ("local/step_scaling", "import fargate_runtime"),
    ],
)
def test_a_breached_wall_is_seen(package: str, trespass: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / package / "page.py").write_text(trespass + "\n")

    seen = inspect(tmp_path)

    assert seen.returncode == 1, seen.stdout
    assert f"{package.replace('/', '.')}.page" in seen.stdout

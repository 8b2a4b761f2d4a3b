"""Which Airflow may start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fargate_runtime import airflow_version

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", ["3.3.0", "3.3.2", "3.3.10"])
def test_supported_airflow_is_accepted(version: str) -> None:
    airflow_version.check(version)


@pytest.mark.parametrize("version", ["2.11.0", "3.2.9", "3.4.0", "3.30.0"])
def test_unsupported_airflow_is_refused(version: str) -> None:
    with pytest.raises(airflow_version.UnsupportedAirflowError) as raised:
        airflow_version.check(version)
    assert str(raised.value) == (
        f"the image holds Airflow {version}; these templates run Airflow 3.3.x. "
        "Name such an image in the parameter Image"
    )


def started(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Start a command in a container whose image holds an Airflow."""
    dist_info = folder / "site" / f"apache_airflow_core-{version}.dist-info"
    dist_info.mkdir(parents=True)
    text = f"Metadata-Version: 2.4\nName: apache-airflow-core\nVersion: {version}\n"
    (dist_info / "METADATA").write_text(text)
    start = "import sys; from fargate_runtime.start import start; start(sys.argv[1:])"
    return subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", start, "echo", "it runs"],
        env={"PYTHONPATH": f"{ROOT}:{dist_info.parent}", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )


def test_container_with_another_airflow_does_not_start_its_command(
    tmp_path: Path,
) -> None:
    # A moved tag: the set-up saw 3.3, and a container that ECS replaces gets 3.4.
    result = started(tmp_path, "3.4.0")
    assert result.returncode == 1
    assert "it runs" not in result.stdout
    assert result.stderr.startswith(
        "runtime: cannot start echo: the image holds Airflow"
    )
    assert result.stderr.count("\n") == 1


def test_container_with_a_supported_airflow_starts_its_command(
    tmp_path: Path,
) -> None:
    result = started(tmp_path, "3.3.7")
    assert result.stdout == "it runs\n"
    assert result.returncode == 0

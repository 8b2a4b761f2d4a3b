"""The DAG files are read by the real Airflow as the checks expect them to be."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from acceptance.checks import dags
from local.airflow_environment import airflow_environment

pytestmark = pytest.mark.slow

READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps([sorted(bag.dags), sorted(bag.import_errors.values())]))
"""


def read(folder: Path, home: Path) -> tuple[list[str], list[str]]:
    """Return the DAGs of a folder, and the import errors."""
    seen = subprocess.run(  # noqa: S603 - our own text
        [airflow_environment().python, "-c", READ, folder],
        env={
            "PATH": os.defpath,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found, errors = json.loads(seen.stdout.splitlines()[-1])
    return found, errors


def test_every_file_makes_its_dags(tmp_path: Path) -> None:
    found, errors = read(dags.DAGS, tmp_path)

    assert not errors
    assert found == [
        *("check_asset_reader", "check_asset_writer", "check_deferred"),
        *("check_fan_out", "check_plain", "check_secrets"),
    ]


def test_the_late_file_makes_a_dag_and_the_broken_one_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "check_late.py").write_text(dags.LATE)
    (folder / dags.BROKEN_FILE).write_text(dags.BROKEN)

    found, errors = read(folder, tmp_path)

    assert found == [dags.LATE_ID]
    assert len(errors) == 1
    assert "SyntaxError" in errors[0]

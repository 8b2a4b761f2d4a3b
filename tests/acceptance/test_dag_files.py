"""The DAG files, as the real Airflow reads them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from acceptance import scaling
from acceptance.checks import dags
from acceptance.faults import fault_run
from local.airflow_environment import airflow_environment

READ = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
tasks = {id: sorted(task.task_id for task in dag.tasks) for id, dag in bag.dags.items()}
print(json.dumps([tasks, bag.import_errors]))
"""


@pytest.mark.slow
def test_airflow_reads_every_dag_file(tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    for source in (dags.DAGS, fault_run.DAGS, scaling.DAGS):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / f"{dags.LATE_ID}.py").write_text(dags.LATE)
    (folder / f"{dags.BROKEN_ID}.py").write_text(dags.BROKEN)
    done = subprocess.run(  # noqa: S603 - our own text
        [airflow_environment().python, "-c", READ, folder],
        env={
            "PATH": os.defpath,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    tasks, errors = json.loads(done.stdout.splitlines()[-1])

    assert tasks == {
        "check_asset_reader": ["read"],
        "check_asset_writer": ["write"],
        dags.DEFERRED: ["wait"],
        dags.FAN_OUT: ["square", "total"],
        dags.HOLD: ["hold", "numbers"],
        dags.LATE_ID: ["run"],
        dags.PLAIN: ["first", "second", "third"],
        "check_hold": ["hold", "numbers"],
        "check_databases": ["read"],
        "check_secrets": ["read"],
        dags.FAILURE: ["fail"],
        "faults": ["deferred", "double", "hold", "numbers", "total"],
        "limits": ["hang", "outlive"],
        "scaling_burst": ["work"],
        "scaling_few": ["work"],
    }
    # What verify removes from a launched environment.
    checks = {dag_id for dag_id in tasks if dag_id.startswith("check_")}
    assert checks - {dags.LATE_ID} == {*dags.ALL}
    (file,) = errors
    assert f"{dags.BROKEN_ID}.py" in file
    assert "SyntaxError" in errors[file]

"""The bundle class as the real Airflow calls it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from fargate_runtime import contract
from local.airflow_environment import airflow_environment

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, shutil, sys
from pathlib import Path
from airflow.dag_processing.bundles.manager import DagBundlesManager
from fargate_runtime import release_bundle

root = Path(sys.argv[1])
requests = []

class Source:
    def __init__(self, bucket, prefix):
        self.folder = root / bucket / prefix

    def pointer(self, known):
        requests.append("pointer")
        content = (self.folder / "current.json").read_bytes()
        return None if known == str(hash(content)) else (str(hash(content)), content)

    def archive(self, version, target):
        requests.append("archive")
        shutil.copy(self.folder / f"archives/{version}.tar.gz", target)

release_bundle.S3Releases = Source

def bundle(version=None):
    return DagBundlesManager().get_bundle("team-a", version)

def outcome(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__

first, second = sys.argv[2:]
seen = {}
processor = bundle()
seen["no pointer"] = outcome(processor.initialize), processor.get_current_version()
pointer = root / "bucket/team-a/current.json"
pointer.write_text(json.dumps({"format": 1, "current": first}))
processor.initialize()
processor.refresh()
seen["first"] = processor.get_current_version().version
pointer.write_text("damaged")
seen["damaged"] = outcome(processor.refresh), processor.get_current_version().version
seen["files"] = (processor.path / "dag.py").read_text()
requests.clear()
task = bundle(first)
task.initialize()
seen["start of a task"] = list(requests), (task.path / "dag.py").read_text()
seen["refresh of a version"] = outcome(task.refresh)
bundle(second).initialize()
seen["other version"] = list(requests), processor.get_current_version().version
seen["unknown version"] = outcome(bundle("0" * 64).initialize)
print(json.dumps(seen))
"""


def put_release(folder: Path, text: str) -> str:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        member = tarfile.TarInfo("dag.py")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    version = sha256(body.getvalue()).hexdigest()
    (folder / contract.RELEASE_ARCHIVES).mkdir(parents=True, exist_ok=True)
    archive = folder / contract.RELEASE_ARCHIVES / f"{version}.tar.gz"
    archive.write_bytes(body.getvalue())
    return version


@pytest.mark.slow
def test_bundle_keeps_versions_and_the_last_good_one(tmp_path: Path) -> None:
    first, second = (put_release(tmp_path / "bucket/team-a", text) for text in "12")
    bundles = [
        {
            "name": "team-a",
            "classpath": contract.RELEASE_BUNDLE,
            "kwargs": {
                "bucket_name": "bucket",
                "prefix": "team-a",
                "refresh_interval": 0,
            },
        }
    ]
    done = subprocess.run(  # noqa: S603 - our own text
        [airflow_environment().python, "-c", SCRIPT, tmp_path, first, second],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_HOME": str(tmp_path / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(tmp_path / "disk"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "no pointer": ["FileNotFoundError", None],
        "first": first,
        "damaged": ["ReleaseError", first],
        "files": "1",
        "start of a task": [[], "1"],
        "refresh of a version": "ReleaseError",
        "other version": [["archive"], first],
        "unknown version": "FileNotFoundError",
    }

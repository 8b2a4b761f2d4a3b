"""The start of a task with 2,000 DAG files: our bundle beside the provider's.

S3 is the emulator on this machine, which answers sooner than S3 does. Each start is a
process of its own, as it is on a worker; loading Airflow is not counted.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from benchmarks.figures import ROOT, Figure, output
from deploy import release_archive, releases
from deploy.aws import Aws, EmulatorEndpoint
from deploy.releases import BundleLocation, Commit
from local.airflow_environment import airflow_environment
from local.emulator.process import EmulatorProcess
from templates.airflow.bundles import BUNDLES, Files, Releases

FILES = 2000
RUNS = 5
BUCKET = "bundles"

RATIO = 5
"""Ours may take a fifth of what the provider's takes."""

DAG = '''"""DAG {number}."""

from airflow.sdk import dag


@dag(schedule=None)
def dag_{number}():
    pass


dag_{number}()
'''


def measure() -> list[Figure]:
    """Return the figures of both bundles."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        dags = folder / "dags"
        dags.mkdir()
        for number in range(FILES):
            (dags / f"dag_{number}.py").write_text(DAG.format(number=number))
        with EmulatorProcess(ROOT, folder / "aws") as emulator:
            return _measure(folder, dags, emulator)


def _measure(folder: Path, dags: Path, emulator: EmulatorProcess) -> list[Figure]:
    options = emulator.client_options
    s3 = boto3.client("s3", **options)
    s3.create_bucket(Bucket=BUCKET)
    for path in dags.iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"files/{path.name}", Body=path.read_bytes())
    aws = Aws(
        emulator=EmulatorEndpoint(
            endpoint=emulator.endpoint_url,
            region=options["region_name"],
            access_key_id=options["aws_access_key_id"],
            secret_access_key=options["aws_secret_access_key"],
        )
    )
    place = BundleLocation(BUCKET, _of(Releases).name)
    started = time.perf_counter()
    pushed = releases.push(
        aws,
        place,
        releases.read(aws, place),
        release_archive.pack(dags),
        commit=Commit(),
        is_checked=False,
    )
    push = time.perf_counter() - started
    environ = _environ(folder, emulator)
    ours = [_start(environ, place.bundle, pushed.current) for _ in range(RUNS + 1)]
    theirs = [_start(environ, _of(Files).name, "") for _ in range(RUNS + 1)]
    own, other = (
        tuple(median(values) for values in zip(*starts[1:], strict=True))
        for starts in (ours, theirs)
    )
    what = f"task start, {FILES:,} DAG files"
    floor_is = "S3DagBundle of the provider"
    return [
        Figure(
            what=f"{what}, release on disk",
            seconds=own[0],
            limit=min(0.3, other[0] / RATIO),
            floor=other[0],
            floor_is=floor_is,
        ),
        Figure(
            what=f"{what}, release on disk: requests",
            seconds=own[1],
            limit=0,
            floor=other[1],
            floor_is=floor_is,
        ),
        Figure(
            what=f"first {what}",
            seconds=ours[0][0],
            floor=theirs[0][0],
            floor_is=floor_is,
        ),
        Figure(
            what=f"first {what}: requests",
            seconds=ours[0][1],
            floor=theirs[0][1],
            floor_is=floor_is,
        ),
        Figure(what=f"dags push without the check, {FILES:,} files", seconds=push),
    ]


def _of(kind: type[Any]) -> Any:
    return next(bundle for bundle in BUNDLES if isinstance(bundle, kind))


def _environ(folder: Path, emulator: EmulatorProcess) -> dict[str, str]:
    options = emulator.client_options
    entries = []
    for bundle in (_of(Releases), Files(name=_of(Files).name, prefix="files/")):
        settings = {
            key: BUCKET if key == "bucket_name" else value
            for key, value in bundle.settings.items()
        }
        entries.append(
            {"name": bundle.name, "classpath": bundle.classpath, "kwargs": settings}
        )
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(entries),
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_REGION": options["region_name"],
        "AWS_DEFAULT_REGION": options["region_name"],
        "AWS_ACCESS_KEY_ID": options["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": options["aws_secret_access_key"],
    }


def _start(environ: dict[str, str], name: str, version: str) -> list[float]:
    """Return seconds and requests of one start."""
    python = str(airflow_environment().python)
    main = str(Path(__file__).with_name("dag_bundles_main.py"))
    lines = output([python, main, name, version], environ).splitlines()
    numbers: list[float] = json.loads(lines[-1])
    return numbers

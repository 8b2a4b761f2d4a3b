"""The local Airflow's packages are those of the stock image."""

from __future__ import annotations

import pytest

from requirements import lock
from tests.local.datastores.clients import ROOT

PINS = (ROOT / "requirements" / "airflow.txt").read_text()


@pytest.mark.parametrize(
    "pin",
    [
        "apache-airflow==3.3.2",
        "apache-airflow-core==3.3.2",
        "apache-airflow-task-sdk==1.3.2",
        "apache-airflow-providers-celery==3.24.0",
        "apache-airflow-providers-fab==3.9.0",
        # Quoted in public as those of constraints-3.3.2: see image.in.
        "apache-airflow-providers-amazon==9.36.0",
        "apache-airflow-providers-http==6.1.0",
        # The newest that aiobotocore of that day goes with.
        "botocore==1.43.75",
        # celery 5.7.0 makes the provider fail with ImportError, which asks for less.
        "celery==5.6.3",
        "kombu==5.6.2",
        "redis==6.4.0",
        "sqlalchemy==2.0.51",
        "flower==2.0.1",
        # 0.32.0 is of October.
        "asyncpg==0.31.0",
    ],
)
def test_versions_are_those_of_the_image(pin: str) -> None:
    assert f"\n{pin} \\\n" in f"\n{PINS}"


def test_no_version_is_newer_than_the_release() -> None:
    # The newest providers were pinned once, five weeks younger than the image's.
    arguments = lock.compilation("airflow")
    bound = arguments[arguments.index("--exclude-newer") + 1]
    assert bound == "2026-09-18T00:00:00Z"


@pytest.mark.parametrize("name", ["airflow", "datastores"])
def test_pins_are_hashed_and_name_no_index(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pinned = [line for line in lines if "==" in line]
    assert pinned
    # A pin without a hash would end its line.
    assert all(line.endswith(" \\") for line in pinned)
    assert not [line for line in lines if "://" in line]

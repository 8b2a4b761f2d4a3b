"""The Airflow that runs in place of the container image, and images it may replace."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from local.errors import LocalEnvironmentError
from local.packages import TeamPackages

PIN = re.compile(r"^apache-airflow-core==(?P<version>[\d.]+)", re.MULTILINE)
OFFICIAL = re.compile(r"(^|/)apache/airflow:(?P<version>\d+(\.\d+)+)")
"""A tag that says which Airflow is in the image."""

PLUGINS = "/opt/airflow/plugins"
"""Airflow's default: AIRFLOW_HOME of the image, and its folder of plugins."""

REFRESH_SECONDS = 5

RELOADING = {
    # The defaults are 30 s and 5 s; all three together are what a change waits for.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
}
"""Variables with which a changed DAG file is seen within seconds."""


def _refreshing(bundles: str) -> str:
    """Return a list of DAG bundles that are refreshed every few seconds."""
    entries = json.loads(bundles)
    for bundle in entries:
        bundle["kwargs"]["refresh_interval"] = REFRESH_SECONDS
    return json.dumps(entries)


REWRITTEN: Mapping[str, Callable[[str], str]] = {
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": _refreshing
}
"""Variable -> its value here; the task definition's interval is a minute."""


def airflow_version(project: Path) -> str:
    """Return the version of Airflow that local environments run."""
    pins = (project / "requirements" / "airflow.txt").read_text()
    pin = PIN.search(pins)
    if pin is None:
        raise LocalEnvironmentError(
            "requirements/airflow.txt pins no Airflow.",
            remedy="Take it from the repository.",
        )
    return pin["version"]


def check(image: str, version: str) -> None:
    """Raise LocalEnvironmentError if an image says that it holds another Airflow."""
    tag = OFFICIAL.search(image)
    if tag and tag["version"] != version:
        raise LocalEnvironmentError(
            f"Image is {image}, and a local environment runs Airflow {version}.",
            "A check that passes with one version says nothing of another.",
            f"Use an image of Airflow {version}, or pin the other version in "
            "requirements/image.in and run make pins.",
        )


def deviation(image: str, version: str, packages: TeamPackages | None = None) -> str:
    """Return what runs in place of the image, in a sentence."""
    python = ".".join(map(str, sys.version_info[:2]))
    added = f", and {packages.describe()}" if packages and packages.describe() else ""
    return (
        f"In place of image {image} runs Airflow {version} on Python {python}, with "
        f"the packages of requirements/airflow.txt{added}."
    )

"""The Airflow that runs in place of the container image, and images it may replace."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from local.errors import LocalEnvironmentError

PIN = re.compile(r"^apache-airflow-core==(?P<version>[\d.]+)", re.MULTILINE)
OFFICIAL = re.compile(r"(^|/)apache/airflow:(?P<version>\d+(\.\d+)+)")
"""A tag that says which Airflow is in the image."""


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
            "requirements/airflow.in and run make pins.",
        )


def deviation(image: str, version: str) -> str:
    """Return what runs in place of the image, in a sentence."""
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"In place of image {image} runs Airflow {version} on Python {python}, with "
        "the packages of requirements/airflow.txt."
    )

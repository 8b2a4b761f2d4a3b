"""What runs in place of the image that the environment names, and whether it may."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from local.errors import LocalEnvironmentError

PIN = re.compile(r"^apache-airflow-core==(?P<version>[\d.]+)", re.MULTILINE)
OFFICIAL = re.compile(r"(^|/)apache/airflow:(?P<version>\d+(\.\d+)+)")
"""A tag that says which Airflow is in the image."""


def airflow_version(project: Path) -> str:
    """Return the version of Airflow that the rehearsal runs."""
    pins = (project / "requirements" / "airflow.txt").read_text()
    found = PIN.search(pins)
    if found is None:
        raise LocalEnvironmentError(
            "requirements/airflow.txt pins no Airflow.",
            remedy="Take it from the repository.",
        )
    return found["version"]


def check(image: str, version: str) -> None:
    """Raise LocalEnvironmentError if an image says that it holds another Airflow."""
    found = OFFICIAL.search(image)
    if found and found["version"] != version:
        raise LocalEnvironmentError(
            f"Image is {image}, and the rehearsal runs Airflow {version}.",
            "What it proves of one version it does not prove of another.",
            f"Rehearse with an image of Airflow {version}, or pin the other version in "
            "requirements/airflow.in and run make pins.",
        )


def deviation(image: str, version: str) -> str:
    """Return what runs in place of the image, in a sentence."""
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"In place of image {image} runs Airflow {version} on Python {python}, with "
        "the packages of requirements/airflow.txt."
    )

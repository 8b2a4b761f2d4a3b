"""Check that the image holds the Airflow version that these templates support.

The migration job refuses another image before it migrates. Each container checks again
as it starts: a tag such as ``latest`` may name another Airflow tomorrow.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fargate_runtime.contract import AIRFLOW_DISTRIBUTION, AIRFLOW_VERSION_PREFIX


class UnsupportedAirflowError(Exception):
    """The image holds an unsupported Airflow; the message names it."""


def check(version: str) -> None:
    """Raise UnsupportedAirflowError unless ``version`` is supported."""
    if not version.startswith(AIRFLOW_VERSION_PREFIX):
        raise UnsupportedAirflowError(
            f"the image holds Airflow {version}; these templates run "
            f"Airflow {AIRFLOW_VERSION_PREFIX}x. Name such an image in the parameter "
            "Image"
        )


def check_own() -> None:
    """Raise UnsupportedAirflowError if this container's Airflow is unsupported.

    An image without Airflow fails by itself, because its command does not start.
    """
    # By the name of its folder: to import importlib.metadata takes 40 ms of CPU,
    # which every start of a container would pay.
    pattern = f"{AIRFLOW_DISTRIBUTION.replace('-', '_')}-*.dist-info"
    for folder in sys.path:
        for metadata in Path(folder).glob(pattern):
            check(metadata.name.removesuffix(".dist-info").rpartition("-")[2])
            return

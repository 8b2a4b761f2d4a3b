"""Which Airflow the configuration, the commands and the secrets are made for.

Set-up refuses an image before it migrates. Each container looks again as it starts: a
tag such as ``latest`` may name another Airflow tomorrow, which no set-up ever saw.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = "apache-airflow-core"
SUPPORTED = "3.3."


class ImageError(Exception):
    """The image holds an Airflow that does not fit; the message names it."""


def check(found: str) -> None:
    """Raise ImageError unless ``found`` is a version that fits."""
    if not found.startswith(SUPPORTED):
        raise ImageError(
            f"the image holds Airflow {found}; these templates run "
            f"Airflow {SUPPORTED}x. Name such an image in the parameter Image"
        )


def check_own() -> None:
    """Raise ImageError if the Airflow of this image does not fit.

    An image without any says so itself, as its command does not start.
    """
    # By the name of its folder: to import importlib.metadata takes 40 ms of CPU,
    # which every start of a container would pay.
    pattern = f"{PACKAGE.replace('-', '_')}-*.dist-info"
    for folder in sys.path:
        for place in Path(folder).glob(pattern):
            check(place.name.removesuffix(".dist-info").rpartition("-")[2])
            return

"""The table of DAG bundles: where Airflow finds DAGs.

Three kinds. A bundle of *releases* is written by ``build.py dags push``, a bundle of
*files* by ``aws s3 sync``; a *Git* bundle follows a branch. Two bundles must not hold
a DAG of the same name: Airflow would switch between them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from troposphere import Sub

from compiler.wiring import WiringError
from fargate_runtime import contract
from templates.types import Buckets

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""It is a folder in S3 and on disk."""

RELEASE_SECONDS = 10
"""Between two looks at a pointer: one request of the DAG processor."""

FILES_SECONDS = 60
"""Between two listings of a folder, each a request for a thousand files."""

GIT_SECONDS = 60
"""Between two fetches, each some requests of a Git server."""


@dataclass(frozen=True, kw_only=True)
class Releases:
    """DAGs that ``build.py dags push ENV --bundle NAME`` releases.

    A run ends with the code that it began with.
    """

    name: str

    @property
    def classpath(self) -> str:
        """The class that Airflow imports."""
        return contract.RELEASE_BUNDLE

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the class; ``${...}`` is a bucket."""
        return {
            "bucket_name": "${ReleaseBucket}",
            "prefix": self.name,
            "refresh_interval": RELEASE_SECONDS,
        }


@dataclass(frozen=True, kw_only=True)
class Files:
    """DAG files in the DAG bucket, as ``aws s3 sync`` copies them.

    Airflow refuses a prefix under which nothing lies.
    """

    name: str
    prefix: str = ""
    """Empty for the root of the bucket, else with a slash at its end."""

    @property
    def classpath(self) -> str:
        """The class that Airflow imports."""
        return "airflow.providers.amazon.aws.bundles.s3.S3DagBundle"

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the class; without a connection: with the task role."""
        return {
            "bucket_name": "${DagBucket}",
            **({"prefix": self.prefix} if self.prefix else {}),
            "aws_conn_id": None,
            "refresh_interval": FILES_SECONDS,
        }


@dataclass(frozen=True, kw_only=True)
class Git:
    """A branch of a Git repository; a run ends with the commit that it began with.

    ``connection`` is the Airflow connection of a private repository, with a token or an
    SSH key; empty for a public one.
    """

    name: str
    url: str
    branch: str
    folder: str = ""
    connection: str = ""

    @property
    def classpath(self) -> str:
        """The class that Airflow imports: of a provider in the stock image."""
        return "airflow.providers.git.bundles.git.GitDagBundle"

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the class."""
        return {
            "repo_url": self.url,
            "tracking_ref": self.branch,
            **({"subdir": self.folder} if self.folder else {}),
            **({"git_conn_id": self.connection} if self.connection else {}),
            "refresh_interval": GIT_SECONDS,
        }


Bundle = Releases | Files | Git

BUNDLES: tuple[Bundle, ...] = (Releases(name="releases"), Files(name="dags"))
"""Adding a bundle is adding an entry: one of releases for each team, for example."""


def check_bundles(bundles: tuple[Bundle, ...]) -> None:
    """Raise WiringError where a name is invalid or not unique."""
    counts = Counter(bundle.name for bundle in bundles)
    faults = [f"{name!r} is used {n} times" for name, n in counts.items() if n > 1]
    faults += [
        f"{name!r} is not of small letters, digits and hyphens"
        for name in counts
        if not NAME.fullmatch(name)
    ]
    if faults:
        raise WiringError(
            "the table of bundles",
            "; ".join(faults),
            "Correct templates/airflow/bundles.py",
        )


def bundle_list(bundles: tuple[Bundle, ...], buckets: Buckets) -> Sub:
    """Return Airflow's ``dag_bundle_config_list``."""
    check_bundles(bundles)
    entries = [
        {
            "name": bundle.name,
            "classpath": bundle.classpath,
            "kwargs": bundle.settings,
        }
        for bundle in bundles
    ]
    return Sub(
        json.dumps(entries),
        DagBucket=buckets.dag_bucket_name,
        ReleaseBucket=buckets.release_bucket_name,
    )

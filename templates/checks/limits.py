"""Checks of single values that AWS or a container refuses long after the launch began.

Sources: quotas of IAM (managed policies per role) and the Airflow versions that the
container code accepts (``fargate_runtime.airflow_version``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.constraints import elements
from compiler.validation import Check, Finding, check
from fargate_runtime.contract import AIRFLOW_VERSION_PREFIX
from templates.checks.lists import list_fault
from templates.parameters import Parameters
from templates.resources.image_repository import DEEPEST, REGISTRY
from templates.types import Boolean, Image, PolicyArns

MOST_POLICIES = 10
"""Managed policies of one role; IAM's default quota."""

OFFICIAL_IMAGE = "apache/airflow"
VERSION_TAG = re.compile(r"(?:slim-)?(?P<version>\d+(?:\.\d+)*)(?:-python[\d.]+)?")
"""Tags of the official image."""


def checks(parameters: Parameters) -> Iterator[Check]:
    """Yield the checks of the image and of the extra policies."""
    yield check("the image names its Airflow", _image, parameters.image)
    yield check(
        "a role takes the extra policies",
        _policies,
        parameters.airflow.extra_policy_arns,
        parameters.airflow.enable_execute_command,
    )


def _image(image: Image) -> Finding | None:
    name, _, digest = image.text.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a colon before a slash is that of a port
        repository, tag = name, ""
    if REGISTRY in repository and repository.count("/") > DEEPEST:
        return Finding(
            what=f"{image.text} is in a repository whose name has more than {DEEPEST} "
            "parts.",
            why="The permission to pull it covers no more.",
            remedy="Copy the image to a repository with a shorter name.",
        )
    remedy = f"Name a version, as apache/airflow:{AIRFLOW_VERSION_PREFIX}2-python3.12."
    if not digest and not tag:
        return Finding(
            what=f"{image.text} has no tag, which means latest.",
            why="The tag may name another Airflow tomorrow, and tasks start every day.",
            remedy=remedy,
        )
    if not digest and tag == "latest":
        return Finding(
            what=f"{image.text} names whatever is the latest.",
            why="It may be another Airflow tomorrow, and tasks start every day.",
            remedy=remedy,
        )
    version = VERSION_TAG.fullmatch(tag)
    is_official = f"/{repository}".endswith(f"/{OFFICIAL_IMAGE}")
    if (
        is_official
        and version
        and not f"{version['version']}.".startswith(AIRFLOW_VERSION_PREFIX)
    ):
        return Finding(
            what=f"{image.text} holds Airflow {version['version']}.",
            why=f"The templates run Airflow {AIRFLOW_VERSION_PREFIX}x; the migration "
            "job refuses another one, after VPC and database are made.",
            remedy=remedy,
        )
    return None


def _policies(arns: PolicyArns, has_exec: Boolean) -> Finding | None:
    if fault := list_fault(arns):
        return fault
    count = len(elements(arns.text))
    own = 2 if has_exec.is_true else 1
    most = MOST_POLICIES - own
    if count <= most:
        return None
    return Finding(
        what=f"{arns.name} names {count} policies.",
        why=f"A role has {MOST_POLICIES} managed policies at most, and {own} of them "
        "are made by the templates.",
        remedy=f"Name {most} or fewer: put their statements into one policy.",
    )

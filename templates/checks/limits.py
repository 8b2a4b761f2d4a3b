"""Checks of single values that AWS or a container refuses long after the launch began.

Sources: quotas of IAM (managed policies per role) and the Airflow versions that the
container code accepts (``fargate_runtime.airflow_version``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.constraints import elements
from compiler.validation import Check, Finding, check
from compiler.values import Value
from fargate_runtime.contract import AIRFLOW_VERSION_PREFIX
from templates.airflow.platform import AirflowSettings
from templates.airflow.pools import WorkerPool
from templates.checks.lists import list_fault
from templates.parameters import Parameters
from templates.resources.image_repository import DEEPEST, REGISTRY
from templates.types import NONE, Boolean, Image, PolicyArns, RoleArns

MOST_POLICIES = 10
"""Managed policies of one role; IAM's default quota."""

OFFICIAL_IMAGE = "apache/airflow"
VERSION_TAG = re.compile(r"(?:slim-)?(?P<version>\d+(?:\.\d+)*)(?:-python[\d.]+)?")
"""Tags of the official image."""


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of the image, the extra policies and the roles to assume."""
    yield check("the image names its Airflow", _image, parameters.image)
    settings = parameters.airflow
    sources: tuple[AirflowSettings | WorkerPool, ...] = (settings, *pools)
    for source in sources:
        yield check(
            f"a role takes the policies of {source.extra_policy_arns.name}",
            _policies,
            source.extra_policy_arns,
            settings.extra_policy_arns,
            source.assumable_role_arns,
            settings.assumable_role_arns,
            settings.enable_execute_command,
        )
        yield check(
            f"{source.assumable_role_arns.name} has each role once",
            list_fault,
            source.assumable_role_arns,
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


def _policies(
    own_arns: PolicyArns,
    common_arns: PolicyArns,
    own_roles: RoleArns,
    common_roles: RoleArns,
    has_exec: Boolean,
) -> Finding | None:
    """Count the policies of a pool's role, or of the roles without lists of a pool."""
    if fault := list_fault(own_arns):
        return fault
    is_pool = own_arns.name != common_arns.name
    if is_pool and not (own_arns.text or own_roles.text):
        return None  # Its role is like those that the environment's lists are for.
    arns = own_arns if own_arns.text else common_arns
    roles = own_roles if own_roles.text else common_roles
    count = len(_entries(arns))
    own = 1 + has_exec.is_true + bool(_entries(roles))
    most = MOST_POLICIES - own
    if count <= most:
        return None
    return Finding(
        what=f"{arns.name} names {count} policies.",
        why=f"A role has {MOST_POLICIES} managed policies at most, and {own} of them "
        "are made by the templates.",
        remedy=f"Name {most} or fewer: put their statements into one policy.",
    )


def _entries(values: Value) -> list[str]:
    return [text for text in elements(values.text) if text not in ("", NONE)]

"""Checks of ARNs and images: one environment is in one partition and region."""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.constraints import elements
from compiler.validation import Check, Finding, check
from compiler.values import Value
from templates.airflow.platform import AirflowSettings
from templates.airflow.pools import WorkerPool
from templates.checks.addresses import PRIVATE_REGISTRY
from templates.parameters import Parameters

ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):[a-z0-9-]+:(?P<region>[a-z0-9-]*):")

PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc"))
"""Partitions by the beginning of their regions, where it is not ``aws``."""

Place = tuple[str, str]
"""Partition and region; no region for a global resource."""


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the check that everything the parameters name is in one place."""
    settings = parameters.airflow
    sources: tuple[AirflowSettings | WorkerPool, ...] = (settings, *pools)
    yield check(
        "what the parameters name is in one partition and region",
        _different_places,
        (
            parameters.certificate_arn,
            parameters.image,
            settings.permissions_boundary_arn,
            parameters.database_snapshot_id,
            parameters.fernet_key_secret_arn,
            parameters.sign_on.oidc_client_secret_arn,
            *(
                arns
                for source in sources
                for arns in (source.extra_policy_arns, source.assumable_role_arns)
            ),
        ),
    )


def _different_places(values: tuple[Value, ...]) -> Finding | None:
    named = ((v.name, _place(text)) for v in values for text in elements(v.text))
    places = dict.fromkeys((name, place) for name, place in named if place)
    for position in (0, 1):
        names = {place[position] for _, place in places} - {""}
        if len(names) > 1:
            kind = ("partition", "region")[position]
            listed = ", ".join(
                f"{name} in {place[position]}"
                for name, place in places
                if place[position]
            )
            return Finding(
                what=f"The parameters name more than one {kind}: {listed}.",
                why=f"A stack is in one {kind} and cannot use what is in another; its "
                "tasks pull from ECR in their own region only.",
                remedy="Name resources of the region in which this environment is "
                "launched. ECR can replicate an image.",
            )
    return None


def _place(text: str) -> Place | None:
    arn = ARN.match(text)
    if arn:
        return arn["partition"], arn["region"]
    image = PRIVATE_REGISTRY.match(text)
    if image:
        region = image["region"]
        partitions = (name for start, name in PARTITIONS if region.startswith(start))
        return next(partitions, "aws"), region
    return None

"""Checks of ARNs and images: one environment is in one partition and region."""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.validation import Check, Finding, check
from templates.checks.addresses import PRIVATE_REGISTRY
from templates.parameters import Parameters
from templates.types import CertificateArn, Image, PolicyArn, SnapshotId

ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):[a-z0-9-]+:(?P<region>[a-z0-9-]*):")

PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc"))
"""Partitions by the beginning of their regions, where it is not ``aws``."""

Place = tuple[str, str]
"""Partition and region; no region for a global resource."""


def checks(parameters: Parameters) -> Iterator[Check]:
    """Yield the check that everything the parameters name is in one place."""
    yield check(
        "what the parameters name is in one partition and region",
        _different_places,
        parameters.certificate_arn,
        parameters.image,
        parameters.airflow.permissions_boundary_arn,
        parameters.database_snapshot_id,
    )


def _different_places(
    certificate: CertificateArn, image: Image, boundary: PolicyArn, snapshot: SnapshotId
) -> Finding | None:
    places: dict[str, Place] = {}
    for value in (certificate, image, boundary, snapshot):
        place = _place(value.text)
        if place:
            places[value.name] = place
    for position in (0, 1):
        names = {place[position] for place in places.values()} - {""}
        if len(names) > 1:
            kind = ("partition", "region")[position]
            listed = ", ".join(
                f"{name} in {place[position]}"
                for name, place in places.items()
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

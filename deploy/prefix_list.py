"""Find the prefix list of S3, which a template cannot look up.

Tasks without a way to the internet reach S3 by a gateway endpoint, and their security
groups name it by its prefix list. Its ID differs from region to region.
"""

from __future__ import annotations

from dataclasses import replace

from deploy.aws import Aws
from deploy.dist import Dist, Environment

FOUND_AT_LAUNCH = "FoundAtLaunch"
"""Metadata of the root template: parameters that a launch finds if they are empty."""

NAME = "S3PrefixListId"
OUTBOUND = "OutboundHttpsCidr"
"""Parameters of the parent."""

EVERYWHERE = "0.0.0.0/0"


def with_prefix_list(aws: Aws, dist: Dist, environment: Environment) -> Environment:
    """Return the environment with the prefix list of S3, where it needs one."""
    template = dist.templates.get(dist.root, {})
    if NAME not in template.get("Metadata", {}).get(FOUND_AT_LAUNCH, ()):
        return environment
    outbound = environment.parameters.get(OUTBOUND, EVERYWHERE)
    if environment.parameters.get(NAME) or outbound == EVERYWHERE:
        return environment
    ids = s3_prefix_lists(aws)
    if not ids:
        # The template's own rule says what is missing.
        return environment
    return replace(environment, parameters={**environment.parameters, NAME: ids[0]})


def s3_prefix_lists(aws: Aws) -> list[str]:
    """Return the IDs of the prefix lists of S3 in the region."""
    rows = aws.call(
        "ec2",
        "describe_managed_prefix_lists",
        "prefix lists",
        Filters=[{"Name": "prefix-list-name", "Values": [s3_service(aws)]}],
    )["PrefixLists"]
    return sorted(row["PrefixListId"] for row in rows)


def s3_service(aws: Aws) -> str:
    """Return the name of S3 as a service of a gateway endpoint."""
    name = f"com.amazonaws.{aws.region}.s3"
    return f"cn.{name}" if aws.partition == "aws-cn" else name

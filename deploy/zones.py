"""Choose the availability zones of a new VPC, once.

CloudFormation's own list, Fn::GetAZs, leaves out zones without a default subnet where
any zone has one, and is evaluated again at each update: another answer would replace
subnets by others with the same addresses, which EC2 refuses. So the first launch names
the zones, and each later one repeats the names from the stack.
"""

from __future__ import annotations

from dataclasses import replace

from cli import console
from cli.errors import Problem, UsageError
from deploy.aws import Aws
from deploy.dist import Dist, Environment
from deploy.stacks import REVIEW, StackSummary

NAMES = "AvailabilityZones"
COUNT = "ZoneCount"
EXISTING_VPC = "ExistingVpcId"
"""Parameters of the parent."""

MOST = 3
"""One is spare with two zones: a third subnet can follow without another choice."""

UNSUITABLE = frozenset({"use1-az3"})
"""IDs of zones in which NAT gateways, Aurora or interface endpoints are not offered.
The ID is the same in every account, the name is not."""


def with_zones(
    aws: Aws, dist: Dist, environment: Environment, stack: StackSummary | None
) -> Environment:
    """Return the environment with the names of its zones.

    Unchanged are environments that name them or have a VPC already, and stacks that
    were launched without names: those keep the zones that CloudFormation lists.
    """
    defaults = dist.templates.get(dist.root, {}).get("Parameters", {})

    def value(name: str) -> str:
        default = defaults.get(name, {}).get("Default", "")
        return str(environment.parameters.get(name, default))

    if NAMES not in defaults or value(NAMES) or value(EXISTING_VPC):
        return environment
    names: list[str] = []
    if stack is not None and stack.status != REVIEW:
        previous = stack.parameters.get(NAMES, "")
        if not previous:
            return environment
        names = previous.split(",")
    count = int(value(COUNT))
    if len(names) < max(count, 1):
        offered = offered_zones(aws)
        names += [name for name in offered if name not in names][: MOST - len(names)]
        if len(names) < count:
            raise UsageError(
                Problem(
                    where=f"{COUNT} of {environment.name}",
                    what=f"{aws.region} offers this account {len(names)} zones of "
                    f"{count}: {', '.join(names) or 'none'}.",
                    remedy=f"Set {COUNT} to {len(names)}, or launch in another region.",
                )
            )
        console.note(f"Zones: {', '.join(names)}. Later launches keep them ({NAMES}).")
    return replace(
        environment, parameters={**environment.parameters, NAMES: ",".join(names)}
    )


def offered_zones(aws: Aws) -> list[str]:
    """Return the names of the zones in which everything can be created."""
    zones = aws.call("ec2", "describe_availability_zones", "Availability zones")
    return sorted(
        zone["ZoneName"]
        for zone in zones["AvailabilityZones"]
        if zone.get("ZoneType", "availability-zone") == "availability-zone"
        and zone.get("State", "available") == "available"
        and zone.get("ZoneId") not in UNSUITABLE
    )

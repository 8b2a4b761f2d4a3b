"""Zones, the existing VPC, security groups of the operator, and S3's prefix list."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from cli.errors import AwsError
from deploy.aws import is_missing
from deploy.prefix_list import s3_prefix_lists, s3_service
from deploy.preflight.context import LaunchContext, known_text, known_texts
from deploy.preflight.findings import Finding, passed, refused, warning
from deploy.preflight.quotas import task_counts
from deploy.zones import offered_zones

SUBNET_TYPE = "AWS::EC2::Subnet"
SUBNET = re.compile(r"subnet-[0-9a-f]+")
GROUP_TYPE = "AWS::EC2::SecurityGroup"
GROUP = re.compile(r"sg-[0-9a-f]+")

MOST_RULES = 60
"""Rules of one direction of a security group; EC2's default quota."""

STORES = {
    "AWS::RDS::DBCluster": "AWS::RDS::DBSubnetGroup",
    "AWS::ElastiCache::ReplicationGroup": "AWS::ElastiCache::SubnetGroup",
}
"""Types of the environment's own stores, and of the groups of their subnets."""

DNS_ATTRIBUTES = {
    "enableDnsSupport": "--enable-dns-support",
    "enableDnsHostnames": "--enable-dns-hostnames",
}
"""Attributes of a VPC that private names need, and the option that sets each."""


def zones(context: LaunchContext) -> Iterator[Finding]:
    """Compare the zones that the account can use with those of new subnets."""
    needed = zone_count(context)
    if not needed or not context.is_new:
        return
    offered = offered_zones(context.aws)
    named = set(context.values(SUBNET_TYPE, "AvailabilityZone"))
    text = (
        f"{needed} zones are needed; the account can use {len(offered)}: "
        f"{', '.join(offered)}."
    )
    if not named <= set(offered):
        yield refused(
            f"{', '.join(sorted(named - set(offered)))} cannot be used. {text}",
            "Leave AvailabilityZones empty, or name zones of this list.",
        )
    elif len(offered) < needed:
        yield refused(text, "Lower ZoneCount, or launch in another region.")
    else:
        yield passed(text)


def zone_count(context: LaunchContext) -> int:
    """Return in how many zones the new subnets are."""
    zones = (s.properties["AvailabilityZone"] for s in context.of_type(SUBNET_TYPE))
    # Fn::GetAZs is an expression; each index of it is another zone.
    return len({json.dumps(zone) for zone in zones})


def prefix_list(context: LaunchContext) -> Iterator[Finding]:
    """Compare the prefix list in security-group rules with that of S3."""
    named = {
        *context.values("AWS::EC2::SecurityGroupEgress", "DestinationPrefixListId"),
        *context.values("AWS::EC2::SecurityGroupIngress", "SourcePrefixListId"),
    }
    if not named:
        return
    ids = set(s3_prefix_lists(context.aws))
    name = s3_service(context.aws)
    if named <= ids:
        yield passed(f"{', '.join(named)} is {name}.")
    else:
        yield refused(
            f"{', '.join(sorted(named - ids))} is not the prefix list of S3 in "
            f"{context.aws.region}: tasks could not read the bucket of their code.",
            f"Write {', '.join(sorted(ids)) or f'the ID of {name}'}.",
        )


def existing_network(context: LaunchContext) -> Iterator[Finding]:
    """Look at the subnets that the environment names."""
    subnets = [
        text
        for value in context.environment.parameters.values()
        for text in value.split(",")
        if SUBNET.fullmatch(text)
    ]
    if not subnets:
        return
    try:
        rows = context.aws.call(
            "ec2", "describe_subnets", "subnets", SubnetIds=sorted(set(subnets))
        )["Subnets"]
    except AwsError as error:
        if not is_missing(error):
            raise
        yield refused(error.message, "Correct the subnets, or --region and --profile.")
        return
    problems = [*_in_other_vpcs(context, rows), *_endpoints(context, rows)]
    problems += _free_addresses(context, rows)
    problems += _egress_to_stores(context, rows)
    if not problems:
        yield passed(
            f"All {len(rows)} subnets are in {rows[0]['VpcId']} and have room."
        )
    yield from problems


def _in_other_vpcs(
    context: LaunchContext, rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    vpcs = {row["VpcId"] for row in rows}
    named = set(context.environment.parameters.values()) & vpcs
    if len(vpcs) > 1 or not named:
        yield refused(
            f"The subnets are in {', '.join(sorted(vpcs))}.",
            "Name subnets of the one VPC that the parameters name.",
        )


def _endpoints(context: LaunchContext, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """Check zones and private names, which interface endpoints need."""
    zones = {row["SubnetId"]: row["AvailabilityZoneId"] for row in rows}
    endpoints = [
        endpoint.properties
        for endpoint in context.of_type("AWS::EC2::VPCEndpoint")
        if known_texts(endpoint.properties.get("SubnetIds"))
    ]
    if not endpoints:
        return
    vpc = endpoints[0]["VpcId"]
    counts = Counter(zones.get(subnet, "") for subnet in endpoints[0]["SubnetIds"])
    twice = [zone for zone, count in counts.items() if zone and count > 1]
    if twice:
        yield refused(
            f"Two private subnets are in zone {', '.join(twice)}, and an interface "
            "endpoint takes one of each zone.",
            "Name one private subnet of each zone.",
        )
    for attribute, option in DNS_ATTRIBUTES.items():
        answer = context.aws.call(
            "ec2", "describe_vpc_attribute", vpc, VpcId=vpc, Attribute=attribute
        )
        if not answer[attribute[0].upper() + attribute[1:]]["Value"]:
            yield refused(
                f"{vpc} has {attribute} off: endpoints would have no private names.",
                f"aws ec2 modify-vpc-attribute --vpc-id {vpc} {option}",
            )


def _egress_to_stores(
    context: LaunchContext, rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    """Find egress rules by range that include the environment's own stores."""
    blocks = {row["SubnetId"]: IPv4Network(row["CidrBlock"]) for row in rows}
    for store_type, subnets_type in STORES.items():
        ports = {int(store.properties["Port"]) for store in context.of_type(store_type)}
        data = {
            blocks[subnet]
            for group in context.of_type(subnets_type)
            for subnet in known_texts(group.properties.get("SubnetIds"))
            if subnet in blocks
        }
        rules = {
            (rule["CidrIp"], int(rule["FromPort"]), int(rule["ToPort"]))
            for group in context.of_type(GROUP_TYPE)
            for rule in group.properties.get("SecurityGroupEgress", ())
            if rule.get("IpProtocol") == "tcp" and known_text(rule.get("CidrIp"))
        }
        for cidr, first, last in sorted(rules):
            near = [each for each in data if each.overlaps(IPv4Network(cidr))]
            if near and any(first <= port <= last for port in ports):
                yield refused(
                    f"DagEgress opens ports {first} to {last} of {cidr}, where the "
                    f"environment's own stores are, in {near[0]}.",
                    "Name the ranges of your own databases, or leave out the ports "
                    f"{', '.join(map(str, sorted(ports)))}.",
                )


def security_groups(context: LaunchContext) -> Iterator[Finding]:
    """Look for the operator's security groups in the VPC of the tasks."""
    named = {
        text
        for service in context.of_type("AWS::ECS::Service")
        for text in known_texts(_awsvpc(service.properties).get("SecurityGroups"))
        if GROUP.fullmatch(text)
    }
    if not named:
        return
    try:
        rows = context.aws.call(
            "ec2", "describe_security_groups", "groups", GroupIds=sorted(named)
        )["SecurityGroups"]
    except AwsError as error:
        if not is_missing(error):
            raise
        yield refused(
            error.message, "Correct DagSecurityGroupIds, or --region and --profile."
        )
        return
    problems = list(_elsewhere(context, rows))
    if not problems:
        yield passed(f"All {len(rows)} further security groups are in the VPC.")
    yield from problems


def _elsewhere(context: LaunchContext, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield a finding for groups that are not in the VPC of the tasks."""
    existing = set(context.values(GROUP_TYPE, "VpcId"))
    vpcs = {row["VpcId"] for row in rows}
    if not existing and context.is_new:
        yield refused(
            f"{', '.join(row['GroupId'] for row in rows)} cannot be in the VPC that "
            "this launch creates.",
            "Launch without DagSecurityGroupIds, create the groups in the new VPC, and "
            "launch again; or name an ExistingVpcId.",
        )
        return
    if not existing:
        answer = context.aws.call("ec2", "describe_vpcs", "VPC", VpcIds=sorted(vpcs))
        existing = {
            vpc["VpcId"]
            for vpc in answer["Vpcs"]
            if context.is_own({tag["Key"]: tag["Value"] for tag in vpc.get("Tags", ())})
        }
    for row in rows:
        if row["VpcId"] not in existing:
            yield refused(
                f"{row['GroupId']} is in {row['VpcId']}, and the tasks are not.",
                "Name groups of the environment's own VPC.",
            )


def endpoint_services(context: LaunchContext) -> Iterator[Finding]:
    """See that the region and the zones have the services of interface endpoints."""
    endpoints = {
        str(endpoint.properties["ServiceName"]): endpoint.properties
        for endpoint in context.of_type("AWS::EC2::VPCEndpoint")
        if endpoint.properties.get("VpcEndpointType") == "Interface"
        and known_text(endpoint.properties.get("ServiceName"))
    }
    if not endpoints:
        return
    rows = {
        row["ServiceName"]: row
        for page in context.aws.pages(
            "ec2",
            "describe_vpc_endpoint_services",
            "endpoint services",
            Filters=[{"Name": "service-name", "Values": sorted(endpoints)}],
        )
        for row in page["ServiceDetails"]
    }
    needed = _endpoint_zones(context)
    problems = []
    for name, properties in endpoints.items():
        short = name.rpartition(f"{context.aws.region}.")[2]
        row = rows.get(name)
        if row is None:
            problems.append(
                refused(
                    f"{context.aws.region} has no endpoint for {short}.",
                    "Take it out of EndpointServices, or launch in another region.",
                )
            )
        elif missing := needed - set(row["AvailabilityZones"]):
            problems.append(
                refused(
                    f"{short} has no endpoint in {', '.join(sorted(missing))}.",
                    "Take it out of EndpointServices, or use subnets in other zones: "
                    f"{', '.join(row['AvailabilityZones'])}.",
                )
            )
        elif "PolicyDocument" in properties and not row["VpcEndpointPolicySupported"]:
            problems.append(
                refused(
                    f"The endpoint for {short} takes no policy in "
                    f"{context.aws.region}, and would have one.",
                    "Take it out of EndpointServices.",
                )
            )
    yield from problems or [
        passed(f"The region has endpoints for all {len(endpoints)} services.")
    ]


def _endpoint_zones(context: LaunchContext) -> set[str]:
    """Return the zones of the endpoints by name, as far as they are known."""
    subnets = {
        subnet
        for endpoint in context.of_type("AWS::EC2::VPCEndpoint")
        for subnet in known_texts(endpoint.properties.get("SubnetIds"))
    }
    if not subnets:
        return set(context.values(SUBNET_TYPE, "AvailabilityZone"))
    rows = context.aws.call(
        "ec2", "describe_subnets", "subnets", SubnetIds=sorted(subnets)
    )["Subnets"]
    return {row["AvailabilityZone"] for row in rows}


def web_clients(context: LaunchContext) -> Iterator[Finding]:
    """Look up the prefix lists and groups that reach the load balancer."""
    for group in context.of_type(GROUP_TYPE):
        rules = group.properties.get("SecurityGroupIngress", ())
        lists = _sources(rules, "SourcePrefixListId")
        groups = _sources(rules, "SourceSecurityGroupId")
        try:
            if lists:
                yield from _room_for_lists(context, lists, len(rules))
            if groups:
                yield from _in_vpc(context, group.properties.get("VpcId"), groups)
        except AwsError as error:
            if not is_missing(error):
                raise
            yield refused(
                error.message, "Correct WebClients, or --region and --profile."
            )


def _sources(rules: Iterable[Mapping[str, Any]], name: str) -> Counter[str]:
    """Return the known sources of one kind, with the number of their rules."""
    return Counter(filter(None, (known_text(rule.get(name)) for rule in rules)))


def _room_for_lists(
    context: LaunchContext, lists: Counter[str], rules: int
) -> Iterator[Finding]:
    """Count a prefix list with the most entries that it can have, as EC2 does."""
    rows = context.aws.call(
        "ec2",
        "describe_managed_prefix_lists",
        "prefix lists",
        PrefixListIds=sorted(lists),
    )["PrefixLists"]
    entries = sum(
        (row.get("MaxEntries", 1) - 1) * lists[row["PrefixListId"]] for row in rows
    )
    if rules + entries > MOST_RULES:
        yield warning(
            f"The prefix lists of WebClients make {rules + entries} rules in the "
            f"group of the load balancer, and EC2 takes {MOST_RULES}.",
            "Lower the most entries of the lists, or raise the quota L-0EA8095F.",
        )
    else:
        yield passed(f"All {len(rows)} prefix lists of WebClients have room.")


def _in_vpc(
    context: LaunchContext, vpc: Any, groups: Iterable[str]
) -> Iterator[Finding]:
    rows = context.aws.call(
        "ec2", "describe_security_groups", "groups", GroupIds=sorted(groups)
    )["SecurityGroups"]
    for row in rows:
        if isinstance(vpc, str) and row["VpcId"] != vpc:
            yield warning(
                f"{row['GroupId']} is in {row['VpcId']}: EC2 takes it only if that "
                "VPC is peered with the environment's.",
                "See that the VPCs are peered; or name the range of its clients.",
            )


def _awsvpc(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network configuration of a service."""
    network: dict[str, Any] = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    return network


def _free_addresses(
    context: LaunchContext, rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    """Each task has an address; a deployment starts new tasks beside the old ones."""
    services = context.of_type("AWS::ECS::Service")
    subnets: set[str] = set()
    for service in services:
        subnets |= set(known_texts(_awsvpc(service.properties).get("Subnets")))
    free = sum(
        row["AvailableIpAddressCount"] for row in rows if row["SubnetId"] in subnets
    )
    most = 2 * sum(task_counts(context, service)[1] for service in services)
    if subnets and free < most:
        yield warning(
            f"The subnets of the tasks have {free} free addresses; the most tasks "
            f"need {most} in an update.",
            "Name larger subnets, or lower the most workers.",
        )

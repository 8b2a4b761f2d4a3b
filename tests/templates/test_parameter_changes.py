"""A change of one parameter of a running environment is harmless, or is listed here.

The plan's own comparison decides: what it refuses, and what endangers data. A parameter
that becomes dangerous to change has to be added below, and its description or
docs/refused-changes.md has to tell operators.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from cli import product
from cloudformation.evaluation import Path, Stack
from cloudformation.schemas import installed
from cloudformation.transitions import TRANSITIONS, refused
from cloudformation.updates import compare
from deploy.changes import of_update

SCHEMAS = installed()
ROOT = "parent.template.json"

SECRETS = "arn:aws:secretsmanager:us-east-1:111122223333:secret"
TEXTS = {
    "AlarmEmail": "a@example.com",
    "AvailabilityZones": "us-east-1c,us-east-1a,us-east-1b",
    "CacheNodeType": "cache.m7g.large",
    "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/a",
    "DagEgress": "22 10.20.0.0/16,5432-5439 10.20.0.0/16",
    "DatabaseSnapshotId": "nightly",
    "DomainName": "airflow.example.com",
    "EndpointServices": "glue,sqs",
    "ExistingVpcId": "vpc-0123456789abcdef0",
    "FernetKeySecretArn": f"{SECRETS}:fernet-AbCdEf",
    "HostedZoneId": "Z0123456789",
    "Image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/airflow:1",
    "OutboundHttpsCidr": "10.0.0.0/8",
    "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/boundary",
    "S3PrefixListId": "pl-0123456789abcdef0",
    "VpcCidr": "10.9.0.0/16",
    "WebClientCidr": "10.9.0.0/16",
    "WebClientCidr2": "10.9.0.0/16",
    "WebClientCidr3": "10.9.0.0/16",
    "WebClients": "192.0.2.0/24,pl-0123456789abcdef0",
}
"""Another value of parameters whose values cannot be listed or counted."""

MANY = 6
"""Of a longer list of allowed values only the first other one is tried."""

REFUSED = {
    "DatabaseEngineVersion": {"database-version-lower"},
    "DatabaseSnapshotId": {"database-snapshot"},
    "EnableCacheFailover": {"broker-failover-first"},
    "ExistingVpcId": {"broker-vpc", "database-vpc", "named-resource"},
    "VpcCidr": {"broker-vpc", "database-vpc", "named-resource", "nat-address"},
    "ZoneCount": {"broker-zones", "database-zones"},
}
"""The rows that refuse a change of the parameter, one way or the other."""

DANGEROUS = {
    "EnableBackup": {"Backup/Role", "Backup/Vault"},
    "EnableFlower": {"AirflowServices/FlowerLog", "Credentials/Flower"},
    "FernetKeyRotation": {"Credentials/FernetFirst", "Credentials/FernetSecond"},
    "FernetKeySecretArn": {"Credentials/FernetFirst"},
    "LoadBalancerScheme": {"WebFirewall/Log"},
}
"""The resources that a permitted change deletes or replaces with their data."""


@cache
def library() -> dict[str, Any]:
    return {each.path: json.loads(each.text()) for each in product.compile_templates()}


def nested(path: Path) -> Mapping[str, Any] | None:
    body = library()[ROOT]["Resources"][path[0]]
    template: Mapping[str, Any] = library()[body["Properties"]["TemplateURL"]]
    return template


def environment(**values: str) -> Stack:
    return Stack(library()[ROOT], values, find_template=nested)


def other_values(name: str, definition: Mapping[str, Any]) -> Iterator[str]:
    """Yield values besides the default."""
    default = str(definition["Default"])
    allowed = [str(v) for v in definition.get("AllowedValues", ()) if str(v) != default]
    if allowed:
        yield from allowed[: 1 if len(allowed) > MANY else None]
    elif definition["Type"] == "Number":
        is_highest = default == str(definition.get("MaxValue"))
        yield str(int(default) + (-1 if is_highest else 1))
    else:
        yield TEXTS.get(name, "3")


def outcome(old: Stack, new: Stack) -> tuple[set[str], set[str]]:
    """Return the rows that refuse an update, and the resources that lose data."""
    assert SCHEMAS
    updates = compare(old, new, SCHEMAS)
    changes = [change for update in updates.values() for change in of_update(update)]
    return (
        {row.transition.name for row in refused(updates, SCHEMAS)},
        {change.name for change in changes if change.endangers_data},
    )


@pytest.mark.slow
def test_change_of_one_parameter_is_harmless_or_listed() -> None:
    default = environment(DeletionProtection="false")
    refusals: dict[str, set[str]] = defaultdict(set)
    dangers: dict[str, set[str]] = defaultdict(set)
    for name, definition in library()[ROOT]["Parameters"].items():
        for value in other_values(name, definition):
            other = environment(**{"DeletionProtection": "false", name: value})
            for old, new in ((default, other), (other, default)):
                rows, resources = outcome(old, new)
                refusals[name] |= rows
                dangers[name] |= resources if not rows else set()
    assert {name: rows for name, rows in refusals.items() if rows} == REFUSED
    assert {name: lost for name, lost in dangers.items() if lost} == DANGEROUS


@pytest.mark.slow
def test_entry_may_move_within_a_list_and_between_the_web_clients() -> None:
    # EC2 would refuse the new rule while the old one is there.
    old = environment(
        WebClientCidr2="192.0.2.0/24",
        WebClients="10.8.0.0/16",
        DagEgress="22 10.8.0.0/16",
    )
    new = environment(
        WebClientCidr2="10.8.0.0/16",
        WebClients="pl-0123456789abcdef0,192.0.2.0/24",
        DagEgress="5432 10.8.0.0/16,22 10.8.0.0/16",
    )
    assert outcome(old, new) == (set(), set())


@pytest.mark.slow
def test_remedies_name_parameters_that_exist() -> None:
    words = {
        word
        for row in TRANSITIONS
        for word in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", row.remedy)
    }
    names = {*library()[ROOT]["Parameters"], "ForceNewDeployment"}
    assert not words - names

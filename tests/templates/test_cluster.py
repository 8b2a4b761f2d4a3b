"""The cluster: capacity providers and the namespace."""

from __future__ import annotations

import re
from typing import Any

from compiler.wiring import Build
from templates import cluster
from tests.resolver import deploy

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
GIVEN = {"KeyArn": KEY, "LogDays": "365"}


def deployed(name: str = "airflow") -> dict[str, dict[str, Any]]:
    document = Build().template(cluster.define).document
    return deploy(document, {}, GIVEN, name=name).resources


def test_fargate_is_the_default_capacity_provider() -> None:
    properties = deployed()["Cluster"]["Properties"]
    assert properties["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    (default,) = properties["DefaultCapacityProviderStrategy"]
    assert default["CapacityProvider"] == "FARGATE"


def test_namespaces_of_two_stacks_differ() -> None:
    # Cloud Map refuses a second namespace of one name in an account and region.
    short, long = (
        deployed(name)["Namespace"]["Properties"]["Name"] for name in ("a", "a" * 128)
    )
    assert short != long
    assert re.fullmatch(r"(?!arn:)[!-~]{1,1024}", long)
    assert not set('<>"/') & set(long), "Service Connect refuses these"

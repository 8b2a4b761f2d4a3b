"""Whole environments, resolved, and each way in which production may be launched.

A public rule pack passes whatever hides behind a Ref or a wire. A check of ours asks
an estate instead: all that one environment's stack would make, with the values that
AWS would get. It always sees something, or it fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from cli import product
from tests.resolver import Stack, deploy

PARAMETERS = product.ROOT / "parameters"

Library = Mapping[str, Mapping[str, Any]]
Properties = dict[str, Any]

WITH_CERTIFICATE = {
    "CertificateArn": "arn:aws:acm:eu-central-1:111122223333:certificate/"
    "00000000-0000-4000-8000-000000000001",
    "DomainName": "airflow.example.com",
}


def parameters(environment: str) -> dict[str, str]:
    """Return what an environment's file chooses."""
    text = (PARAMETERS / f"{environment}.json").read_text()
    return dict(json.loads(text)["Parameters"])


class Estate:
    """All that one launch would make; places are such as ``Database.Writer``."""

    def __init__(self, root: Stack) -> None:
        self.root = root
        self._resolved: dict[str, dict[str, Any]] = {}

    @cached_property
    def _placed(self) -> dict[str, tuple[Stack, Mapping[str, Any]]]:
        return {
            ".".join([*stack.path, name]): (stack, resource)
            for stack in self.root.walk()
            for name, resource in stack.document["Resources"].items()
            if stack.exists(resource)
        }

    @property
    def kinds(self) -> set[str]:
        """The types of everything that would be made."""
        types = {resource["Type"] for _, resource in self._placed.values()}
        return {kind.removeprefix("AWS::") for kind in types}

    def whole(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return every resource of a type, with its attributes; there must be one."""
        found = {
            place: self._resource(place)
            for place, (_, resource) in self._placed.items()
            if resource["Type"] == f"AWS::{kind}"
        }
        assert found, f"there is no {kind} to check"
        return found

    def _resource(self, place: str) -> dict[str, Any]:
        if place not in self._resolved:
            stack, resource = self._placed[place]
            told = {k: v for k, v in resource.items() if k != "Metadata"}
            self._resolved[place] = stack.resolve(told)
        return self._resolved[place]

    def of(self, kind: str) -> dict[str, Properties]:
        """Return the properties of every resource of a type; there must be one."""
        return {
            place: resource.get("Properties", {})
            for place, resource in self.whole(kind).items()
        }

    def one(self, kind: str) -> Properties:
        """Return the properties of the only resource of a type."""
        (properties,) = self.of(kind).values()
        return properties

    def everything(self) -> Iterator[tuple[str, Properties]]:
        """Yield the properties of every resource with its place."""
        for place in self._placed:
            yield place, self._resource(place).get("Properties", {})

    def containers(self) -> dict[str, Properties]:
        """Return every container by the place of its task definition.

        One that runs beside another has its name behind it: ``...Definition autoscaler``.
        """
        return {
            place if container["Essential"] else f"{place} {container['Name']}": (
                container
            )
            for place, definition in self.of("ECS::TaskDefinition").items()
            for container in definition["ContainerDefinitions"]
        }

    def container_of(self, service: Properties) -> Properties:
        """Return the container that a service runs."""
        return self.containers()[service["TaskDefinition"].strip("<>")]

    def policies(self) -> dict[str, list[dict[str, Any]]]:
        """Return the statements of every policy that grants something to a role."""
        return {
            place: policy["PolicyDocument"]["Statement"]
            for place, policy in self.of("IAM::ManagedPolicy").items()
        }


class Estates:
    """One environment, and what it becomes where an operator chooses otherwise."""

    def __init__(
        self, library: Library, environment: str = "prod", **given: str
    ) -> None:
        self.library = library
        self._given = {**parameters(environment), **given}

    def but(self, **given: str) -> Estate:
        """Return the environment with some parameters changed."""
        return Estate(
            deploy(
                self.library["parent.template.json"],
                self.library,
                {**self._given, **given},
            )
        )

    @cached_property
    def usual(self) -> Estate:
        """The environment as its file says."""
        return self.but()

    @cached_property
    def facing_the_internet(self) -> Estate:
        """With a public load balancer, its firewall, and Flower."""
        return self.but(
            LoadBalancerScheme="internet-facing",
            WebClientCidr="203.0.113.0/24",
            EnableFlower="true",
            **WITH_CERTIFICATE,
        )

    @cached_property
    def with_endpoints(self) -> Estate:
        """Without any way to the internet."""
        return self.but(
            InternetAccess="endpoints",
            OutboundHttpsCidr="10.2.0.0/16",
            S3PrefixListId="pl-0123456789abcdef0",
        )

    @cached_property
    def in_existing_vpc(self) -> Estate:
        """In a network of the operator's."""
        return self.but(
            ExistingVpcId="vpc-0123456789abcdef0",
            ExistingPublicSubnetIds="subnet-0aaa,subnet-0aab",
            ExistingPrivateSubnetIds="subnet-0baa,subnet-0bab",
            ExistingDataSubnetIds="subnet-0caa,subnet-0cab",
        )

    @cached_property
    def with_shells(self) -> Estate:
        """With ECS Exec."""
        return self.but(EnableExecuteCommand="true", ReadonlyRootFilesystem="false")

    @cached_property
    def hardened(self) -> Estate:
        """With read-only root file systems."""
        return self.but(EnableExecuteCommand="false", ReadonlyRootFilesystem="true")

    @property
    def each(self) -> tuple[Estate, ...]:
        """Every variant: what holds for all is checked in all."""
        return (
            self.usual,
            self.facing_the_internet,
            self.with_endpoints,
            self.in_existing_vpc,
            self.with_shells,
            self.hardened,
        )


def as_list(value: Any) -> list[Any]:
    """Return a policy's value as the list that it may also be."""
    return value if isinstance(value, list) else [value]


def condition_keys(statement: Mapping[str, Any]) -> set[str]:
    """Return the keys that a statement's condition looks at."""
    tests = statement.get("Condition", {}).values()
    return {key for test in tests for key in test}

"""Resolved environments: production, and each variant in which it may be launched.

A public rule pack passes whatever hides behind a Ref or a wire. These checks look at a
resolved environment instead: all resources of one environment's stack, with the values
that AWS would get. A query for a type that has no resource fails, so a check always
sees something.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from cli import product
from templates.endpoint_services import DAG_SERVICES
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
    """Return the parameters in an environment's file."""
    text = (PARAMETERS / f"{environment}.json").read_text()
    return dict(json.loads(text)["Parameters"])


EXISTING_FERNET = (
    "arn:aws:secretsmanager:eu-central-1:111122223333:secret:fernet-AbCdEf"
)


class ResolvedEnvironment:
    """All resources of one launch, by their place, such as ``Database.Writer``."""

    def __init__(self, root: Stack) -> None:
        self.root = root
        self._resolved: dict[str, dict[str, Any]] = {}

    @cached_property
    def _declared(self) -> dict[str, tuple[Stack, Mapping[str, Any]]]:
        return {
            ".".join([*stack.path, name]): (stack, resource)
            for stack in self.root.walk()
            for name, resource in stack.document["Resources"].items()
            if stack.exists(resource)
        }

    @property
    def types(self) -> set[str]:
        """The types of all resources."""
        types = {resource["Type"] for _, resource in self._declared.values()}
        return {name.removeprefix("AWS::") for name in types}

    def resources(self, type_name: str) -> dict[str, dict[str, Any]]:
        """Return every resource of a type, with its attributes; there must be one."""
        resources = {
            place: self._resource(place)
            for place, (_, resource) in self._declared.items()
            if resource["Type"] == f"AWS::{type_name}"
        }
        assert resources, f"there is no {type_name} to check"
        return resources

    def _resource(self, place: str) -> dict[str, Any]:
        if place not in self._resolved:
            stack, resource = self._declared[place]
            attributes = {k: v for k, v in resource.items() if k != "Metadata"}
            self._resolved[place] = stack.resolve(attributes)
        return self._resolved[place]

    def rules(self, direction: str) -> dict[str, Properties]:
        """Return every rule of every security group, those written inside it too."""
        rules = self.properties(f"EC2::SecurityGroup{direction}")
        for place, group in self.properties("EC2::SecurityGroup").items():
            for index, rule in enumerate(group.get(f"SecurityGroup{direction}", [])):
                rules[f"{place}[{index}]"] = {"GroupId": f"<{place}.GroupId>", **rule}
        return rules

    def properties(self, type_name: str) -> dict[str, Properties]:
        """Return the properties of every resource of a type; there must be one."""
        return {
            place: resource.get("Properties", {})
            for place, resource in self.resources(type_name).items()
        }

    def single(self, type_name: str) -> Properties:
        """Return the properties of the only resource of a type."""
        (properties,) = self.properties(type_name).values()
        return properties

    def all_properties(self) -> Iterator[tuple[str, Properties]]:
        """Yield the properties of every resource with its place."""
        for place in self._declared:
            yield place, self._resource(place).get("Properties", {})

    def containers(self) -> dict[str, Properties]:
        """Return every container by the place of its task definition.

        A sidecar has its name behind the place: ``...Definition autoscaler``.
        """
        return {
            place if container["Essential"] else f"{place} {container['Name']}": (
                container
            )
            for place, definition in self.properties("ECS::TaskDefinition").items()
            for container in definition["ContainerDefinitions"]
        }

    def container_of(self, service: Properties) -> Properties:
        """Return the container that a service runs."""
        return self.containers()[service["TaskDefinition"].strip("<>")]

    def policies(self) -> dict[str, list[dict[str, Any]]]:
        """Return the statements of every policy that grants something to a role."""
        return {
            place: policy["PolicyDocument"]["Statement"]
            for place, policy in self.properties("IAM::ManagedPolicy").items()
        }


class Environments:
    """One environment as its file says, and its variants by changed parameters."""

    def __init__(
        self, library: Library, environment: str = "prod", **changes: str
    ) -> None:
        self.library = library
        self._parameters = {**parameters(environment), **changes}

    def variant(self, **changes: str) -> ResolvedEnvironment:
        """Return the environment with some parameters changed."""
        return ResolvedEnvironment(
            deploy(
                self.library["parent.template.json"],
                self.library,
                {**self._parameters, **changes},
            )
        )

    @cached_property
    def base(self) -> ResolvedEnvironment:
        """The environment as its file says."""
        return self.variant()

    @cached_property
    def internet_facing(self) -> ResolvedEnvironment:
        """With a public load balancer, and all that an operator may add."""
        return self.variant(
            LoadBalancerScheme="internet-facing",
            WebClientCidr="203.0.113.0/24",
            WebClientCidr2="198.51.100.0/24",
            WebClientCidr3="192.0.2.0/24",
            EnableFlower="true",
            AlarmEmail="ops@example.com",
            HostedZoneId="Z0123456789ABCDEFGHIJ",
            FernetKeyRotation="second-first",
            AssumableRoleArns="arn:aws:iam::210987654321:role/Reader",
            FernetKeySecretArn=EXISTING_FERNET,
            **WITH_CERTIFICATE,
        )

    @cached_property
    def with_endpoints(self) -> ResolvedEnvironment:
        """With VPC endpoints, hence an image in ECR; with Flower and ECS Exec."""
        return self.variant(
            Image="111122223333.dkr.ecr.eu-central-1.amazonaws.com/airflow:3.3.2",
            EnableFlower="true",
            EnableExecuteCommand="true",
            ReadonlyRootFilesystem="false",
            InternetAccess="endpoints",
            OutboundHttpsCidr="10.2.0.0/16",
            S3PrefixListId="pl-0123456789abcdef0",
            EndpointServices=",".join(DAG_SERVICES),
            SecretsPrefix="airflow-prod",
            EnableSecretsAtParsing="true",
        )

    @cached_property
    def in_existing_vpc(self) -> ResolvedEnvironment:
        """In a VPC that exists already."""
        return self.variant(
            ExistingVpcId="vpc-0123456789abcdef0",
            ExistingPublicSubnetIds="subnet-0aaa,subnet-0aab",
            ExistingPrivateSubnetIds="subnet-0baa,subnet-0bab",
            ExistingDataSubnetIds="subnet-0caa,subnet-0cab",
        )

    @cached_property
    def with_execute_command(self) -> ResolvedEnvironment:
        """With ECS Exec."""
        return self.variant(EnableExecuteCommand="true", ReadonlyRootFilesystem="false")

    @cached_property
    def with_readonly_root(self) -> ResolvedEnvironment:
        """With read-only root file systems."""
        return self.variant(EnableExecuteCommand="false", ReadonlyRootFilesystem="true")

    @cached_property
    def catalog(self) -> ResolvedEnvironment:
        """The Service Catalog product, with everything optional."""
        changes = {
            "LauncherArn": "arn:aws:iam::123456789012:role/Data",
            "SupportEmail": "ops@example.com",
            "TagKey": "team",
            "TagValue": "data",
            "RoleBoundaryArn": "arn:aws:iam::123456789012:policy/Boundary",
            "LaunchRoleBoundaryArn": "arn:aws:iam::123456789012:policy/Boundary",
            "ExtraPolicyArns": "arn:aws:iam::123456789012:policy/Extra",
            "AssumableRoleArns": "arn:aws:iam::210987654321:role/Reader",
        }
        document = self.library["service-catalog.template.json"]
        return ResolvedEnvironment(deploy(document, {}, changes, name="catalog"))

    @property
    def every_root(self) -> tuple[ResolvedEnvironment, ...]:
        """Every resource of every template is in one of them."""
        return (*self.variants, self.catalog, self.image_build)

    @cached_property
    def image_build(self) -> ResolvedEnvironment:
        """Return the build of a team's image, with everything optional."""
        changes = {
            "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/Boundary",
            "BaseRepository": "docker-hub/apache/airflow",
            "IndexSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:"
            "secret:index-a1b2c3",
        }
        document = self.library["image-build.template.json"]
        return ResolvedEnvironment(deploy(document, {}, changes, name="image"))

    @property
    def variants(self) -> tuple[ResolvedEnvironment, ...]:
        """Every variant, the base included: most controls hold in all of them."""
        return (
            self.base,
            self.internet_facing,
            self.with_endpoints,
            self.in_existing_vpc,
            self.with_execute_command,
            self.with_readonly_root,
        )


def as_list(value: Any) -> list[Any]:
    """Return a policy's value as the list that it may also be."""
    return value if isinstance(value, list) else [value]


def condition_keys(statement: Mapping[str, Any]) -> set[str]:
    """Return the keys that a statement's condition looks at."""
    tests = statement.get("Condition", {}).values()
    return {key for test in tests for key in test}


def variables(container: Properties) -> dict[str, str]:
    """Return the values of a container's environment variables by name."""
    return {each["Name"]: each["Value"] for each in container["Environment"]}

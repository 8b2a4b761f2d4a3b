"""What a launch would create: the compiled templates with an environment's values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cli.errors import Denied
from cloudformation.evaluation import Path, Resource, Stack
from deploy import stacks
from deploy.aws import Aws
from deploy.dist import CATALOG, STACK, Dist, Environment
from deploy.stacks import REVIEW, StackSummary

STACK_NAME_TAG = "aws:cloudformation:stack-name"
"""Tag that CloudFormation puts on each resource that takes tags."""


class LaunchContext:
    """The account, and what an environment's launch would create there."""

    def __init__(self, aws: Aws, dist: Dist, environment: Environment) -> None:
        self.aws, self.dist, self.environment = aws, dist, environment
        self.may_describe_stacks = True

    @cached_property
    def stack(self) -> StackSummary | None:
        """The stack as it is; None when it does not exist, or may not be looked at."""
        try:
            return stacks.find(self.aws, self.environment.stack_name)
        except Denied:
            self.may_describe_stacks = False
            return None

    @property
    def is_new(self) -> bool:
        """Whether the launch creates the stack."""
        return self.stack is None or self.stack.status == REVIEW

    @cached_property
    def root(self) -> Stack:
        """The root stack with the environment's parameters."""
        return self._evaluated(self.dist.root, self.environment.parameters)

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Every resource of the stack and its nested stacks."""
        return tuple(each for each in self.root.walk() if each.type != STACK)

    @cached_property
    def launch_role(self) -> tuple[Resource, ...]:
        """The resources of the portfolio's stack, with the launch role's policies."""
        if CATALOG not in self.dist.templates:
            return ()
        return tuple(self._evaluated(CATALOG, {}).resources.values())

    @cached_property
    def services(self) -> frozenset[str]:
        """The services of the launch, as :func:`service_key` spells them."""
        return frozenset(
            service_key(name.split("::")[1])
            for name in (STACK, *(resource.type for resource in self.resources))
            if name.startswith("AWS::")
        )

    def of_type(self, *types: str) -> list[Resource]:
        """Return the resources of some types."""
        return [resource for resource in self.resources if resource.type in types]

    def values(self, type: str, name: str) -> list[str]:
        """Return the different values of a property that are known and not empty."""
        values = (resource.properties.get(name) for resource in self.of_type(type))
        return list(dict.fromkeys(v for v in values if isinstance(v, str) and v))

    def output(self, name: str) -> str:
        """Return an output of the root stack, or nothing if only AWS knows it."""
        output = self.root.template.get("Outputs", {}).get(name, {})
        return known_text(self.root.evaluate(output.get("Value", "")))

    def is_own(self, tags: Mapping[str, str]) -> bool:
        """Whether a resource with these tags belongs to this stack already."""
        owner = tags.get(STACK_NAME_TAG, "")
        return owner == self.environment.stack_name or owner.startswith(
            f"{self.environment.stack_name}-"
        )

    def _evaluated(self, path: str, values: Mapping[str, str]) -> Stack:
        def find_template(nested: Path) -> Mapping[str, Any] | None:
            return self.dist.template_at(nested) or None

        aws = self.aws
        return Stack(
            self.dist.templates[path],
            values,
            find_template=find_template,
            pseudo={
                "AWS::AccountId": aws.account,
                "AWS::Partition": aws.partition,
                "AWS::Region": aws.region,
                "AWS::URLSuffix": aws.dns_suffix,
            },
        )


def service_key(name: str) -> str:
    """Return one spelling for a service's names in types, actions and principals.

    ``AWS::ElasticLoadBalancingV2``, ``elasticloadbalancing:`` and so on.
    """
    return name.lower().replace("-", "").removesuffix("v2")


def known_text(value: Any) -> str:
    """Return a value that is known before the launch, or nothing."""
    return value if isinstance(value, str) else ""


def known_texts(values: Any) -> list[str]:
    """Return the members of a list that are known before the launch."""
    members = values if isinstance(values, list) else []
    return [member for member in members if isinstance(member, str)]


def numbers(version: str) -> list[int]:
    """Return the numbers of a version, which are compared in their order."""
    return [int(number) for number in re.findall(r"\d+", version)]

"""Interface endpoints, by which tasks reach AWS without internet access.

S3 has its gateway endpoint in the network stack. The services that DAGs call are the
operator's list, ``EndpointServices``: each known service has an endpoint with a
condition, so that a name may stand anywhere in the list. An image must come from ECR:
no other registry is reachable.

Tasks on Fargate need no endpoint for their agent; the one for ECS serves the calls of
our own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from awacs.aws import PolicyDocument
from troposphere import (
    Equals,
    If,
    Partition,
    Sub,
    Tags,
    ec2,
)

from compiler.wiring import ConditionName, Interface, Template, about, title
from templates.endpoint_services import DAG_SERVICES
from templates.resources.endpoint_policies import ours_only
from templates.types import (
    Boolean,
    DelimitedNames,
    SecurityGroupId,
    SubnetIds,
    VpcId,
)


@dataclass(frozen=True, kw_only=True)
class EndpointService:
    """An AWS service that tasks need, and its purpose."""

    logical_id: str
    name: str
    actions: str
    purpose: str
    is_bounded: bool = True
    is_for_exec: bool = False
    is_prefixed_in_china: bool = False


SERVICES = (
    EndpointService(
        logical_id="EcrApi",
        name="ecr.api",
        actions="ecr",
        purpose="Locates the layers of a starting task's image",
        is_prefixed_in_china=True,
    ),
    EndpointService(
        logical_id="EcrDocker",
        name="ecr.dkr",
        actions="ecr",
        purpose="Serves the manifest of a starting task's image",
        is_prefixed_in_china=True,
    ),
    EndpointService(
        logical_id="SecretsManager",
        name="secretsmanager",
        actions="secretsmanager",
        purpose="Serves the secrets of a starting task",
    ),
    EndpointService(
        logical_id="Logs",
        name="logs",
        actions="logs",
        purpose="Receives the logs of containers",
    ),
    EndpointService(
        logical_id="Monitoring",
        name="monitoring",
        actions="cloudwatch",
        purpose="Receives the metrics that pools scale by",
        is_prefixed_in_china=True,
    ),
    EndpointService(
        logical_id="Ecs",
        name="ecs",
        actions="ecs",
        purpose="Serves the autoscaler and the protection of workers",
    ),
    EndpointService(
        logical_id="Sts",
        name="sts",
        actions="sts",
        purpose="Serves DAGs that assume roles",
        is_prefixed_in_china=True,
    ),
    EndpointService(
        logical_id="Kms",
        name="kms",
        actions="kms",
        purpose="Decrypts the sessions of ECS Exec, and data of DAGs",
    ),
    EndpointService(
        logical_id="ExecSessions",
        name="ssmmessages",
        actions="ssmmessages",
        purpose="Carries the sessions of ECS Exec",
        is_bounded=False,
        is_for_exec=True,
    ),
)
"""A session of ECS Exec opens its channel with a token, not as an identity, so that
endpoint keeps the default policy. In China some services carry another prefix."""


class Inputs(Interface):
    """Network of the endpoints."""

    vpc_id: VpcId = about("VPC of the endpoints.")
    subnet_ids: SubnetIds = about("Subnets of the tasks, one a zone.")
    group_id: SecurityGroupId = about("Security group of the endpoints.")
    enable_execute_command: Boolean = about("Whether ECS Exec is on.")
    services: DelimitedNames = about("Further services that DAGs call.")


class Outputs(Interface):
    """Where tasks reach AWS; they use the private DNS names of the endpoints."""

    subnet_ids: SubnetIds = about("Subnets with endpoints, for tasks to start after.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add one endpoint for each service that tasks use."""
    is_china = t.condition("IsChina", Equals(Partition, "aws-cn"))
    has_exec = t.condition("HasExec", Equals(inputs.enable_execute_command, "true"))
    for service in SERVICES:
        _add(t, inputs, service, is_china, has_exec if service.is_for_exec else None)
    for name, actions in DAG_SERVICES.items():
        service = EndpointService(
            logical_id=title(name.replace(".", "-")),
            name=name,
            actions=actions,
            purpose="Serves DAGs that call the service",
        )
        is_listed = t.condition(
            f"Has{service.logical_id}", inputs.services.contains(name)
        )
        _add(t, inputs, service, is_china, is_listed)
    return Outputs(subnet_ids=inputs.subnet_ids)


def _add(
    t: Template,
    inputs: Inputs,
    service: EndpointService,
    is_china: ConditionName,
    exists_when: ConditionName | None,
) -> None:
    """Add the endpoint of one service."""
    usual = Sub(f"com.amazonaws.${{AWS::Region}}.{service.name}")
    prefixed = Sub(f"cn.com.amazonaws.${{AWS::Region}}.{service.name}")
    condition: dict[str, Any] = {"Condition": exists_when} if exists_when else {}
    policy: dict[str, Any] = {
        "PolicyDocument": PolicyDocument(
            Version="2012-10-17", Statement=[ours_only(service.actions)]
        )
    }
    t.add(
        ec2.VPCEndpoint(
            service.logical_id,
            VpcEndpointType="Interface",
            ServiceName=If(is_china, prefixed, usual)
            if service.is_prefixed_in_china
            else usual,
            VpcId=inputs.vpc_id,
            SubnetIds=inputs.subnet_ids,
            SecurityGroupIds=[inputs.group_id],
            PrivateDnsEnabled=True,
            Tags=Tags(Name=Sub(f"${{AWS::StackName}} {service.name}")),
            **(policy if service.is_bounded else {}),
            **condition,
        ),
        f"{service.purpose}.",
        why="Without private DNS every client would use the public address.",
    )

"""Interface endpoints: how tasks reach AWS where there is no way to the internet.

S3 has its gateway endpoint in the network stack. What DAGs call beyond these services
needs an endpoint of its own, made beside this stack with the endpoints' security
group. An image must come from ECR: no other registry can be reached.

Tasks on Fargate need no endpoint for their agent; the one for ECS serves what our own
code asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from awacs.aws import PolicyDocument
from troposphere import Equals, If, Partition, Sub, Tags, ec2

from compiler.wiring import Interface, Template, about
from templates.resources.endpoint_policies import ours_only
from templates.types import SecurityGroupId, SubnetIds, VpcId


@dataclass(frozen=True, kw_only=True)
class Service:
    """An AWS service that a task needs, and what for."""

    logical_id: str
    name: str
    actions: str
    purpose: str
    is_bounded: bool = True
    is_prefixed_in_china: bool = False


SERVICES = (
    Service(
        logical_id="EcrApi",
        name="ecr.api",
        actions="ecr",
        purpose="Tells a starting task where the layers of its image are",
        is_prefixed_in_china=True,
    ),
    Service(
        logical_id="EcrDocker",
        name="ecr.dkr",
        actions="ecr",
        purpose="Serves a starting task the manifest of its image",
        is_prefixed_in_china=True,
    ),
    Service(
        logical_id="SecretsManager",
        name="secretsmanager",
        actions="secretsmanager",
        purpose="Gives a starting task its secrets",
    ),
    Service(
        logical_id="Logs",
        name="logs",
        actions="logs",
        purpose="Takes the output of containers",
    ),
    Service(
        logical_id="Monitoring",
        name="monitoring",
        actions="cloudwatch",
        purpose="Takes the metrics that scaling follows",
        is_prefixed_in_china=True,
    ),
    Service(
        logical_id="Ecs",
        name="ecs",
        actions="ecs",
        purpose="Lets the scheduler see and drain workers",
    ),
    Service(
        logical_id="Sts",
        name="sts",
        actions="sts",
        purpose="Lets DAGs assume roles",
        is_prefixed_in_china=True,
    ),
    Service(
        logical_id="Kms",
        name="kms",
        actions="kms",
        purpose="Decrypts the sessions of ECS Exec, and what DAGs ask for",
    ),
    Service(
        logical_id="ExecSessions",
        name="ssmmessages",
        actions="ssmmessages",
        purpose="Carries the sessions of ECS Exec",
        is_bounded=False,
    ),
)
"""A session of ECS Exec opens its channel with a token, not as an identity, so that
endpoint keeps the default policy. In China some services carry another prefix."""


class Inputs(Interface):
    """Where the endpoints lie."""

    vpc_id: VpcId = about("VPC of the endpoints.")
    subnet_ids: SubnetIds = about("Subnets of the tasks, one a zone.")
    group_id: SecurityGroupId = about("Security group of the endpoints.")


class Outputs(Interface):
    """Private names lead to the endpoints, so nobody needs to know them."""


def define(t: Template, inputs: Inputs) -> Outputs:
    """Define one endpoint for each service."""
    is_china = t.condition("IsChina", Equals(Partition, "aws-cn"))
    for service in SERVICES:
        usual = Sub(f"com.amazonaws.${{AWS::Region}}.{service.name}")
        prefixed = Sub(f"cn.com.amazonaws.${{AWS::Region}}.{service.name}")
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
            ),
            f"{service.purpose}.",
            why="Without private DNS every client would go on to the public address.",
        )
    return Outputs()

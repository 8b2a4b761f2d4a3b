"""The flow logs of a VPC.

A helper of ``templates/network.py``, not a stack of its own.
"""

from __future__ import annotations

import awacs.logs
from awacs.aws import Allow, PolicyDocument, Statement
from troposphere import Equals, GetAtt, If, Not, NoValue, Ref, Sub, Tags, ec2, iam, logs

from compiler.wiring import Template
from templates.resources.assume_role import trust
from templates.types import KeyArn, LogDays, PolicyArn


def add_flow_logs(
    t: Template,
    vpc: ec2.VPC,
    *,
    days: LogDays,
    key_arn: KeyArn,
    permissions_boundary_arn: PolicyArn,
) -> None:
    """Add the flow log of a VPC, its log group, and the role that writes it."""
    group = t.add(
        logs.LogGroup(
            "FlowLogGroup",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            RetentionInDays=days,
            KmsKeyId=key_arn,
        ),
        "Log of all connections.",
        why="Retained: it is needed most after something has been deleted.",
    )
    policy = t.add(
        iam.ManagedPolicy(
            "FlowLogWriting",
            Description="Writes the flow logs of one VPC.",
            PolicyDocument=PolicyDocument(
                Version="2012-10-17",
                Statement=[
                    Statement(
                        Effect=Allow,
                        Action=[
                            awacs.logs.CreateLogStream,
                            awacs.logs.DescribeLogStreams,
                            awacs.logs.PutLogEvents,
                        ],
                        Resource=[GetAtt(group, "Arn")],
                    )
                ],
            ),
        ),
        "Permissions to write to the log group of the flow logs, and to no other.",
    )
    has_boundary = t.condition("HasBoundary", Not(Equals(permissions_boundary_arn, "")))
    role = t.add(
        iam.Role(
            "FlowLogWriter",
            AssumeRolePolicyDocument=trust(
                "vpc-flow-logs.amazonaws.com", on_behalf_of="ec2:vpc-flow-log/*"
            ),
            ManagedPolicyArns=[Ref(policy)],
            PermissionsBoundary=If(has_boundary, permissions_boundary_arn, NoValue),
        ),
        "Role of EC2 to write the flow logs.",
    )
    t.add(
        ec2.FlowLog(
            "FlowLog",
            ResourceId=Ref(vpc),
            ResourceType="VPC",
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
            LogGroupName=Ref(group),
            DeliverLogsPermissionArn=GetAtt(role, "Arn"),
            Tags=Tags(Name=Sub("${AWS::StackName}")),
        ),
        "Records every connection in the VPC, accepted or rejected.",
        why="Accepted connections alone would hide probes and mistakes in security "
        "groups.",
    )

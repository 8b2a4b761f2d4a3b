"""Partitions other than ``aws``."""

from __future__ import annotations

import json

import pytest

from local.emulator.patches.partitions import partition_of
from tests.local.emulator.cloud import Cloud


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-central-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ],
)
def test_pseudo_parameters_follow_the_partition(
    region: str, partition: str, suffix: str, cloud: Cloud
) -> None:
    assert partition_of(region) == (partition, suffix)
    both = "${AWS::Partition} ${AWS::URLSuffix}"
    template = {
        "Conditions": {
            "IsHere": {"Fn::Equals": [{"Ref": "AWS::Partition"}, partition]}
        },
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            "Ref": {"Value": {"Ref": "AWS::Partition"}},
            "Sub": {"Condition": "IsHere", "Value": {"Fn::Sub": both}},
        },
    }
    there = cloud.client("cloudformation", region_name=region)
    name = f"in-{region}"
    there.create_stack(StackName=name, TemplateBody=json.dumps(template))
    there.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200}
    )
    (stack,) = there.describe_stacks(StackName=name)["Stacks"]
    outputs = {
        output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]
    }
    assert outputs == {"Ref": partition, "Sub": f"{partition} {suffix}"}

"""EC2 types: what a stack creates is shown by the EC2 API."""

from __future__ import annotations

from typing import Any

from tests.local.emulator.cloud import Cloud
from tests.local.emulator.ministack_contracts import SUPPORT, att, ref

VPC = {name: SUPPORT[name] for name in ("Vpc", "SubnetA", "Group", "Peer")}
IN = "AWS::EC2::SecurityGroupIngress"
OUT = "AWS::EC2::SecurityGroupEgress"


def rule(resource_type: str, **peer: Any) -> dict[str, Any]:
    properties = {"GroupId": ref("Group"), "IpProtocol": "tcp", **peer}
    return {
        "Type": resource_type,
        "Properties": {"FromPort": "5433", "ToPort": 5433, **properties},
    }


def outputs(**named: Any) -> dict[str, Any]:
    return {name: {"Value": value} for name, value in named.items()}


def test_security_group_rules_are_those_of_the_stack(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")

    def rules(group: str) -> tuple[Any, Any]:
        (group_description,) = ec2.describe_security_groups(GroupIds=[group])[
            "SecurityGroups"
        ]
        return group_description["IpPermissions"], group_description[
            "IpPermissionsEgress"
        ]

    bare = {"Resources": VPC, "Outputs": outputs(Group=ref("Group"), Peer=ref("Peer"))}
    stack = cloud.create(bare)
    group, peer = stack.outputs["Group"], stack.outputs["Peer"]
    before = rules(group)

    ruled = {
        **bare,
        "Resources": {
            **VPC,
            "In": rule(IN, SourceSecurityGroupId=ref("Peer"), Description="Data"),
            "Out": rule(OUT, DestinationPrefixListId="pl-1"),
        },
    }
    cloud.update(stack, ruled)
    inward, outward = rules(group)
    (added,) = inward
    assert (added["FromPort"], added["ToPort"]) == (5433, 5433)
    (pair,) = added["UserIdGroupPairs"]
    assert (pair["GroupId"], pair["Description"]) == (peer, "Data")
    assert {
        entry["PrefixListId"]
        for permission in outward
        for entry in permission["PrefixListIds"]
    } == {"pl-1"}

    cloud.update(stack, bare)
    assert rules(group) == before


def test_duplicate_rule_is_refused(cloud: Cloud) -> None:
    twice = {"First": rule(IN, CidrIp="10.0.0.0/8")}
    twice["Second"] = {**twice["First"], "DependsOn": "First"}
    stack = cloud.create({"Resources": {**VPC, **twice}})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "already exists" in cloud.failures(stack.id)["Second"]


def test_rule_of_an_unknown_group_is_refused(cloud: Cloud) -> None:
    lost = {**rule(IN, CidrIp="10.0.0.0/8")}
    lost["Properties"]["GroupId"] = "sg-0"
    stack = cloud.create({"Resources": {"Rule": lost}})
    assert "'sg-0' does not exist" in cloud.failures(stack.id)["Rule"]


def test_internet_access_is_known_to_the_api_until_it_is_deleted(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    template = {
        "Resources": {
            **VPC,
            "Address": SUPPORT["Address"],
            "Log": SUPPORT["Log"],
            "Nat": {
                "Type": "AWS::EC2::NatGateway",
                "Properties": {
                    "AllocationId": att("Address", "AllocationId"),
                    "SubnetId": ref("SubnetA"),
                    "Tags": [{"Key": "Name", "Value": "internet access"}],
                },
            },
            "FlowLog": {
                "Type": "AWS::EC2::FlowLog",
                "Properties": {
                    "ResourceId": ref("Vpc"),
                    "ResourceType": "VPC",
                    "TrafficType": "ALL",
                    "LogGroupName": ref("Log"),
                },
            },
        },
        "Outputs": outputs(
            Address=ref("Address"), Nat=ref("Nat"), FlowLog=ref("FlowLog")
        ),
    }
    stack = cloud.create(template)
    # The emulator does not filter by PublicIps, and other tests have addresses too.
    (address,) = (
        address
        for address in ec2.describe_addresses()["Addresses"]
        if address["PublicIp"] == stack.outputs["Address"]
    )
    (nat,) = ec2.describe_nat_gateways(NatGatewayIds=[stack.outputs["Nat"]])[
        "NatGateways"
    ]
    assert nat["Tags"] == [{"Key": "Name", "Value": "internet access"}]
    assert nat["State"] == "available"
    assert address["AllocationId"].startswith("eipalloc-")
    flow_logs = ec2.describe_flow_logs(FlowLogIds=[stack.outputs["FlowLog"]])
    assert len(flow_logs["FlowLogs"]) == 1

    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    left = {address["PublicIp"] for address in ec2.describe_addresses()["Addresses"]}
    assert stack.outputs["Address"] not in left
    gone = ec2.describe_flow_logs(FlowLogIds=[stack.outputs["FlowLog"]])
    assert gone["FlowLogs"] == []


def test_nat_gateway_needs_its_subnet_and_its_address(cloud: Cloud) -> None:
    properties = {"SubnetId": "subnet-0", "AllocationId": "eipalloc-0"}
    stack = cloud.create(
        {
            "Resources": {
                "Nat": {"Type": "AWS::EC2::NatGateway", "Properties": properties}
            }
        }
    )
    assert "'subnet-0' does not exist" in cloud.failures(stack.id)["Nat"]

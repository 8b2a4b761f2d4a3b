"""EC2 types that MiniStack's CloudFormation rejects, created by its EC2 API.

``describe_*`` then shows them. Of the three zones that MiniStack has in us-east-1, none
has the ID use1-az3: some services are not offered there, and a launch avoids it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from local.emulator.patches.ministack import (
    CreateResult,
    Handlers,
    call,
    element,
    names,
    replace,
)

EC2 = names("services.ec2")


class Ec2Error(ValueError):
    """EC2 refused; the message is what CloudFormation would show."""


def install() -> None:
    """Give the third zone of us-east-1 an ID in which every service is offered."""
    replace("_az_id_for_zone_name", _offered, EC2)


def _offered(original: Callable[[str], str]) -> Callable[[str], str]:
    return lambda name: original(name).replace("use1-az3", "use1-az4")


def handlers() -> Mapping[str, Handlers]:
    """Return the handlers of each type, as MiniStack's provisioners take them."""
    return {
        "AWS::EC2::EIP": {
            "create": _address_create,
            "update": _address_update,
            "delete": _address_delete,
        },
        "AWS::EC2::FlowLog": {
            "create": _flow_log_create,
            "update": _flow_log_update,
            "delete": _flow_log_delete,
        },
        "AWS::EC2::NatGateway": {
            "create": _nat_create,
            "update": _nat_update,
            "delete": _nat_delete,
        },
        "AWS::EC2::SecurityGroupEgress": _rule_handlers(is_egress=True),
        "AWS::EC2::SecurityGroupIngress": _rule_handlers(is_egress=False),
    }


def _address_create(
    _logical_id: str, properties: dict[str, Any], _stack: str
) -> CreateResult:
    answer = _call("_allocate_address", Domain=properties.get("Domain", "vpc"))
    allocation_id = element(answer, "allocationId")
    _set_tags(allocation_id, properties)
    return _address(allocation_id)


def _address_update(physical_id: str, _old: Any, new: Any, _stack: str) -> CreateResult:
    allocation_id = _allocation_of(physical_id)
    _set_tags(allocation_id, new)
    return _address(allocation_id)


def _address_delete(physical_id: str, _properties: Any) -> None:
    # As on AWS, deleting what no longer exists succeeds.
    with suppress(Ec2Error):
        _call("_release_address", AllocationId=_allocation_of(physical_id))


def _address(allocation_id: str) -> CreateResult:
    ip = EC2["_addresses"][allocation_id]["PublicIp"]
    return ip, {"AllocationId": allocation_id, "PublicIp": ip}


def _allocation_of(ip: str) -> str:
    for allocation_id, address in EC2["_addresses"].items():
        if address["PublicIp"] == ip:
            return str(allocation_id)
    raise Ec2Error(f"The address '{ip}' does not exist.")


def _nat_create(
    _logical_id: str, properties: dict[str, Any], _stack: str
) -> CreateResult:
    subnet_id = str(properties.get("SubnetId", ""))
    if subnet_id not in EC2["_subnets"]:
        raise Ec2Error(f"The subnet ID '{subnet_id}' does not exist")
    allocation_id = str(properties.get("AllocationId", ""))
    if allocation_id and allocation_id not in EC2["_addresses"]:
        raise Ec2Error(f"The allocation ID '{allocation_id}' does not exist")
    answer = _call(
        "_create_nat_gateway",
        SubnetId=subnet_id,
        AllocationId=allocation_id,
        ConnectivityType=properties.get("ConnectivityType", "public"),
    )
    nat_id = element(answer, "natGatewayId")
    return _nat_update(nat_id, None, properties, "")


def _nat_update(physical_id: str, _old: Any, new: Any, _stack: str) -> CreateResult:
    _set_tags(physical_id, new)
    return physical_id, {"NatGatewayId": physical_id}


def _nat_delete(physical_id: str, _properties: Any) -> None:
    with suppress(Ec2Error):
        _call("_delete_nat_gateway", NatGatewayId=physical_id)


def _flow_log_create(
    _logical_id: str, properties: dict[str, Any], _stack: str
) -> CreateResult:
    named = {
        name: properties[name]
        for name in ("LogDestination", "LogDestinationType", "LogGroupName")
        if name in properties
    }
    answer = _call(
        "_create_flow_logs",
        ResourceType=properties["ResourceType"],
        TrafficType=properties.get("TrafficType", "ALL"),
        **{"ResourceId.1": properties["ResourceId"]},
        **named,
    )
    return _flow_log_update(element(answer, "item"), None, properties, "")


def _flow_log_update(
    physical_id: str, _old: Any, new: Any, _stack: str
) -> CreateResult:
    _set_tags(physical_id, new)
    return physical_id, {"Id": physical_id}


def _flow_log_delete(physical_id: str, _properties: Any) -> None:
    with suppress(Ec2Error):
        _call("_delete_flow_logs", **{"FlowLogId.1": physical_id})


def _rule_handlers(*, is_egress: bool) -> Handlers:
    """Return the handlers of one rule of a security group, in or out."""

    def create(
        _logical_id: str, properties: dict[str, Any], _stack: str
    ) -> CreateResult:
        group_id = str(properties.get("GroupId", ""))
        rules = _rules(group_id, is_egress=is_egress)
        rule = _rule(properties)
        if any(EC2["_rules_match"](rule, other) for other in rules):
            peer = next(_peers(properties), "")
            raise Ec2Error(
                f'the specified rule "peer: {peer}, '
                f"{properties.get('IpProtocol', '-1')}, "
                f"from port: {properties.get('FromPort', -1)}, "
                f'to port: {properties.get("ToPort", -1)}, ALLOW" already exists'
            )
        rule_id = str(EC2["_sg_rule_id"](group_id, is_egress, rule))
        rules.append({**rule, "SecurityGroupRuleId": rule_id})
        return rule_id, {"Id": rule_id}

    def update(
        physical_id: str, _old: Any, new: dict[str, Any], _stack: str
    ) -> CreateResult:
        rules = _rules(str(new["GroupId"]), is_egress=is_egress)
        for index, rule in enumerate(rules):
            if rule.get("SecurityGroupRuleId") == physical_id:
                rules[index] = {**_rule(new), "SecurityGroupRuleId": physical_id}
        return physical_id, {"Id": physical_id}

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        with suppress(Ec2Error):
            rules = _rules(str(properties["GroupId"]), is_egress=is_egress)
            rules[:] = [
                rule for rule in rules if rule.get("SecurityGroupRuleId") != physical_id
            ]

    return {"create": create, "update": update, "delete": delete}


def _rules(group_id: str, *, is_egress: bool) -> list[dict[str, Any]]:
    group = EC2["_security_groups"].get(group_id)
    if group is None:
        raise Ec2Error(f"The security group '{group_id}' does not exist")
    rules: list[dict[str, Any]] = group[
        "IpPermissionsEgress" if is_egress else "IpPermissions"
    ]
    return rules


PEERS = (
    ("CidrIp", "IpRanges", "CidrIp"),
    ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
    ("SourceSecurityGroupId", "UserIdGroupPairs", "GroupId"),
    ("DestinationSecurityGroupId", "UserIdGroupPairs", "GroupId"),
    ("SourcePrefixListId", "PrefixListIds", "PrefixListId"),
    ("DestinationPrefixListId", "PrefixListIds", "PrefixListId"),
)
"""The property that names a peer, and where the EC2 store keeps it."""


def _rule(properties: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as the EC2 store keeps it."""
    rule: dict[str, Any] = {
        "IpProtocol": str(properties.get("IpProtocol", "-1")),
        **{section: [] for _, section, _ in PEERS},
    }
    for name in ("FromPort", "ToPort"):
        if name in properties:
            rule[name] = int(properties[name])
    about = (
        {"Description": properties["Description"]}
        if "Description" in properties
        else {}
    )
    for name, section, member in PEERS:
        if name in properties:
            rule[section].append({member: properties[name], **about})
    return rule


def _peers(properties: dict[str, Any]) -> Iterator[str]:
    return (str(properties[name]) for name, _, _ in PEERS if name in properties)


def _set_tags(resource_id: str, properties: Any) -> None:
    EC2["_tags"][resource_id] = [
        {"Key": str(tag["Key"]), "Value": str(tag.get("Value", ""))}
        for tag in properties.get("Tags", ())
    ]


def _call(action: str, **parameters: Any) -> str:
    request = {name: str(value) for name, value in parameters.items()}
    return call(EC2, action, request, Ec2Error)

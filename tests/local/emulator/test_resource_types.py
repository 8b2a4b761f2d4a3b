"""Every resource type of the compiled templates behaves as its contract says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.local.emulator.cloud import Cloud
from tests.local.emulator.ministack_contracts import (
    CONTRACTS,
    SUPPORT,
    TEMPLATE_URL,
    Contract,
)

STACK = "AWS::CloudFormation::Stack"
ZONE = {"Type": "AWS::Route53::HostedZone", "Properties": {"Name": "example.com."}}


@pytest.fixture(scope="session")
def used(compiled: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    """The attributes that compiled templates read, by resource type."""
    attributes_by_type: dict[str, set[str]] = {}
    for text in compiled.values():
        document = json.loads(text)
        resources = document["Resources"]
        for resource in resources.values():
            attributes_by_type.setdefault(resource["Type"], set())
        for name, attribute in attributes_read(document):
            if name in resources:
                attributes_by_type[resources[name]["Type"]].add(attribute)
    return {
        name: frozenset(attributes) for name, attributes in attributes_by_type.items()
    }


def test_every_type_has_a_contract(used: Mapping[str, frozenset[str]]) -> None:
    assert set(used) - {STACK} == set(CONTRACTS)


def test_every_attribute_has_a_contract(used: Mapping[str, frozenset[str]]) -> None:
    promised = {name: set(contract.attributes) for name, contract in CONTRACTS.items()}
    missing = {
        name: attributes - promised[name]
        for name, attributes in used.items()
        if name != STACK and attributes - promised[name]
    }
    assert not missing


@pytest.mark.parametrize("resource_type", CONTRACTS)
def test_resource_is_created_updated_and_deleted(
    cloud: Cloud, resource_type: str
) -> None:
    contract = CONTRACTS[resource_type]
    url = cloud.publish({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})

    def written(change: Mapping[str, Any]) -> Any:
        text = json.dumps(template(resource_type, contract, change))
        return json.loads(text.replace(TEMPLATE_URL, url))

    created = cloud.create(written({}))
    assert created.status == "CREATE_COMPLETE", cloud.failures(created.id)
    assert re.fullmatch(contract.ref, created.outputs["Ref"])
    for number, pattern in enumerate(contract.attributes.values()):
        assert re.fullmatch(pattern, created.outputs[f"Attribute{number}"])
    kinds = cloud.emulator.resource_kinds()
    assert kinds[created.name]["It"] == contract.kind

    if contract.change:
        changed = cloud.update(created, written(contract.change))
        assert changed.status == "UPDATE_COMPLETE", cloud.failures(created.id)
        was_replaced = changed.outputs["Ref"] != created.outputs["Ref"]
        assert was_replaced == contract.replaces
        assert set(changed.outputs) == set(created.outputs)
        if not was_replaced:
            assert changed.outputs == created.outputs

    deleted = cloud.delete(created)
    assert deleted.status == "DELETE_COMPLETE", cloud.failures(created.id)


def template(
    resource_type: str, contract: Contract, change: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a template of the resource and its dependencies."""
    it = {"Type": resource_type, "Properties": {**contract.properties, **change}}
    if resource_type == "AWS::RDS::DBCluster":
        it["DeletionPolicy"] = "Delete"
    resources: dict[str, Any] = {}
    pending = [("It", it)]
    while pending:
        name, definition = pending.pop()
        resources[name] = definition
        for needed in sorted(names_in(definition)):
            if needed not in resources and not needed.startswith("AWS::"):
                resource = ZONE if needed == "Zone" else SUPPORT[needed]
                pending.append((needed, dict(resource)))
    outputs = {"Ref": {"Value": {"Ref": "It"}}} | {
        f"Attribute{number}": {"Value": {"Fn::GetAtt": ["It", attribute]}}
        for number, attribute in enumerate(contract.attributes)
    }
    return {"Resources": resources, "Outputs": outputs}


def names_in(part: Any) -> Iterator[str]:
    """Yield every name that a Ref or GetAtt uses."""
    if isinstance(part, list):
        for member in part:
            yield from names_in(member)
    elif isinstance(part, dict):
        for function, argument in part.items():
            if function == "Ref":
                yield argument
            elif function == "Fn::GetAtt":
                yield argument[0]
            else:
                yield from names_in(argument)


def attributes_read(part: Any) -> Iterator[tuple[str, str]]:
    """Yield logical ID and attribute of every GetAtt, those in text included."""
    if isinstance(part, list):
        for member in part:
            yield from attributes_read(member)
    elif isinstance(part, dict):
        for function, argument in part.items():
            if function == "Fn::GetAtt":
                yield argument[0], argument[1]
            elif function == "Fn::Sub":
                text = argument[0] if isinstance(argument, list) else argument
                yield from re.findall(r"\$\{(\w+)\.([\w.]+)\}", text)
                yield from attributes_read(
                    argument[1] if isinstance(argument, list) else None
                )
            else:
                yield from attributes_read(argument)

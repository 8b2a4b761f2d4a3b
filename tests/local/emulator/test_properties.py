"""Properties are coerced by their schema, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from cloudformation.schemas import Schema
from local.emulator.patches.properties import PropertiesError, checked
from local.emulator.patches.stubs import MARK, Stub

SCHEMA = Schema(
    {
        "typeName": "AWS::Example::Thing",
        "primaryIdentifier": ["/properties/Name", "/properties/Id"],
        "readOnlyProperties": [
            "/properties/Id",
            "/properties/Arn",
            "/properties/Endpoint",
        ],
        "createOnlyProperties": ["/properties/Name"],
        "required": ["Name"],
        "additionalProperties": False,
        "definitions": {"Port": {"type": "integer"}},
        "properties": {
            "Name": {"type": "string"},
            "Id": {"type": "string"},
            "Arn": {"type": "string"},
            "Endpoint": {
                "type": "object",
                "properties": {
                    "Address": {"type": "string"},
                    "Port": {"type": "integer"},
                },
            },
            "IsOn": {"type": "boolean"},
            "Weight": {"type": "number"},
            "Ports": {"type": "array", "items": {"$ref": "#/definitions/Port"}},
            "Policy": {"type": ["object", "string"]},
            "Choice": {"oneOf": [{"properties": {"Count": {"type": "integer"}}}]},
            "Labels": {
                "type": "object",
                "patternProperties": {"^[a-z]+$": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    }
)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"IsOn": "true"}, {"IsOn": True}),
        ({"Weight": "0.5"}, {"Weight": 0.5}),
        ({"Ports": ["80", 443]}, {"Ports": [80, 443]}),
        ({"Name": 7}, {"Name": "7"}),
        ({"Name": True}, {"Name": "true"}),
        ({"Policy": {"Version": "2012-10-17"}}, {"Policy": {"Version": "2012-10-17"}}),
        ({"Choice": {"Count": "3"}}, {"Choice": {"Count": 3}}),
        ({"Labels": {"team": 7}}, {"Labels": {"team": "7"}}),
    ],
)
def test_values_are_coerced_by_their_schema(
    properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert checked(SCHEMA, {"Name": "it", **properties}) == {"Name": "it", **expected}


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "#: required key [Name] not found"),
        ({"Name": "it", "Nme": "x"}, "#: extraneous key [Nme] is not permitted"),
        (
            {"Name": "it", "IsOn": "yes"},
            "#/IsOn: expected type: boolean, found: String",
        ),
        ({"Name": ["it"]}, "#/Name: expected type: string, found: JSONArray"),
        (
            {"Name": "it", "Ports": ["http"]},
            "#/Ports/0: expected type: integer, found: String",
        ),
    ],
)
def test_invalid_values_are_refused(properties: dict[str, Any], words: str) -> None:
    with pytest.raises(PropertiesError) as refusal:
        checked(SCHEMA, properties)
    assert words in str(refusal.value)


def test_stub_has_the_references_of_its_schema() -> None:
    stub = Stub(SCHEMA, lambda: ("aws-cn", "cn-north-1", "1" * 12))
    physical_id, attributes = stub.create("It", {"Name": "it"}, "stack")

    name, identifier = physical_id.split("|")
    assert name == "it"
    assert attributes["Id"] == identifier
    assert attributes["Arn"].startswith(
        "arn:aws-cn:example:cn-north-1:111111111111:thing/"
    )
    assert attributes["Endpoint.Address"].endswith(".example.internal")
    assert isinstance(attributes["Endpoint.Port"], int)
    assert attributes[MARK]


def test_stub_keeps_its_references_when_it_is_updated() -> None:
    stub = Stub(SCHEMA, lambda: ("aws", "us-east-1", "1" * 12))
    created = stub.create("It", {"Name": "it"}, "stack")
    assert stub.update(created[0], {}, {"Name": "it", "IsOn": True}, "stack") == created


def test_stubs_of_one_type_differ() -> None:
    stub = Stub(SCHEMA, lambda: ("aws", "us-east-1", "1" * 12))
    first, second = (stub.create("It", {"Name": "it"}, "stack") for _ in range(2))
    assert first[0] != second[0]

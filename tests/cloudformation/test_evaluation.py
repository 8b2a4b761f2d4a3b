"""Templates are evaluated as far as it is known before an update."""

from __future__ import annotations

from typing import Any

import pytest

from cloudformation.evaluation import Stack, is_known

TEMPLATE = {
    "Parameters": {
        "Name": {"Type": "String"},
        "List": {"Type": "CommaDelimitedList"},
        "Count": {"Type": "Number", "Default": 2},
    },
    "Mappings": {"Sizes": {"2": {"Weight": 98}}},
    "Conditions": {
        "IsTwo": {"Fn::Equals": [{"Ref": "Count"}, 2]},
        "IsHere": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]},
        "Both": {"Fn::And": [{"Condition": "IsTwo"}, {"Condition": "IsHere"}]},
        "Either": {"Fn::Or": [{"Condition": "IsTwo"}, {"Condition": "IsHere"}]},
    },
    "Resources": {"Vpc": {"Type": "AWS::EC2::VPC"}},
}
STACK = Stack(TEMPLATE, {"Name": "a", "List": "x, y"}, ("Network",))
ZONES = {"Fn::GetAZs": ""}
VPC = {"Ref": "Network/Vpc"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"Ref": "Name"}, "a"),
        ({"Ref": "Count"}, "2"),
        ({"Ref": "List"}, ["x", "y"]),
        ({"Ref": "Vpc"}, VPC),
        (True, "true"),
        ({"Fn::GetAtt": "Vpc.Id"}, {"Fn::GetAtt": ["Network/Vpc", "Id"]}),
        ({"Fn::Sub": "${Name}-${Vpc}!"}, {"Fn::Join": ["", ["a", "-", VPC, "!"]]}),
        ({"Fn::Sub": ["${A}${!B}", {"A": "1"}]}, "1${B}"),
        ({"Fn::Join": ["/", {"Ref": "List"}]}, "x/y"),
        ({"Fn::Split": [",", {"Fn::Join": [",", ["1", {"Ref": "Vpc"}]]}]}, ["1", VPC]),
        ({"Fn::Select": [1, {"Ref": "List"}]}, "y"),
        ({"Fn::Select": [0, ZONES]}, {"Fn::Select": ["0", ZONES]}),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Count"}, "Weight"]}, "98"),
        ({"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 3, 8]}]}, "10.0.1.0/24"),
        ({"A": {"Fn::If": ["IsTwo", {"Ref": "AWS::NoValue"}, 1]}, "B": 1}, {"B": "1"}),
        ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
    ],
)  # fmt: skip
def test_expression_is_evaluated(expression: Any, expected: Any) -> None:
    assert STACK.evaluate(expression) == expected


def test_condition_that_only_aws_knows_stays_open() -> None:
    assert STACK.condition("IsTwo") is True
    assert STACK.condition("Either") is True
    undecided = STACK.evaluate({"Fn::If": ["Both", "yes", "no"]})
    assert not is_known(undecided)
    assert undecided == STACK.evaluate({"Fn::If": ["Both", "yes", "no"]})

"""The build stops at nine tenths of each quota."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from compiler.quotas import (
    RESOURCES_IN_ONE_OPERATION,
    ROOM,
    TEMPLATE_QUOTAS,
    Quota,
    over_quota,
    resources_below,
)

TOPIC = {"Type": "AWS::SNS::Topic"}


def many(count: int, entry: Any) -> dict[str, Any]:
    return {f"Name{number}": entry for number in range(count)}


def nested(path: str) -> dict[str, Any]:
    return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": path}}


def with_text(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    return document, json.dumps(document)


FULL: dict[str, Callable[[int], dict[str, Any]]] = {
    "resources": lambda n: {"Resources": many(n, TOPIC)},
    "parameters": lambda n: {"Parameters": many(n, {"Type": "String"})},
    "outputs": lambda n: {"Outputs": many(n, {"Value": "x"})},
    "bytes": lambda n: {"Metadata": "x" * (n - len('{"Metadata": ""}'))},
    "mappings": lambda n: {"Mappings": many(n, {"Row": {"Column": "x"}})},
    "attributes of a mapping": lambda n: {"Mappings": {"Map": {"Row": many(n, "x")}}},
    "characters of a logical name": lambda n: {"Resources": {"N" * n: TOPIC}},
    "bytes of a description": lambda n: {"Description": "é" * (n // 2) + "e" * (n % 2)},
    "bytes of a parameter value": lambda n: {
        "Parameters": {"Name": {"Type": "String", "Default": "x" * n}}
    },
    "dynamic references": lambda n: {"Metadata": ["{{resolve:ssm:x}}"] * n},
}


@pytest.mark.parametrize("quota", TEMPLATE_QUOTAS, ids=lambda quota: quota.name)
def test_template_may_use_nine_tenths_of_a_quota_and_no_more(quota: Quota) -> None:
    most = int(quota.limit * ROOM)
    fill = FULL[quota.name]
    assert over_quota({"a.template.json": with_text(fill(most))}) == []

    (problem,) = over_quota({"a.template.json": with_text(fill(most + 1))})
    assert problem.where.startswith("a.template.json")
    assert f"{most + 1:,} {quota.name} of {quota.limit:,}" in problem.what
    assert problem.remedy == quota.remedy


def test_stack_nested_many_times_counts_each_time() -> None:
    # Every template was far below 500 resources, and fifty pools of them together
    # were more than one operation may touch.
    documents = {
        "pool.template.json": {"Resources": many(45, TOPIC)},
        "parent.template.json": {"Resources": many(50, nested("pool.template.json"))},
    }
    assert resources_below("parent.template.json", documents) == 50 + 50 * 45

    (problem,) = over_quota({path: with_text(d) for path, d in documents.items()})
    assert problem.where == "parent.template.json with its nested stacks"
    assert RESOURCES_IN_ONE_OPERATION.name in problem.what

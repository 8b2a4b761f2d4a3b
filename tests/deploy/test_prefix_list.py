"""The prefix list of S3 is found, not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.rules import FOUND_AT_LAUNCH as TAG
from deploy.dist import Environment
from deploy.prefix_list import FOUND_AT_LAUNCH, with_prefix_list
from tests.deploy.fakes import FakeAws, dist

PARENT = {"Metadata": {TAG: ["S3PrefixListId"]}, "Resources": {}}
NARROW = {"OutboundHttpsCidr": "10.0.0.0/16"}
ID = "pl-6ea54007"


def launched(parameters: dict[str, str], parent: Any = PARENT) -> dict[str, str]:
    rows = {"PrefixLists": [{"PrefixListId": ID}]}
    aws = FakeAws(describe_managed_prefix_lists=rows)
    environment = Environment("dev", "airflow-dev", parameters)
    built = dist({"parent.template.json": parent})
    return dict(with_prefix_list(aws, built, environment).parameters)


def test_narrow_environment_gets_the_prefix_list_of_its_region() -> None:
    assert launched(NARROW) == {**NARROW, "S3PrefixListId": ID}


@pytest.mark.parametrize(
    "parameters", [{}, {**NARROW, "S3PrefixListId": "pl-12345678"}]
)
def test_environment_keeps_what_it_names_or_does_not_need(
    parameters: dict[str, str],
) -> None:
    assert launched(parameters) == parameters


def test_template_without_the_parameter_gets_none() -> None:
    assert launched(NARROW, {"Resources": {}}) == NARROW


def test_compiler_and_launch_agree_on_the_mark() -> None:
    assert FOUND_AT_LAUNCH == TAG

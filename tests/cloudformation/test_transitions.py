"""Each row of the table refuses its example, and permits one that is like it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from cloudformation import transitions
from cloudformation.evaluation import Stack
from cloudformation.schemas import installed
from cloudformation.transitions import TRANSITIONS, Transition, refused
from cloudformation.updates import compare
from tests.cloudformation.refused_examples import EXAMPLES

SCHEMAS = installed()
PAGE = Path(__file__).parents[2] / "docs" / "refused-changes.md"


def refusals(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    """Return resource and message by the name of the row."""
    assert SCHEMAS
    old, new = (Stack({"Resources": each}, {}) for each in (before, after))
    return {
        row.transition.name: (row.update.resource.name, row.message)
        for row in refused(compare(old, new, SCHEMAS), SCHEMAS)
    }


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: row.name)
def test_row_refuses_its_example_only(row: Transition) -> None:
    example = EXAMPLES[row.name]
    resource, message = refusals(example.before, example.after)[row.name]
    assert resource == example.at
    assert example.answer in message
    assert refusals(example.before, example.permitted) == {}
    assert refusals(example.before, example.before) == {}
    assert refusals({}, example.before) == {}


def test_resources_without_an_address_share_none() -> None:
    """Two private NAT gateways have no address: that is not the same one."""
    gateway = {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": "a"}}
    moved = {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": "b"}}
    assert refusals({"One": gateway}, {"One": moved, "Two": gateway}) == {}


def test_zones_that_only_aws_knows_may_be_the_same() -> None:
    """Naming the zones in use replaces no subnet, so it is not refused."""
    example = EXAMPLES["subnet-range"].after
    zone = {"Fn::Select": [0, {"Fn::GetAZs": ""}]}
    subnet = example["A"]["Properties"] | {"AvailabilityZone": zone}
    before = {**example, "A": {**example["A"], "Properties": subnet}}
    assert refusals(before, example) == {}


def test_page_of_the_documentation_is_the_table() -> None:
    assert PAGE.read_text() == transitions.document(), "run make reference"


def test_names_of_rows_are_unique() -> None:
    assert [row.name for row in TRANSITIONS] == list(EXAMPLES)


@pytest.mark.parametrize(
    ("service", "operation", "error"),
    [
        ("elbv2", "CreateListener", "TargetGroupAssociationLimitException"),
        ("elbv2", "CreateRule", "TargetGroupAssociationLimitException"),
        ("elbv2", "CreateRule", "PriorityInUseException"),
        ("elbv2", "CreateListener", "DuplicateListenerException"),
        ("elbv2", "DeleteLoadBalancer", "OperationNotPermittedException"),
        ("rds", "ModifyDBSubnetGroup", "SubnetAlreadyInUse"),
        ("elasticache", "ModifyCacheSubnetGroup", "SubnetInUse"),
        (
            "elasticache",
            "ModifyReplicationGroup",
            "InvalidParameterCombinationException",
        ),
        ("ecs", "UpdateService", "InvalidParameterException"),
        ("route53", "ChangeResourceRecordSets", "InvalidChangeBatch"),
    ],
)
def test_service_has_the_error(service: str, operation: str, error: str) -> None:
    """The models of AWS name the errors that the rows expect."""
    model = botocore.session.get_session().get_service_model(service)
    errors = {shape.name for shape in model.operation_model(operation).error_shapes}
    assert error in errors

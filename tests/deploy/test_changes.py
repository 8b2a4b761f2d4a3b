"""A plan shows what can happen, the worst first, and leaves out what cannot."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.changes import (
    UNKNOWN,
    Certainty,
    Change,
    ChangeKind,
    ChangePlan,
    ChangeSet,
    compared,
    founded,
    read,
)
from tests.deploy.fakes import NETWORK, PARENT, STORAGE, bucket, nest, template

STACK = "AWS::CloudFormation::Stack"


def entry(
    logical_id: str,
    type: str = "AWS::S3::Bucket",
    action: str = "Modify",
    replacement: str = "False",
    **more: Any,
) -> dict[str, Any]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": type,
        "Action": action,
        "Replacement": replacement,
        **more,
    }


def detail(evaluation: str, recreation: str = "Never", **target: Any) -> dict[str, Any]:
    return {
        "Evaluation": evaluation,
        "ChangeSource": "DirectModification",
        "Target": {
            "Attribute": "Properties",
            "Name": "Name",
            "RequiresRecreation": recreation,
            **target,
        },
    }


def urls(network: str, storage: str, **parameters: Any) -> dict[str, Any]:
    """The parent as published."""
    return {
        "Resources": {
            "Network": nest(network),
            "Storage": nest(
                storage,
                VpcId={"Fn::GetAtt": ["Network", "Outputs.VpcId"]},
                Size={"Ref": "Size"},
            ),
        },
        **parameters,
    }


def changes_of(
    before: dict[str, Any],
    after: dict[str, Any],
    changed: dict[str, str],
    **children: list[dict[str, Any]],
) -> dict[str, Change]:
    change_set = ChangeSet(
        tuple(entry(name, STACK) for name in children),
        {name: ChangeSet(tuple(rows)) for name, rows in children.items()},
    )
    templates = {(): after, ("Network",): NETWORK, ("Storage",): STORAGE}
    return {
        change.name: change
        for change in read(change_set, before, after, changed, templates)
    }


def test_stack_with_unchanged_inputs_cannot_change() -> None:
    """A nested change set lists every child with an input from another child."""
    same = urls("n1", "s1")
    changes = changes_of(
        same, same, {}, Storage=[entry("Data", Details=[detail("Dynamic")])]
    )
    assert changes["Storage/Data"].certainty is Certainty.UNFOUNDED


def test_stack_with_an_output_of_a_changed_stack_may_change() -> None:
    changes = changes_of(
        urls("n1", "s1"),
        urls("n2", "s1"),
        {},
        Network=[entry("Vpc", "AWS::EC2::VPC", Details=[detail("Static")])],
        Storage=[entry("Data", Details=[detail("Static", "Always")])],
    )
    assert changes["Network/Vpc"].certainty is Certainty.CERTAIN
    assert changes["Storage/Data"].certainty is Certainty.MAY_CHANGE


def test_a_changed_parameter_makes_its_stack_certain() -> None:
    same = urls("n1", "s1")
    changes = changes_of(
        same, same, {"Size": "1 -> 2"}, Storage=[entry("Data", Details=[])]
    )
    assert changes["Storage/Data"].certainty is Certainty.CERTAIN


def test_a_value_known_only_later_may_change() -> None:
    same = urls("n1", "s1")
    changes = changes_of(
        same,
        same,
        {"Size": "1 -> 2"},
        Storage=[entry("Data", Details=[detail("Static", AfterValue=UNKNOWN)])],
    )
    assert changes["Storage/Data"].certainty is Certainty.MAY_CHANGE
    assert "known only during the update" in changes["Storage/Data"].details[0]


def test_certain_replacement_is_not_hidden_by_an_uncertain_detail() -> None:
    same = urls("n1", "s1")
    changes = changes_of(
        same,
        same,
        {"Size": "1 -> 2"},
        Storage=[
            entry(
                "Data",
                replacement="True",
                Details=[detail("Dynamic"), detail("Static", "Always")],
            )
        ],
    )
    assert changes["Storage/Data"].kind is ChangeKind.REPLACE
    assert changes["Storage/Data"].certainty is Certainty.CERTAIN
    assert changes["Storage/Data"].endangers_data


def test_condition_on_a_changed_parameter_is_certain() -> None:
    body = {
        "Conditions": {
            "HasMore": {"Fn::Equals": [{"Ref": "More"}, "true"]},
            "HasAll": {"Fn::And": [{"Condition": "HasMore"}, {"Condition": "HasMore"}]},
        },
        "Resources": {"Storage": {**nest("s1"), "Condition": "HasAll"}},
    }
    assert founded(body, body, frozenset({"More"})) == {"Storage": Certainty.CERTAIN}
    assert founded(body, body, frozenset()) == {}


def test_uncertainty_propagates_downstream() -> None:
    body = template(
        A=nest("a2"),
        B=nest("b", X={"Fn::GetAtt": ["A", "Outputs.X"]}),
        C=nest("c", X={"Fn::Sub": "${B.Outputs.X}/y"}),
        D=nest("d"),
    )
    before = template(**{**body["Resources"], "A": nest("a1")})
    assert founded(before, body, frozenset()) == {
        "A": Certainty.CERTAIN,
        "B": Certainty.MAY_CHANGE,
        "C": Certainty.MAY_CHANGE,
    }


def test_new_metadata_alone_changes_nothing() -> None:
    """Metadata is for people: a better sentence is no reason for an alarm."""
    old, new = nest("s1"), {**nest("s1"), "Metadata": {"Purpose": "Better."}}
    assert founded(template(S=old), template(S=new), frozenset()) == {}


def test_changes_that_endanger_data_come_first() -> None:
    plan = ChangePlan(
        "airflow",
        is_new=False,
        change_set_id="x",
        changes=(
            Change((), "Added", "AWS::SNS::Topic", ChangeKind.ADD),
            Change((), "Group", "AWS::EC2::SecurityGroup", ChangeKind.DELETE),
            Change(("Storage",), "Data", "AWS::S3::Bucket", ChangeKind.REPLACE,
                   is_stateful=True),
            Change((), "Ghost", "AWS::S3::Bucket", ChangeKind.DELETE,
                   Certainty.UNFOUNDED, is_stateful=True),
        ),
    )  # fmt: skip
    assert [c.logical_id for c in plan.relevant] == ["Data", "Group", "Added"]
    assert [c.logical_id for c in plan.dangers] == ["Data"]
    assert plan.unfounded == 1


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (bucket(), True),
        ({"Type": "AWS::RDS::DBCluster"}, True),
        ({"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"}, True),
        ({"Type": "AWS::SNS::Topic"}, False),
    ],
)
def test_stateful_resources_are_recognized_by_type_or_policy(
    resource: dict[str, Any], *, expected: bool
) -> None:
    changes = compared((), template(X=resource), template())
    assert changes[0].endangers_data is expected


def test_deletion_reports_what_is_retained() -> None:
    changes = compared(("Storage",), template(Data=bucket()), template())
    assert (changes[0].kind, changes[0].keeps) == (ChangeKind.DELETE, "Retain")


def test_removed_stack_endangers_its_data() -> None:
    """Removing a nested stack shows as one entry; its buckets are what matters."""
    before = PARENT
    after = template(Network=PARENT["Resources"]["Network"])
    change_set = ChangeSet(
        (entry("Storage", STACK, "Remove"),),
        {"Storage": ChangeSet((entry("Data", action="Remove"),))},
    )
    changes = read(change_set, before, after, {}, {(): after, ("Storage",): STORAGE})
    assert [c.name for c in changes if c.endangers_data] == ["Storage/Data"]


def test_templates_are_compared_without_nested_change_sets() -> None:
    changes = compared(
        ("Storage",),
        template(Old=bucket(), Same=bucket(), Data=bucket(Properties={"A": 1})),
        template(New=bucket(), Same=bucket(), Data=bucket(Properties={"A": 2})),
    )
    kinds = {c.logical_id: (c.kind, c.certainty) for c in changes}
    assert kinds == {
        "Old": (ChangeKind.DELETE, Certainty.CERTAIN),
        "New": (ChangeKind.ADD, Certainty.CERTAIN),
        "Data": (ChangeKind.MODIFY, Certainty.MAY_CHANGE),
    }

"""Plans and the progress of an operation, at a terminal and in a pipe."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from deploy import console, durations, trees
from deploy.changes import Certainty, Change, ChangeKind, ChangePlan
from deploy.dist import STACK, Dist
from deploy.events import StackWatcher
from tests.deploy.fakes import FakeAws, dist, histories, nested, row, stack_id

NAME = "airflow-dev"
BEGUN = (
    row(1, NAME, NAME, "CREATE_IN_PROGRESS"),
    nested(2, NAME, "Network", "CREATE_IN_PROGRESS", child="net"),
    row(3, "net", "Vpc", "CREATE_COMPLETE"),
    row(4, "net", "net", "CREATE_COMPLETE"),
    nested(5, NAME, "Network", "CREATE_COMPLETE", child="net"),
    nested(6, NAME, "Storage", "CREATE_IN_PROGRESS", child="sto"),
    row(7, "sto", "sto", "CREATE_IN_PROGRESS"),
    row(8, "sto", "Data", "CREATE_IN_PROGRESS"),
)


ENDED = (
    row(0, NAME, NAME, "CREATE_IN_PROGRESS"),
    row(1200, NAME, NAME, "CREATE_COMPLETE"),
)


def drawn(
    width: int = 80, expected: dict[tuple[str, ...], int] | None = None
) -> list[str]:
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*BEGUN)), stack_id(NAME)
    )
    watch.poll()
    watch.poll()
    paper = io.StringIO()
    terminal = Console(file=paper, width=width, force_terminal=False)
    terminal.print(console.ProgressDisplay(watch, dist(), expected or {}).tree())
    return paper.getvalue().splitlines()


def test_tree_shows_stacks_in_progress_and_resources_waited_for() -> None:
    lines = drawn()
    assert "0:00 elapsed" in lines[0]
    assert lines[1].strip() == "1 of 2 stacks, 1 of 2 resources"
    assert lines[2].split()[:2] == ["Storage", "CREATE_IN_PROGRESS"]
    assert lines[3].strip() == "Waiting for"
    assert "Storage/Data  Holds the data." in lines[4]


def test_progress_of_a_creation_counts_what_has_no_event_yet() -> None:
    """It once said that 2 of 2 stacks were done while 18 more were to come."""
    nested = {"Type": STACK, "Properties": {"TemplateURL": "a.template.json"}}
    resources = {"A": {"Type": "X"}, "B": {"Type": "X", "Condition": "IsOn"}}
    built = Dist(
        Path(),
        {
            "parent.template.json": json.dumps(
                {
                    "Parameters": {"On": {"Type": "String", "Default": "true"}},
                    "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "true"]}},
                    "Resources": {
                        "Network": nested,
                        "Storage": nested,
                        "Later": {**nested, "Condition": "IsOn"},
                    },
                }
            ).encode(),
            "a.template.json": json.dumps({"Resources": resources}).encode(),
        },
    )
    expected = trees.expected(built, {"On": "false"})
    assert expected == {(): 0, ("Network",): 2, ("Storage",): 2}
    lines = drawn(expected={**trees.expected(built, {})})
    assert lines[1].strip() == "1 of 3 stacks, 1 of 6 resources"
    assert "0 of 2" in lines[2]


def test_creation_is_measured_against_the_last_one(tmp_path: Path) -> None:
    aws = FakeAws(describe_stack_events=histories(*ENDED))
    watch = StackWatcher(aws, stack_id(NAME))
    built = Dist(tmp_path / "dist", {})
    assert durations.estimate(aws, built) is None
    watch.poll()
    durations.remember(aws, built, watch)
    shown = console.ProgressDisplay(
        watch, built, {}, durations.estimate(aws, built)
    ).time
    assert shown == "0:00 elapsed (last time 20:00)"
    for content in ("damaged", '{"AWS": 1e999}', "[1]"):
        (tmp_path / durations.FILE).write_text(content)
        assert durations.estimate(aws, built) is None


def test_tree_lines_are_cut_and_never_wrapped() -> None:
    """A tree that grows beyond the screen is drawn over and over."""
    assert len(drawn(40)) == len(drawn(200))
    assert all(len(line) <= 40 for line in drawn(40))


def test_pipe_gets_the_resources_waited_for_after_a_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pipeline without output for twenty minutes is taken for dead."""
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*BEGUN)), stack_id(NAME)
    )
    watch.poll()
    watch.poll()
    display = console.ProgressDisplay(watch, dist())
    display.add([])
    assert capsys.readouterr().err == ""
    display.printed -= console.SILENCE * 2
    display.add([])
    display.add([])
    assert capsys.readouterr().err.count("waiting for Storage/Data") == 1


def shown(
    capsys: pytest.CaptureFixture[str], *changes: Change, lists_all: bool = False
) -> str:
    plan = ChangePlan(NAME, is_new=False, changes=changes, change_set_id="x")
    console.print_plan(plan, dist(), lists_all=lists_all)
    return capsys.readouterr().out


def test_changes_that_endanger_data_have_a_heading(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = shown(
        capsys,
        Change((), "Topic", "AWS::SNS::Topic", ChangeKind.ADD),
        Change(
            ("Storage",),
            "Data",
            "AWS::S3::Bucket",
            ChangeKind.REPLACE,
            is_stateful=True,
            keeps="Retain",
            details=("BucketName: a -> b",),
        ),
    )
    assert output.index(
        "Resources with data that would be deleted or replaced"
    ) < output.index("Data")
    assert output.index("Storage/Data") < output.index("Topic")
    assert "(the old one is kept)" in output
    assert "BucketName: a -> b" in output


def test_uncertain_changes_are_labelled_and_impossible_ones_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = shown(
        capsys,
        Change((), "Gateway", "AWS::EC2::VPC", ChangeKind.MODIFY, Certainty.MAY_CHANGE),
        Change((), "Ghost", "AWS::EC2::VPC", ChangeKind.REPLACE, Certainty.UNFOUNDED),
    )
    assert "Gateway  AWS::EC2::VPC  may change" in output
    assert "Ghost" not in output
    assert "1 more entries of the change set cannot happen" in output


def test_resources_of_a_new_stack_are_counted_or_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = (
        Change((), "Pool", "AWS::CloudFormation::Stack", ChangeKind.ADD),
        Change(("Pool",), "Service", "AWS::ECS::Service", ChangeKind.ADD),
    )
    assert "Pool/Service" not in shown(capsys, *changes)
    assert "Pool  a stack of 1" in shown(capsys, *changes)
    assert "Pool/Service" in shown(capsys, *changes, lists_all=True)

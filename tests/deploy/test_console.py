"""What a person sees while waiting, and what a pipe gets."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from deploy import console as screen
from deploy.changes import Change, ChangeKind, ChangePlan, Certainty
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


def drawn(width: int = 80) -> list[str]:
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*BEGUN)), stack_id(NAME)
    )
    watch.look()
    watch.look()
    paper = io.StringIO()
    console = Console(file=paper, width=width, force_terminal=False)
    console.print(screen.ProgressDisplay(watch, dist()).tree())
    return paper.getvalue().splitlines()


def test_the_tree_shows_what_goes_on_and_what_it_waits_for() -> None:
    lines = drawn()
    assert "elapsed, 1 of 2 stacks done" in lines[0]
    assert lines[1].split()[:2] == ["Storage", "CREATE_IN_PROGRESS"]
    assert lines[2].strip() == "Waits for"
    assert "Storage/Data  Holds the data." in lines[3]


def test_a_narrow_screen_cuts_lines_and_never_wraps_them() -> None:
    """A tree that grows beyond the screen is drawn over and over."""
    assert len(drawn(40)) == len(drawn(200))
    assert all(len(line) <= 40 for line in drawn(40))


def test_a_pipe_hears_what_is_waited_for_when_nothing_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pipeline that says nothing for twenty minutes is taken for dead."""
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*BEGUN)), stack_id(NAME)
    )
    watch.look()
    watch.look()
    follower = screen.ProgressDisplay(watch, dist())
    follower.new([])
    assert capsys.readouterr().err == ""
    follower.said -= screen.QUIET * 2
    follower.new([])
    follower.new([])
    assert capsys.readouterr().err.count("waits for Storage/Data") == 1


def shown(
    capsys: pytest.CaptureFixture[str], *changes: Change, lists_all: bool = False
) -> str:
    plan = ChangePlan(NAME, is_new=False, changes=changes, change_set_id="x")
    screen.plan(plan, dist(), lists_all=lists_all)
    return capsys.readouterr().out


def test_what_endangers_data_has_a_heading_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = shown(
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
    assert told.index("Holds data, and goes or is replaced") < told.index("Data")
    assert told.index("Storage/Data") < told.index("Topic")
    assert "(the old is kept)" in told
    assert "BucketName: a -> b" in told


def test_what_may_not_happen_is_labelled_and_what_cannot_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = shown(
        capsys,
        Change((), "Door", "AWS::EC2::VPC", ChangeKind.MODIFY, Certainty.MAY_CHANGE),
        Change((), "Ghost", "AWS::EC2::VPC", ChangeKind.REPLACE, Certainty.UNFOUNDED),
    )
    assert "Door  AWS::EC2::VPC  may change" in told
    assert "Ghost" not in told
    assert "1 more entries of the change set are left out" in told


def test_what_is_in_a_new_stack_is_counted_unless_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = (
        Change((), "Pool", "AWS::CloudFormation::Stack", ChangeKind.ADD),
        Change(("Pool",), "Service", "AWS::ECS::Service", ChangeKind.ADD),
    )
    assert "Pool/Service" not in shown(capsys, *changes)
    assert "Pool  a stack of 1" in shown(capsys, *changes)
    assert "Pool/Service" in shown(capsys, *changes, lists_all=True)


def test_a_value_in_square_brackets_is_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.show("failed to create: [Data], [red]")
    assert capsys.readouterr().out == "failed to create: [Data], [red]\n"


def test_a_long_line_in_a_pipe_stays_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen.show("x" * 500)
    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_only_commands_are_spelt_out() -> None:
    with screen.commands_typed_as("dev --local"):
        assert screen.spelt("build.py plan ENV; airflow-ENV") == (
            "build.py plan dev --local; airflow-ENV"
        )


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Admin-a1b2c3"


def test_the_arn_of_a_secret_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its middle is the code of a pictograph, which a rehearsal once showed instead."""
    screen.stdout().print(ARN)
    assert ARN in capsys.readouterr().out

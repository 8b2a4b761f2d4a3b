"""A launch asks before it harms, follows to the end, and tells what went wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cli.errors import ExitCode, Failure, Problem, Refused, Unable, Unreachable
from deploy import launch as launch_module
from deploy import prompts, stacks
from deploy.changes import Certainty, Change, ChangeKind, ChangePlan
from deploy.launch import Confirmation, confirm, launch
from tests.deploy.fakes import (
    AT_ONCE,
    FILES,
    PARENT,
    REGION,
    FakeAws,
    described,
    dist,
    error,
    histories,
    nested,
    row,
    stack_id,
)

NAME = "airflow-dev"
SET = "arn:aws:cloudformation:::changeSet/build/1"

NOT_THERE = error("ValidationError", f"Stack with id {NAME} does not exist")

ENDS_WELL = (
    row(0, NAME, NAME, "REVIEW_IN_PROGRESS"),
    row(1, NAME, NAME, "CREATE_IN_PROGRESS"),
    nested(2, NAME, "Storage", "CREATE_IN_PROGRESS", child="sto"),
    row(3, "sto", "Data", "CREATE_COMPLETE"),
    nested(4, NAME, "Storage", "CREATE_COMPLETE", child="sto"),
    row(5, NAME, NAME, "CREATE_COMPLETE"),
)
ENDS_BADLY = (
    *ENDS_WELL[:3],
    row(3, "sto", "Data", "CREATE_FAILED", reason="the planted cause"),
    nested(4, NAME, "Storage", "CREATE_FAILED", child="sto", reason="Embedded"),
    row(5, NAME, NAME, "ROLLBACK_COMPLETE"),
)


def account(
    *rows: dict[str, Any], ends: str = "CREATE_COMPLETE", **more: Any
) -> FakeAws:
    """An account without the stack, in which a launch goes as ``rows`` tell."""
    running = described(
        NAME,
        ends,
        Outputs=[
            {
                "OutputKey": "WebUrl",
                "OutputValue": "https://x",
                "Description": "Template.",
            }
        ],
    )
    aws = FakeAws(
        **{
            "head_bucket": {"BucketRegion": REGION},
            "head_object": {},
            "get_bucket_policy": {"Policy": "TlsOnly"},
            "describe_stacks": [NOT_THERE, NOT_THERE, running],
            "create_change_set": {"Id": SET, "StackId": stack_id(NAME)},
            "describe_change_set": {
                "Status": "CREATE_COMPLETE",
                "ChangeSetId": SET,
                "StackId": stack_id(NAME),
                "Changes": [
                    {
                        "ResourceChange": {
                            "Action": "Add",
                            "LogicalResourceId": "Storage",
                            "ResourceType": "AWS::CloudFormation::Stack",
                        }
                    }
                ],
            },
            "execute_change_set": {},
            "delete_change_set": error("InvalidChangeSetStatus", "executed"),
            "delete_stack": {},
            "list_change_sets": {"Summaries": []},
            "update_termination_protection": {},
            "set_stack_policy": {},
            **more,
        }
    )

    def history(**options: Any) -> dict[str, Any]:
        # Before it is executed there is only the shell.
        shown = rows if aws.calls["cloudformation:execute_change_set"] else rows[:1]
        return histories(*shown)(**options)

    aws.answers["describe_stack_events"] = history
    return aws


def launched(aws: FakeAws, name: str = "dev", **options: Any) -> ExitCode:
    built = dist()
    return launch(
        aws,
        built,
        built.environment(name, NAME),
        **{
            "confirmation": Confirmation(yes=True),
            "interval": AT_ONCE,
            "checks_first": False,
            **options,
        },
    )


def test_launch_ends_with_outputs_and_next_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert launched(account(*ENDS_WELL)) is ExitCode.OK
    output = capsys.readouterr()
    assert "https://x" in output.out
    assert "WebUrl  Template." in output.out
    assert "build.py status" in output.err


def test_an_executed_change_set_is_not_cleaned_up() -> None:
    aws = account(*ENDS_WELL)
    launched(aws)
    assert aws.parameters("delete_change_set") == []
    assert aws.parameters("delete_stack") == []


def test_progress_has_the_purpose_of_each_resource(
    capsys: pytest.CaptureFixture[str],
) -> None:
    launched(account(*ENDS_WELL))
    lines = capsys.readouterr().err.splitlines()
    assert any("Storage/Data" in line and "Holds the data." in line for line in lines)


def test_failed_launch_prints_cause_and_next_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    aws = account(*ENDS_BADLY, ends="ROLLBACK_COMPLETE")
    assert launched(aws) is ExitCode.FAILED
    output = capsys.readouterr().out
    assert "Root cause: Storage/Data" in output
    assert "the planted cause" in output
    assert "build.py recover" in output


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("prod", ["true", "false", "deferred"], {"DeletionProtection": "deferred"}),
        ("dev", ["true", "false", "deferred"], {}),
        # A template that cannot defer it, as the portfolio's.
        ("prod", ["true", "false"], {}),
    ],
)
def test_first_launch_defers_deletion_protection(
    name: str, allowed: list[str], expected: dict[str, str]
) -> None:
    """CloudFormation cannot roll back what is protected from deletion."""
    parameter = {"Type": "String", "Default": "true", "AllowedValues": allowed}
    parent = {**PARENT, "Parameters": {"DeletionProtection": parameter}}
    built = dist({**FILES, "parent.template.json": parent})
    environment = built.environment(name, NAME)
    first = launch_module.first_launch(built, environment)
    assert first.parameters == {**environment.parameters, **expected}


def test_detached_first_launch_names_what_is_left_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    parameter = {"Type": "String", "Default": "true", "AllowedValues": ["deferred"]}
    parent = {**PARENT, "Parameters": {"DeletionProtection": parameter}}
    built = dist({**FILES, "parent.template.json": parent})
    launch(
        account(*ENDS_WELL[:3]),
        built,
        built.environment("prod", NAME),
        confirmation=Confirmation(yes=True),
        checks_first=False,
        interval=dataclasses.replace(AT_ONCE, sleep=interrupt),
    )
    assert "launch again: deletion protection is off" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "expected"), [("dev", 0), ("prod", 1)])
def test_stack_is_protected_with_its_data(name: str, expected: int) -> None:
    aws = account(*ENDS_WELL)
    launched(aws, name)
    assert len(aws.parameters("update_termination_protection")) == expected


def test_launch_never_disables_protection() -> None:
    aws = account(*ENDS_WELL)
    aws.answers["describe_stacks"] = [
        NOT_THERE,
        NOT_THERE,
        described(NAME, "CREATE_COMPLETE", EnableTerminationProtection=True),
    ]
    launched(aws)
    assert aws.parameters("update_termination_protection") == []


def test_launch_without_changes_executes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    aws = account(
        *ENDS_WELL,
        describe_stacks=described(NAME, "CREATE_COMPLETE"),
        get_template={"TemplateBody": {"Resources": {}}},
        describe_change_set={
            "Status": "FAILED",
            "StatusReason": "The submitted information didn't contain changes.",
        },
    )
    assert launched(aws) is ExitCode.OK
    assert "Nothing to change in stack airflow-dev." in capsys.readouterr().out
    assert aws.parameters("execute_change_set") == []


def test_launch_needs_a_terminal_or_yes() -> None:
    aws = account(*ENDS_WELL)
    aws.answers["delete_change_set"] = {}
    aws.answers["describe_stacks"] = [
        NOT_THERE,
        NOT_THERE,
        described(NAME, "REVIEW_IN_PROGRESS"),
    ]
    with pytest.raises(Refused, match="--yes"):
        launched(aws, confirmation=Confirmation())
    assert aws.parameters("execute_change_set") == []
    assert len(aws.parameters("delete_change_set")) == 1
    assert len(aws.parameters("delete_stack")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        error("InvalidChangeSetStatus", "cannot be executed in OBSOLETE"),
        error("ValidationError", "Stack is in UPDATE_IN_PROGRESS state"),
        # The other launch has deleted the new stack with its change sets.
        error("ValidationError", f"Stack [{NAME}] does not exist"),
    ],
)
def test_concurrent_launch_is_refused(answer: Failure) -> None:
    aws = account(*ENDS_WELL, execute_change_set=answer)
    with pytest.raises(Refused, match="Another operation has started"):
        launched(aws)


def test_launch_of_a_busy_stack_changes_nothing() -> None:
    aws = account(*ENDS_WELL, describe_stacks=described(NAME, "CREATE_IN_PROGRESS"))
    with pytest.raises(Refused, match="another operation is running"):
        launched(aws)
    assert aws.parameters("create_change_set") == []


def test_ctrl_c_detaches_and_names_the_follow_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    aws = account(*ENDS_WELL[:3])
    code = launched(aws, interval=dataclasses.replace(AT_ONCE, sleep=interrupt))
    assert code is ExitCode.INTERRUPTED
    assert "events ENV --follow" in capsys.readouterr().err
    assert "cancel_update_stack" not in {name for name, _ in aws.requests}


@pytest.mark.parametrize(
    "fault",
    [
        Unreachable(Problem(where="AWS", what="no answer")),
        Unable(Problem(where="AWS credentials", what="They have expired.")),
    ],
)
def test_launch_that_cannot_be_followed_any_more_continues(fault: Failure) -> None:
    aws = account(*ENDS_WELL[:3])
    usual = aws.answers["describe_stack_events"]

    def failing(**options: Any) -> dict[str, Any]:
        if aws.calls["cloudformation:describe_stack_events"] > 3:
            raise fault
        result: dict[str, Any] = usual(**options)
        return result

    aws.answers["describe_stack_events"] = failing
    with pytest.raises(Unable, match=r"itself continues.*events ENV --follow"):
        launched(aws)
    assert aws.parameters("delete_change_set") == []


def planned(certainty: Certainty = Certainty.CERTAIN) -> ChangePlan:
    change = Change(
        ("Storage",),
        "Data",
        "AWS::S3::Bucket",
        ChangeKind.REPLACE,
        certainty,
        is_stateful=True,
    )
    return ChangePlan(NAME, is_new=False, changes=(change,), change_set_id=SET)


@pytest.mark.parametrize("certainty", [Certainty.CERTAIN, Certainty.MAY_CHANGE])
def test_yes_does_not_cover_the_replacement_of_data(certainty: Certainty) -> None:
    with pytest.raises(Refused, match="--replace-data"):
        confirm(planned(certainty), Confirmation(yes=True))
    confirm(planned(certainty), Confirmation(yes=True, replaces_data=True))


@pytest.mark.parametrize(("typed", "agreed"), [(NAME, True), ("y", False), ("", False)])
def test_replacement_of_data_needs_the_typed_name(
    monkeypatch: pytest.MonkeyPatch, typed: str, *, agreed: bool
) -> None:
    monkeypatch.setattr(prompts, "is_possible", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_a, **_k: typed)
    if agreed:
        confirm(planned(), Confirmation())
    else:
        with pytest.raises(Refused, match="Nothing was done"):
            confirm(planned(), Confirmation())


def test_harmless_plan_needs_one_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "is_possible", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_a, **_k: False)
    harmless = ChangePlan(NAME, is_new=True, change_set_id=SET)
    with pytest.raises(Refused):
        confirm(harmless, Confirmation())


def test_a_stack_policy_is_set_after_success() -> None:
    aws = account(*ENDS_WELL)
    environment = dataclasses.replace(
        dist().environment("dev"), stack_policy={"Statement": []}
    )
    launch_module.finish(aws, environment)
    assert aws.parameters("set_stack_policy")[0]["StackPolicyBody"] == (
        '{"Statement": []}'
    )


def test_topics_of_events_are_those_of_the_stack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    topic = f"arn:aws:sns:{REGION}:111122223333:launches"
    aws = account(*ENDS_WELL)
    environment = dataclasses.replace(dist().environment("dev"), topic_arns=(topic,))
    launch(
        aws,
        dist(),
        environment,
        confirmation=Confirmation(yes=True),
        checks_first=False,
        interval=AT_ONCE,
    )
    (created,) = aws.parameters("create_change_set")
    assert created["NotificationARNs"] == [topic]
    stack = stacks.existing(FakeAws(describe_stacks=described(NAME, "X")), NAME)
    launch_module.note_topics(stack, environment)
    assert "only with a change" in capsys.readouterr().err


def test_stack_that_another_command_deletes_is_said_to_be_deleted() -> None:
    aws = account(*ENDS_WELL)
    known = histories(*ENDS_WELL[:1])(StackName=NAME)
    aws.answers["describe_stack_events"] = [known, NOT_THERE]
    with pytest.raises(Refused, match="Another command has deleted it"):
        launched(aws)

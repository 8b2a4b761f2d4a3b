"""Change sets as AWS answers them: shapes are checked against botocore's models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from cli.errors import Failure, Refused
from deploy.addresses import PublishLocation, build_publication
from deploy.aws import Aws
from deploy.changes import Certainty, ChangeKind, ChangePlan
from deploy.dist import Dist
from deploy.planning import proposed
from tests.deploy.fakes import (
    AT_ONCE,
    BEGINNING,
    FILES,
    REGION,
    STORAGE,
    bucket,
    described,
    dist,
    stack_id,
)

NAME = "airflow-dev"
ROOT_SET = f"arn:aws:cloudformation:{REGION}:111122223333:changeSet/root/1"
STORAGE_SET = f"arn:aws:cloudformation:{REGION}:111122223333:changeSet/storage/1"
PLACE = PublishLocation("our-templates", REGION, "amazonaws.com")

OLDER = {
    "Resources": {
        "Data": bucket(Properties={"BucketName": "old"}),
        "Code": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"Code": {"ZipFile": "old"}},
        },
    }
}
"""Storage of an earlier version."""

MISSING = {"code": "ValidationError", "message": f"Stack with id {NAME} does not exist"}


def change(
    logical_id: str, type: str, action: str = "Modify", **more: Any
) -> dict[str, Any]:
    return {
        "Type": "Resource",
        "ResourceChange": {
            "Action": action,
            "LogicalResourceId": logical_id,
            "ResourceType": type,
            **more,
        },
    }


def settled(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "ChangeSetId": ROOT_SET,
        "StackId": stack_id(NAME),
        "StackName": NAME,
        "Status": "CREATE_COMPLETE",
        "ExecutionStatus": "AVAILABLE",
        "Changes": list(changes),
        **more,
    }


def failed(reason: str) -> dict[str, Any]:
    return {**settled(), "Status": "FAILED", "StatusReason": reason}


@contextmanager
def answering() -> Iterator[tuple[Aws, Stubber]]:
    aws = Aws(region=REGION)
    with Stubber(aws._client("cloudformation")) as stub:
        yield aws, stub
        stub.assert_no_pending_responses()


def creates(stub: Stubber, **more: Any) -> None:
    stub.add_response(
        "create_change_set",
        {"Id": ROOT_SET, "StackId": stack_id(NAME)},
        {
            "StackName": NAME,
            "ChangeSetName": ANY,
            "ClientToken": ANY,
            "ChangeSetType": ANY,
            "TemplateURL": ANY,
            "Parameters": ANY,
            "Tags": ANY,
            "Capabilities": ["CAPABILITY_IAM"],
            **more,
        },
    )


def cleans_up(stub: Stubber) -> None:
    stub.add_response("delete_change_set", {})


def leaves_no_shell(stub: Stubber) -> None:
    stub.add_response("list_change_sets", {"Summaries": []})
    stub.add_response("describe_stacks", described(NAME, "REVIEW_IN_PROGRESS"))
    stub.add_response("delete_stack", {}, {"StackName": stack_id(NAME)})


def plan(aws: Aws, built: Dist | None = None, **options: Any) -> ChangePlan:
    built = built or dist()
    publication = build_publication(built.files, PLACE)
    with proposed(
        aws, built, publication, built.environment("dev"), interval=AT_ONCE, **options
    ) as proposal:
        return proposal


def old_parent(storage: dict[str, Any] = STORAGE) -> dict[str, Any]:
    """The parent that runs: published from other files."""
    files = dist({**FILES, "storage.template.json": storage}).files
    return build_publication(files, PLACE).template("parent.template.json")


def body(template: dict[str, Any]) -> dict[str, Any]:
    return {"TemplateBody": json.dumps(template)}


RUNNING = described(
    NAME,
    "CREATE_COMPLETE",
    Parameters=[
        {"ParameterKey": "DeletionProtection", "ParameterValue": "false"},
        {"ParameterKey": "Size", "ParameterValue": "1"},
    ],
)


def runs(stub: Stubber, storage: dict[str, Any] = STORAGE) -> None:
    """Answer for a running stack; its storage may be of an older version."""
    stub.add_response("describe_stacks", RUNNING)
    stub.add_response("get_template", body(old_parent(storage)))
    if storage == STORAGE:
        return
    row = {
        "LogicalResourceId": "Storage",
        "PhysicalResourceId": stack_id("child"),
        "ResourceType": "AWS::CloudFormation::Stack",
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": BEGINNING,
    }
    stub.add_response("list_stack_resources", {"StackResourceSummaries": [row]})
    files = dist({**FILES, "storage.template.json": storage}).files
    before = build_publication(files, PLACE).template("storage.template.json")
    stub.add_response(
        "get_template",
        body(before),
        {"StackName": stack_id("child"), "TemplateStage": "Original"},
    )


def test_plan_of_a_new_stack_leaves_nothing() -> None:
    """An unexecuted change set leaves an empty REVIEW_IN_PROGRESS stack."""
    with answering() as (aws, stub):
        stub.add_client_error("describe_stacks", MISSING["code"], MISSING["message"])
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set", {**settled(), "Status": "CREATE_PENDING"}
        )
        stub.add_response(
            "describe_change_set",
            settled(change("Network", "AWS::CloudFormation::Stack", "Add")),
        )
        cleans_up(stub)
        leaves_no_shell(stub)
        proposal = plan(aws)
    assert proposal.is_new
    assert proposal.changes[0].kind is ChangeKind.ADD


def test_empty_stack_with_other_change_sets_is_kept() -> None:
    with answering() as (aws, stub):
        stub.add_response("describe_stacks", described(NAME, "REVIEW_IN_PROGRESS"))
        creates(stub, IncludeNestedStacks=True)
        stub.add_response("describe_change_set", settled())
        cleans_up(stub)
        stub.add_response(
            "list_change_sets",
            {
                "Summaries": [
                    {"ChangeSetId": "arn:aws:cloudformation:::changeSet/other"}
                ]
            },
        )
        stub.add_response("describe_stacks", described(NAME, "REVIEW_IN_PROGRESS"))
        plan(aws)


def test_plan_leaves_no_empty_nested_stack() -> None:
    """A nested change set makes an empty stack for each nested stack that is new."""
    child = stack_id("child")
    with answering() as (aws, stub):
        stub.add_client_error("describe_stacks", MISSING["code"], MISSING["message"])
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            settled(
                change(
                    "Storage",
                    "AWS::CloudFormation::Stack",
                    "Add",
                    ChangeSetId=STORAGE_SET,
                )
            ),
        )
        stub.add_response("describe_change_set", {**settled(), "StackId": child})
        cleans_up(stub)
        stub.add_response(
            "list_change_sets",
            {"Summaries": [{"ChangeSetId": STORAGE_SET, "RootChangeSetId": ROOT_SET}]},
        )
        stub.add_response(
            "describe_stacks",
            described("child", "REVIEW_IN_PROGRESS"),
            {"StackName": child},
        )
        stub.add_response("delete_stack", {}, {"StackName": child})
        leaves_no_shell(stub)
        plan(aws)


def test_nested_change_sets_are_read_with_their_pages() -> None:
    """Recorded: the child's change set hangs on the entry of its stack."""
    replaced = change(
        "Data",
        "AWS::S3::Bucket",
        Replacement="True",
        PolicyAction="ReplaceAndRetain",
        Details=[
            {
                "Target": {
                    "Attribute": "Properties",
                    "Name": "BucketName",
                    "RequiresRecreation": "Always",
                    "BeforeValue": "old",
                    "AfterValue": "new",
                },
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
        ],
    )
    with answering() as (aws, stub):
        runs(stub, OLDER)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            settled(
                change(
                    "Storage",
                    "AWS::CloudFormation::Stack",
                    Replacement="False",
                    ChangeSetId=STORAGE_SET,
                    PhysicalResourceId=stack_id("child"),
                )
            ),
        )
        stub.add_response(
            "describe_change_set",
            {
                **settled(change("Code", "AWS::Lambda::Function", Replacement="False")),
                "ChangeSetId": STORAGE_SET,
                "NextToken": "more",
            },
            {"ChangeSetName": STORAGE_SET, "IncludePropertyValues": True},
        )
        stub.add_response("describe_change_set", settled(replaced))
        stub.add_response("list_change_sets", {"Summaries": []})
        cleans_up(stub)
        proposal = plan(aws)
    assert [c.name for c in proposal.dangers] == ["Storage/Data"]
    assert proposal.dangers[0].details == ("BucketName: old -> new",)
    assert proposal.dangers[0].keeps == "Retain"
    assert "Storage/Code" in [c.name for c in proposal.relevant]


def test_nothing_to_change_is_no_failure() -> None:
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            failed(
                "The submitted information didn't contain changes. Submit different "
                "information to create a change set."
            ),
        )
        cleans_up(stub)
        assert plan(aws).is_empty


def test_early_validation_error_has_its_path() -> None:
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            failed("The following hook(s)/validation failed: [AWS::EarlyValidation]."),
        )
        stub.add_response(
            "describe_events",
            {
                "OperationEvents": [
                    {
                        "EventId": "1",
                        "StackId": stack_id(NAME),
                        "EventType": "VALIDATION_ERROR",
                        "LogicalResourceId": "Data",
                        "ResourceType": "AWS::S3::Bucket",
                        "Timestamp": BEGINNING,
                        "ValidationFailureMode": "FAIL",
                        "ValidationName": "PROPERTY_VALIDATION",
                        "ValidationStatus": "FAILED",
                        "ValidationStatusReason": "Unsupported property [BucketNam]",
                        "ValidationPath": "/Resources/Data/Properties/BucketNam",
                    },
                    {
                        "EventId": "2",
                        "StackId": stack_id(NAME),
                        "EventType": "VALIDATION_ERROR",
                        "Timestamp": BEGINNING,
                        "ValidationFailureMode": "WARN",
                        "ValidationStatusReason": "Only a warning",
                    },
                ]
            },
            {
                "ChangeSetName": ROOT_SET,
                "StackName": stack_id(NAME),
                "Filters": {"FailedEvents": True},
            },
        )
        cleans_up(stub)
        with pytest.raises(Failure) as caught:
            plan(aws)
    assert [p.where for p in caught.value.problems] == ["Data"]
    assert "At /Resources/Data/Properties/BucketNam." in str(caught.value)


def test_validation_error_of_a_nested_stack_is_no_fallback() -> None:
    """Without the look the launch would go on, and fail later with the same."""
    invalid = {
        "EventId": "1",
        "StackId": stack_id("child"),
        "LogicalResourceId": "Data",
        "Timestamp": BEGINNING,
        "ValidationStatusReason": "Unsupported property",
        "ValidationPath": "/Resources/Data/Properties/X",
    }
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            failed(
                f"Nested change set {STORAGE_SET} was not successfully created: "
                "Currently in FAILED."
            ),
        )
        stub.add_response("describe_events", {"OperationEvents": []})
        stub.add_response(
            "describe_change_set",
            {**failed("Validation failed"), "StackId": stack_id("child")},
            {"ChangeSetName": STORAGE_SET},
        )
        stub.add_response(
            "describe_events",
            {"OperationEvents": [invalid]},
            {
                "ChangeSetName": STORAGE_SET,
                "StackName": stack_id("child"),
                "Filters": {"FailedEvents": True},
            },
        )
        cleans_up(stub)
        with pytest.raises(Failure, match="/Resources/Data/Properties/X"):
            plan(aws)


def test_denied_validation_events_still_give_the_reason() -> None:
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response("describe_change_set", failed("Parameters: [X] must exist"))
        stub.add_client_error("describe_events", "AccessDenied", "no", 403)
        cleans_up(stub)
        with pytest.raises(Failure, match="must exist"):
            plan(aws)


def test_refused_nested_change_sets_are_noted_and_templates_compared() -> None:
    old = {"Resources": {**STORAGE["Resources"], "Gone": {"Type": "AWS::S3::Bucket"}}}
    with answering() as (aws, stub):
        runs(stub, old)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            failed(
                "Nested change set was not successfully created: Currently in FAILED"
            ),
        )
        stub.add_response("describe_events", {"OperationEvents": []})
        creates(stub)
        stub.add_response(
            "describe_change_set",
            settled(
                change(
                    "Storage",
                    "AWS::CloudFormation::Stack",
                    PhysicalResourceId=stack_id("child"),
                )
            ),
        )
        cleans_up(stub)
        cleans_up(stub)
        proposal = plan(aws)
    assert "refused to look into the nested stacks" in proposal.notes[0]
    assert [(c.name, c.kind) for c in proposal.dangers] == [
        ("Storage/Gone", ChangeKind.DELETE)
    ]


def test_another_failure_does_not_fall_back() -> None:
    with answering() as (aws, stub):
        runs(stub)
        stub.add_client_error("create_change_set", "ValidationError", "S3 error: no")
        with pytest.raises(Failure, match="S3 error"):
            plan(aws)


def test_unfounded_entries_of_an_unchanged_stack_are_left_out() -> None:
    """Recorded: a child fed by another child shows as replaced although nothing is."""
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            settled(
                change("Storage", "AWS::CloudFormation::Stack", ChangeSetId=STORAGE_SET)
            ),
        )
        stub.add_response(
            "describe_change_set",
            settled(
                change(
                    "Data",
                    "AWS::S3::Bucket",
                    Replacement="Conditional",
                    Details=[
                        {
                            "Target": {
                                "Attribute": "Properties",
                                "Name": "BucketName",
                                "RequiresRecreation": "Always",
                            },
                            "Evaluation": "Dynamic",
                            "ChangeSource": "ParameterReference",
                            "CausingEntity": "VpcId",
                        }
                    ],
                )
            ),
        )
        cleans_up(stub)
        proposal = plan(aws)
    assert proposal.dangers == []
    assert {c.certainty for c in proposal.changes} == {Certainty.UNFOUNDED}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("UPDATE_IN_PROGRESS", "events ENV --follow"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "events ENV --follow"),
        ("ROLLBACK_COMPLETE", "recover ENV"),
        ("UPDATE_ROLLBACK_FAILED", "recover ENV"),
        ("DELETE_FAILED", "recover ENV"),
    ],
)
def test_stack_that_cannot_be_updated_is_refused(status: str, remedy: str) -> None:
    with answering() as (aws, stub):
        stub.add_response("describe_stacks", described(NAME, status))
        with pytest.raises(Refused, match=remedy):
            plan(aws)


def test_change_set_is_deleted_after_an_interruption() -> None:
    """Ctrl-C while a plan is made leaves no change set behind."""
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set", {**settled(), "Status": "CREATE_PENDING"}
        )
        cleans_up(stub)

        def interrupt(_seconds: float) -> None:
            raise KeyboardInterrupt

        built = dist()
        interval = type(AT_ONCE)(0, 0, interrupt)
        with (
            pytest.raises(KeyboardInterrupt),
            proposed(
                aws,
                built,
                build_publication(built.files, PLACE),
                built.environment("dev"),
                interval=interval,
            ),
        ):
            pass


def test_quota_of_change_sets_is_warned_of() -> None:
    many = [
        {"ChangeSetId": f"arn:aws:cloudformation:::changeSet/{n}"} for n in range(900)
    ]
    with answering() as (aws, stub):
        runs(stub)
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set",
            settled(
                change(
                    "Storage",
                    "AWS::CloudFormation::Stack",
                    ChangeSetId=STORAGE_SET,
                    PhysicalResourceId=stack_id("child"),
                )
            ),
        )
        stub.add_response("describe_change_set", settled())
        stub.add_response("list_change_sets", {"Summaries": many})
        cleans_up(stub)
        assert "900 of 1000 change sets" in plan(aws).notes[0]


def test_only_parameters_of_the_environment_are_sent() -> None:
    """A default that a later release changes reaches who never chose otherwise."""
    with answering() as (aws, stub):
        runs(stub)
        creates(
            stub,
            IncludeNestedStacks=True,
            Parameters=[
                {"ParameterKey": "DeletionProtection", "ParameterValue": "false"},
                {"ParameterKey": "Size", "ParameterValue": "1"},
            ],
            Tags=[{"Key": "environment", "Value": "dev"}],
        )
        stub.add_response(
            "describe_change_set", failed("No updates are to be performed.")
        )
        cleans_up(stub)
        plan(aws)


def test_refused_update_creates_no_change_set() -> None:
    """Before anything starts: the only calls read."""
    older = {"Resources": {**STORAGE["Resources"], "Code": {"Type": "AWS::SNS::Topic"}}}
    with answering() as (aws, stub):
        runs(stub, older)
        with pytest.raises(Refused) as caught:
            plan(aws)
    (problem,) = caught.value.problems
    assert problem.where == "Storage/Code"
    assert "Update of resource type is not permitted" in problem.why
    assert "another logical ID" in problem.remedy
    assert "docs/refused-changes.md#resource-type" in problem.remedy


def test_stack_without_one_of_its_nested_stacks_is_refused() -> None:
    with answering() as (aws, stub):
        stub.add_response("describe_stacks", RUNNING)
        stub.add_response("get_template", body(old_parent(OLDER)))
        stub.add_response("list_stack_resources", {"StackResourceSummaries": []})
        with pytest.raises(Refused, match="nested stack Storage does not exist"):
            plan(aws)


def versioned(version: str) -> dict[str, Any]:
    parent = FILES["parent.template.json"]
    return {
        **FILES,
        "parent.template.json": {**parent, "Metadata": {"Version": version}},
    }


@pytest.mark.parametrize("version", ["0.1.0", "0.3.0"])
def test_another_version_of_the_templates_is_noted(version: str) -> None:
    files = dist(versioned(version)).files
    before = build_publication(files, PLACE).template("parent.template.json")
    with answering() as (aws, stub):
        stub.add_response("describe_stacks", RUNNING)
        stub.add_response("get_template", body(before))
        creates(stub, IncludeNestedStacks=True)
        stub.add_response(
            "describe_change_set", failed("No updates are to be performed.")
        )
        cleans_up(stub)
        (note,) = plan(aws, dist(versioned("0.2.0"))).notes
    assert f"runs version {version} of the templates; this is version 0.2.0" in note


@pytest.mark.parametrize("template", ['{"Resources": {}}', "Resources: {}"])
def test_stack_of_other_templates_is_refused(template: str) -> None:
    with answering() as (aws, stub):
        stub.add_response("describe_stacks", RUNNING)
        stub.add_response("get_template", {"TemplateBody": template})
        with pytest.raises(Refused, match="was not launched from these templates"):
            plan(aws, dist(versioned("0.2.0")))

"""Getting out of a bad state, and away: said first, and never silently."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
import pytest

from cli.errors import ExitCode, Failure, NotStarted, Refused, UsageError
from deploy import prompts
from deploy.destroy import (
    ROLE,
    VAULT,
    DeletionPlan,
    DestroyOptions,
    clean_up,
    destroy,
    empty_bucket,
    left_behind,
)
from deploy.inventory import StackResource
from deploy.recover import recover
from tests.deploy.fakes import (
    AT_ONCE,
    BEGINNING,
    FakeAws,
    described,
    dist,
    error,
    histories,
    nested,
    row,
    stack_id,
    template,
)

NAME = "airflow-dev"
STACK = "AWS::CloudFormation::Stack"
ALB_ARN = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/x/1"

RESOURCES = {
    stack_id(NAME): [("Storage", STACK, stack_id("sto"), "CREATE_COMPLETE")],
    stack_id("sto"): [
        ("Data", "AWS::S3::Bucket", "data-bucket", "CREATE_COMPLETE"),
        ("Log", "AWS::Logs::LogGroup", "/airflow/log", "CREATE_COMPLETE"),
        ("Cluster", "AWS::RDS::DBCluster", "the-cluster", "UPDATE_FAILED"),
        ("Login", "AWS::SecretsManager::Secret", "arn:secret", "CREATE_COMPLETE"),
        (
            "LoadBalancer",
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            ALB_ARN,
            "CREATE_COMPLETE",
        ),
    ],
}
TEMPLATES = {
    stack_id(NAME): template(Storage={"Type": STACK}),
    stack_id("sto"): template(
        Data={"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        Log={"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"},
        Cluster={"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "Snapshot"},
        Login={"Type": "AWS::SecretsManager::Secret", "DeletionPolicy": "Delete"},
        LoadBalancer={"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
    ),
}

CHANGING = (
    "delete_stack",
    "continue_update_rollback",
    "cancel_update_stack",
    "rollback_stack",
    "update_termination_protection",
    "modify_db_cluster",
    "modify_load_balancer_attributes",
    "delete_bucket",
    "delete_log_group",
)


def account(
    status: str = "UPDATE_COMPLETE",
    ends: str = "DELETE_COMPLETE",
    *,
    is_protected: bool = False,
    **more: Any,
) -> FakeAws:
    """An account with a stack that holds all kinds of things."""
    begun = [row(0, NAME, NAME, "CREATE_IN_PROGRESS")]
    aws = FakeAws(
        **{
            "describe_stacks": described(
                NAME, status, EnableTerminationProtection=is_protected
            ),
            "get_template": lambda StackName, **_r: {  # noqa: N803 - AWS's word
                "TemplateBody": TEMPLATES[StackName]
            },
            "list_stack_resources": lambda StackName: {  # noqa: N803 - AWS's word
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": logical_id,
                        "ResourceType": kind,
                        "PhysicalResourceId": physical_id,
                        "ResourceStatus": state,
                    }
                    for logical_id, kind, physical_id, state in RESOURCES[StackName]
                ]
            },
            "describe_db_clusters": {"DBClusters": [{"DeletionProtection": False}]},
            "describe_load_balancer_attributes": {"Attributes": []},
            "list_object_versions": {},
            **{name: {} for name in CHANGING},
            **more,
        }
    )

    def history(**options: Any) -> dict[str, Any]:
        done = [
            row(8, NAME, NAME, "DELETE_IN_PROGRESS"),
            row(9, NAME, NAME, ends),
        ]
        is_begun = set(CHANGING[:4]) & {name for name, _ in aws.requests}
        return histories(*begun, *(done if is_begun else ()))(**options)

    aws.answers.setdefault("describe_stack_events", history)
    return aws


def destroyed(aws: FakeAws, **wishes: Any) -> ExitCode:
    built = dist()
    return destroy(
        aws,
        built,
        built.environment("dev"),
        DestroyOptions(**{"yes": True, **wishes}),
        interval=AT_ONCE,
    )


def account_after_deletion(token: str) -> FakeAws:
    """An account whose stack is deleted, and whose retained resources are not."""
    gone = error("ValidationError", f"Stack with id {NAME} does not exist")
    deletion = row(9, NAME, NAME, "DELETE_IN_PROGRESS")
    return account(
        describe_stacks=gone,
        list_stacks={
            "StackSummaries": [
                {
                    "StackName": name,
                    "StackId": stack_id(name),
                    "CreationTime": BEGINNING + timedelta(days=day),
                }
                for day, name in enumerate((NAME, "airflow-other"))
            ]
        },
        head_bucket={},
        describe_log_groups={"logGroups": []},
        describe_stack_events=histories(
            row(0, NAME, NAME, "CREATE_IN_PROGRESS"),
            # An update has replaced it, long before.
            row(1, NAME, "Old", "DELETE_SKIPPED", physical_id="old-bucket"),
            {**deletion, "ClientRequestToken": token},
            nested(10, NAME, "Storage", "DELETE_COMPLETE", child="sto"),
            row(11, NAME, NAME, "DELETE_COMPLETE"),
            row(9, "sto", "sto", "DELETE_IN_PROGRESS"),
            row(10, "sto", "Data", "DELETE_SKIPPED", physical_id="data-bucket"),
            row(
                10,
                "sto",
                "Log",
                "DELETE_SKIPPED",
                type="AWS::Logs::LogGroup",
                physical_id="/airflow/log",
            ),
        ),
    )


def recovered(aws: FakeAws, **options: Any) -> ExitCode:
    built = dist()
    return recover(
        aws,
        built,
        built.environment("dev"),
        interval=AT_ONCE,
        **{"yes": True, **options},
    )


def done(aws: FakeAws) -> set[str]:
    """Return the operations that change something."""
    return {
        name
        for name, _ in aws.requests
        if not name.startswith(("describe_", "list_", "get_", "head_"))
    }


# destroy


def test_deleted_and_retained_resources_are_listed_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    destroyed(account(), deletes_data=False)
    output = capsys.readouterr().out
    deleted, _, rest = output.partition("Deleted after a final snapshot")
    assert "Storage/Login" in deleted
    assert "Storage/Cluster" in rest
    assert "Storage/Data  AWS::S3::Bucket  data-bucket  still billed" in rest


def test_nothing_is_deleted_without_a_decision_about_the_data() -> None:
    aws = account()
    with pytest.raises(Refused, match="--keep-data or --delete-data"):
        destroyed(aws)
    assert done(aws) == set()


def test_kept_data_stays(capsys: pytest.CaptureFixture[str]) -> None:
    aws = account()
    assert destroyed(aws, deletes_data=False) is ExitCode.OK
    assert done(aws) == {"delete_stack"}
    assert "stays: Storage/Data" in capsys.readouterr().out


def test_deleted_data_is_deleted_after_its_stack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    aws = account()
    assert destroyed(aws, deletes_data=True) is ExitCode.OK
    order = [name for name, _ in aws.requests if name.startswith("delete_")]
    assert order == ["delete_stack", "delete_bucket", "delete_log_group"]
    assert "the final snapshot of Storage/Cluster" in capsys.readouterr().out


def test_data_is_kept_when_the_stack_is_not_deleted() -> None:
    aws = account(ends="DELETE_FAILED")
    assert destroyed(aws, deletes_data=True) is ExitCode.FAILED
    assert "delete_bucket" not in done(aws)


PROTECTED: dict[str, Any] = {
    "describe_db_clusters": {"DBClusters": [{"DeletionProtection": True}]},
    "describe_load_balancer_attributes": {
        "Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]
    },
}


@pytest.mark.parametrize(
    "guard", [{"is_protected": True}, PROTECTED], ids=["stack", "resources"]
)
def test_yes_does_not_disable_protection(guard: dict[str, Any]) -> None:
    aws = account(**guard)
    with pytest.raises(Refused, match="--unprotect"):
        destroyed(aws, deletes_data=False)
    assert done(aws) == set()


def test_unprotect_disables_protection() -> None:
    aws = account(is_protected=True, **PROTECTED)
    destroyed(aws, deletes_data=False, unprotects=True)
    assert done(aws) == {
        "delete_stack",
        "modify_db_cluster",
        "modify_load_balancer_attributes",
        "update_termination_protection",
    }


def task(number: int, group: str) -> dict[str, str]:
    return {"taskArn": f"arn:task/airflow/{number}", "group": group}


def test_running_tasks_do_not_prevent_the_deletion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A protected worker would keep its service, and a command the cluster."""
    cluster = ("Tasks", "AWS::ECS::Cluster", "airflow", "CREATE_COMPLETE")
    monkeypatch.setitem(
        RESOURCES, stack_id("sto"), [*RESOURCES[stack_id("sto")], cluster]
    )
    tasks = [task(i, "service:workers") for i in range(12)]
    tasks += [task(12, "service:api-server"), task(13, "family:command")]
    arns = [entry["taskArn"] for entry in tasks]

    def protection(tasks: list[str], **_: Any) -> dict[str, Any]:
        return {
            "protectedTasks": [
                {"taskArn": arn, "protectionEnabled": arn in arns[5:12]}
                for arn in tasks
            ]
        }

    aws = account(
        list_tasks={"taskArns": arns},
        describe_tasks={"tasks": tasks},
        get_task_protection=protection,
        update_task_protection={},
        update_service={},
        stop_task={},
    )
    assert destroyed(aws, deletes_data=False) is ExitCode.OK
    ended = aws.parameters("update_task_protection")
    assert [arn for call in ended for arn in call["tasks"]] == arns[5:12]
    assert {call["protectionEnabled"] for call in ended} == {False}
    # ECS protects no more tasks than desired: a worker cannot renew its protection.
    assert [
        (call["service"], call["desiredCount"])
        for call in aws.parameters("update_service")
    ] == [("workers", 0)]
    assert [call["task"] for call in aws.parameters("stop_task")] == arns[13:]
    order = [name for name, _ in aws.requests]
    assert order.index("stop_task") < order.index("delete_stack")


def test_deletion_does_not_require_the_right_to_end_tasks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = ("Tasks", "AWS::ECS::Cluster", "airflow", "CREATE_COMPLETE")
    monkeypatch.setitem(
        RESOURCES, stack_id("sto"), [*RESOURCES[stack_id("sto")], cluster]
    )
    aws = account(list_tasks=error("AccessDeniedException", "not authorized"))
    assert destroyed(aws, deletes_data=False) is ExitCode.OK
    assert "Running tasks of Storage/Tasks were not ended" in capsys.readouterr().err


def test_deletion_needs_the_typed_name(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = account()
    monkeypatch.setattr(prompts, "is_possible", lambda: True)
    monkeypatch.setattr("click.prompt", lambda *_a, **_k: "airflow")
    with pytest.raises(Refused, match="Nothing was done"):
        destroyed(aws, deletes_data=True, yes=False)
    assert done(aws) == set()


def test_interruption_at_the_question_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_arguments: Any, **_options: Any) -> Any:
        raise click.Abort

    aws = account()
    monkeypatch.setattr(prompts, "is_possible", lambda: True)
    monkeypatch.setattr("click.prompt", interrupted)
    with pytest.raises(NotStarted, match="Nothing was done") as caught:
        destroyed(aws, deletes_data=True, yes=False)
    assert caught.value.exit_code is ExitCode.INTERRUPTED
    assert done(aws) == set()


def test_missing_stack_is_nothing_to_destroy() -> None:
    gone = error("ValidationError", f"Stack with id {NAME} does not exist")
    aws = account(describe_stacks=gone, list_stacks={"StackSummaries": []})
    assert destroyed(aws) is ExitCode.UNCHANGED


def test_interrupted_deletion_of_data_is_finished_by_the_next_destroy() -> None:
    """Ctrl-C while the stack went left its buckets, and the stack was gone."""
    before = account()
    destroyed(before, deletes_data=True)
    token = before.parameters("delete_stack")[0]["ClientRequestToken"]
    aws = account_after_deletion(token)
    assert destroyed(aws) is ExitCode.OK
    assert [p["Bucket"] for p in aws.parameters("delete_bucket")] == ["data-bucket"]
    assert "delete_log_group" not in done(aws), "it does not exist any more"


def test_data_that_was_kept_by_choice_is_only_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = account()
    destroyed(before, deletes_data=False)
    token = before.parameters("delete_stack")[0]["ClientRequestToken"]
    aws = account_after_deletion(token)
    assert destroyed(aws, deletes_data=True) is ExitCode.UNCHANGED
    assert "Storage/Data  AWS::S3::Bucket  data-bucket" in capsys.readouterr().out
    assert done(aws) == set()


def test_busy_stack_is_not_destroyed() -> None:
    aws = account("UPDATE_IN_PROGRESS")
    with pytest.raises(Refused):
        destroyed(aws, deletes_data=True)
    assert done(aws) == set()


def test_retain_takes_only_resources_whose_deletion_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = [("Storage", STACK, stack_id("sto"), "DELETE_FAILED")]
    monkeypatch.setitem(RESOURCES, stack_id(NAME), stuck)
    plain = account("DELETE_FAILED")
    destroyed(plain, deletes_data=False)
    assert "RetainResources" not in plain.parameters("delete_stack")[0]
    named = account("DELETE_FAILED")
    destroyed(named, deletes_data=False, retains=("Storage",))
    assert named.parameters("delete_stack")[0]["RetainResources"] == ["Storage"]
    with pytest.raises(UsageError, match="In the parent: Storage"):
        destroyed(account("DELETE_FAILED"), deletes_data=False, retains=("Network",))


def test_deletion_of_a_key_of_snapshots_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ("Key", "AWS::KMS::Key", "the-key", "CREATE_COMPLETE")
    monkeypatch.setitem(RESOURCES, stack_id("sto"), [*RESOURCES[stack_id("sto")], key])
    monkeypatch.setitem(
        TEMPLATES[stack_id("sto")]["Resources"],
        "Key",
        {"Type": "AWS::KMS::Key", "DeletionPolicy": "Retain"},
    )
    aws = account(schedule_key_deletion={})
    destroyed(aws, deletes_data=True)
    assert "the final snapshots are unreadable" in capsys.readouterr().err
    assert aws.parameters("schedule_key_deletion")[0]["PendingWindowInDays"] == 30


def test_every_version_is_deleted_page_by_page() -> None:
    left = [
        {"Versions": [{"Key": "a", "VersionId": "1"}, {"Key": "a", "VersionId": "2"}]},
        {"DeleteMarkers": [{"Key": "b", "VersionId": "3"}]},
        {},
    ]
    aws = FakeAws(list_object_versions=left, delete_objects={})
    empty_bucket(aws, "data-bucket")
    gone = [
        version["VersionId"]
        for request in aws.parameters("delete_objects")
        for version in request["Delete"]["Objects"]
    ]
    assert gone == ["1", "2", "3"]


def test_an_object_that_cannot_be_deleted_is_named() -> None:
    aws = FakeAws(
        list_object_versions={"Versions": [{"Key": "a", "VersionId": "1"}]},
        delete_objects={"Errors": [{"Key": "a", "Message": "locked"}]},
    )
    with pytest.raises(Failure, match="a stays: locked"):
        empty_bucket(aws, "data-bucket")


def test_resources_of_other_tools_in_the_vpc_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GuardDuty's endpoint and group make the deletion of the network fail."""
    network = [
        ("Vpc", "AWS::EC2::VPC", "vpc-1", "CREATE_COMPLETE"),
        ("S3", "AWS::EC2::VPCEndpoint", "vpce-own", "CREATE_COMPLETE"),
        ("Tasks", "AWS::EC2::SecurityGroup", "sg-own", "CREATE_COMPLETE"),
    ]
    monkeypatch.setitem(RESOURCES, stack_id("sto"), network)
    aws = account(
        describe_vpc_endpoints={
            "VpcEndpoints": [
                {"VpcEndpointId": "vpce-own", "ServiceName": "s3"},
                {"VpcEndpointId": "vpce-gone", "State": "deleted"},
                {"VpcEndpointId": "vpce-other", "ServiceName": "guardduty-data"},
            ]
        },
        describe_security_groups={
            "SecurityGroups": [
                {"GroupId": "sg-own", "GroupName": "tasks"},
                {"GroupId": "sg-default", "GroupName": "default"},
                {"GroupId": "sg-other", "GroupName": "GuardDutyManaged"},
            ]
        },
    )
    destroyed(aws, deletes_data=True)
    output = capsys.readouterr().out
    assert "vpce-other  guardduty-data" in output
    assert "aws ec2 delete-vpc-endpoints --vpc-endpoint-ids vpce-other" in output
    assert "aws ec2 delete-security-group --group-id sg-other" in output
    for identifier in ("vpce-own", "vpce-gone", "sg-own", "sg-default"):
        assert f"ids {identifier}" not in output
        assert f"group-id {identifier}" not in output


# recover


@pytest.mark.parametrize(
    ("status", "operation", "ends"),
    [
        ("ROLLBACK_COMPLETE", "delete_stack", "DELETE_COMPLETE"),
        ("ROLLBACK_FAILED", "delete_stack", "DELETE_COMPLETE"),
        ("CREATE_IN_PROGRESS", "delete_stack", "DELETE_COMPLETE"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "continue_update_rollback",
            "UPDATE_ROLLBACK_COMPLETE",
        ),
        ("UPDATE_FAILED", "rollback_stack", "UPDATE_ROLLBACK_COMPLETE"),
        ("UPDATE_IN_PROGRESS", "cancel_update_stack", "UPDATE_ROLLBACK_COMPLETE"),
    ],
)
def test_every_stuck_status_has_its_recovery(
    status: str, operation: str, ends: str
) -> None:
    aws = account(status, ends)
    assert recovered(aws) is ExitCode.OK
    assert done(aws) == {operation}


@pytest.mark.parametrize("agrees", [True, False])
def test_recovery_offers_to_delete_what_a_failed_launch_left(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    agrees: bool,
) -> None:
    """Nested stacks are gone by then: only their events know their bucket."""
    events = histories(
        row(0, NAME, NAME, "CREATE_IN_PROGRESS"),
        row(1, NAME, NAME, "ROLLBACK_IN_PROGRESS"),
        nested(3, NAME, "Storage", "DELETE_COMPLETE", child="sto"),
        row(4, NAME, NAME, "ROLLBACK_COMPLETE"),
        row(2, "sto", "sto", "DELETE_IN_PROGRESS"),
        row(3, "sto", "Data", "DELETE_SKIPPED", physical_id="data-bucket"),
        row(3, "sto", "sto", "DELETE_COMPLETE"),
        row(8, NAME, NAME, "DELETE_IN_PROGRESS"),
        row(9, NAME, NAME, "DELETE_COMPLETE"),
    )
    aws = account("ROLLBACK_COMPLETE", head_bucket={})
    usual = aws.answers["describe_stack_events"]

    def history(**options: Any) -> Any:
        return (events if done(aws) else usual)(**options)

    aws.answers["describe_stack_events"] = history
    monkeypatch.setattr(prompts, "agrees", lambda _question: agrees)
    assert recovered(aws) is ExitCode.OK
    output = capsys.readouterr()
    assert "Storage/Data  AWS::S3::Bucket  data-bucket" in output.err
    deleted = [p["Bucket"] for p in aws.parameters("delete_bucket")]
    assert deleted == (["data-bucket"] if agrees else [])
    assert ("build.py destroy ENV --delete-data" in output.err) is not agrees


def test_what_a_failed_launch_left_is_deleted_by_destroy() -> None:
    """`recover --yes` leaves it: nothing is deleted without an answer."""
    assert destroyed(account_after_deletion("")) is ExitCode.UNCHANGED
    aws = account_after_deletion("")
    assert destroyed(aws, deletes_data=True) is ExitCode.OK
    assert [p["Bucket"] for p in aws.parameters("delete_bucket")] == ["data-bucket"]


@pytest.mark.parametrize("ran", [True, False])
def test_final_snapshots_of_a_failed_launch_are_deleted_and_no_others(
    *, ran: bool
) -> None:
    """The creation of a stack that ran has ended: its snapshots hold data."""
    cluster = {"physical_id": "airflow-dev-cluster-1x", "type": "AWS::RDS::DBCluster"}
    aws = FakeAws(
        describe_stack_events=histories(
            row(0, NAME, NAME, "CREATE_IN_PROGRESS"),
            row(1, NAME, NAME, "CREATE_COMPLETE" if ran else "ROLLBACK_IN_PROGRESS"),
            row(2, NAME, NAME, "DELETE_IN_PROGRESS"),
            nested(4, NAME, "Database", "DELETE_COMPLETE", child="dat"),
            row(5, NAME, NAME, "DELETE_COMPLETE"),
            row(2, "dat", "dat", "DELETE_IN_PROGRESS"),
            row(3, "dat", "Cluster", "DELETE_COMPLETE", **cluster),
            row(4, "dat", "dat", "DELETE_COMPLETE"),
        ),
        describe_db_cluster_snapshots={
            "DBClusterSnapshots": [
                {
                    "DBClusterIdentifier": identifier,
                    "DBClusterSnapshotIdentifier": f"{identifier}-final",
                }
                for identifier in ("airflow-dev-cluster-1x", "airflow-dev-other")
            ]
        },
        delete_db_cluster_snapshot={},
    )
    left = tuple(left_behind(aws, stack_id(NAME)))
    assert clean_up(aws, DeletionPlan(retained=left), deletes_data=True) is ExitCode.OK
    assert aws.parameters("delete_db_cluster_snapshot") == [
        {"DBClusterSnapshotIdentifier": "airflow-dev-cluster-1x-final"}
    ] * (not ran)


@pytest.mark.parametrize("is_full", [True, False])
def test_backup_role_stays_with_its_vault(*, is_full: bool) -> None:
    """AWS Backup deletes an expired copy with the role that made it."""
    points = error("InvalidRequestException", "The vault has recovery points.")
    aws = FakeAws(
        delete_backup_vault=points if is_full else {},
        list_attached_role_policies={"AttachedPolicies": [{"PolicyArn": "arn:p"}]},
        detach_role_policy={},
        delete_role={},
    )
    resources = [
        StackResource(
            (), "", logical_id, logical_id, kind, "", deletion_policy="Retain"
        )
        for logical_id, kind in (("Role", ROLE), ("Vault", VAULT))
    ]
    code = clean_up(aws, DeletionPlan(retained=tuple(resources)), deletes_data=True)
    assert code is (ExitCode.FAILED if is_full else ExitCode.OK)
    assert len(aws.parameters("delete_role")) == (not is_full)


def test_role_that_is_gone_already_is_no_failure() -> None:
    aws = FakeAws(
        list_attached_role_policies=error(
            "NoSuchEntity", "The role with name Role cannot be found."
        )
    )
    role = StackResource((), "", "Role", "Role", ROLE, "", deletion_policy="Retain")
    code = clean_up(aws, DeletionPlan(retained=(role,)), deletes_data=True)
    assert code is ExitCode.OK


def test_recovery_prints_what_will_happen(capsys: pytest.CaptureFixture[str]) -> None:
    aws = account("ROLLBACK_COMPLETE")
    with pytest.raises(Refused, match="not a terminal"):
        recovered(aws, yes=False)
    assert done(aws) == set()
    output = capsys.readouterr().err
    assert "It never ran, so it is deleted." in output
    assert "stays: Storage/Data  data-bucket" in output


def test_skipped_resource_has_the_name_that_cloudformation_expects() -> None:
    """ResourcesToSkip takes the real name of the nested stack, not its logical ID."""
    aws = account("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE")
    recovered(aws, skip=["Storage/Cluster"])
    parameters = aws.parameters("continue_update_rollback")[0]
    assert parameters["ResourcesToSkip"] == ["sto.Cluster"]


def test_only_failed_resources_can_be_skipped() -> None:
    aws = account("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(UsageError, match="These failed: Storage/Cluster"):
        recovered(aws, skip=["Storage/Data"])
    assert done(aws) == set()


def test_a_healthy_stack_needs_no_recovery() -> None:
    assert recovered(account("UPDATE_COMPLETE")) is ExitCode.UNCHANGED


@pytest.mark.parametrize(
    "status", ["UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_FAILED"]
)
def test_uninterruptible_operation_is_refused(status: str) -> None:
    aws = account(status)
    with pytest.raises(Refused):
        recovered(aws)
    assert done(aws) == set()


def test_empty_stack_is_deleted_without_following() -> None:
    aws = account("REVIEW_IN_PROGRESS")
    assert recovered(aws) is ExitCode.OK
    assert done(aws) == {"delete_stack"}


def test_failed_recovery_prints_the_cause(capsys: pytest.CaptureFixture[str]) -> None:
    aws = account("UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED")
    assert recovered(aws) is ExitCode.FAILED
    assert "recover" in capsys.readouterr().out


def test_a_protected_stack_is_not_deleted_by_a_recovery() -> None:
    aws = account("ROLLBACK_COMPLETE", is_protected=True)
    with pytest.raises(Refused, match="--unprotect"):
        recovered(aws)
    assert done(aws) == set()

"""What the roles may do: no more than the table says, and only for whom it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fargate_runtime import contract
from templates.airflow.components import (
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    COMPONENTS,
    DAG_PROCESSOR,
    FLOWER,
    MIGRATION,
    SCHEDULER,
    TRIGGERER,
    WORKER,
    AnyComponent,
)
from tests.templates.tasks import PAGES, host, page_of, resolved, statements

ARCHIVE = ("s3:GetObject", "arn:aws:s3:::given-RuntimeBucket/given-RuntimeKey")
LOG_BUCKET = "arn:aws:s3:::given-LogBucketName"
DAG_BUCKET = "arn:aws:s3:::given-DagBucketName"
KEY = "given-KeyArn"
TASKS = "arn:aws:ecs:eu-central-1:123456789012:task/given-ClusterName/*"

READS_DAGS = {
    ("s3:ListBucket", DAG_BUCKET),
    ("s3:GetObject", f"{DAG_BUCKET}/*"),
    ("kms:Decrypt", KEY),
}
READS_LOGS = {
    ("s3:ListBucket", LOG_BUCKET),
    ("s3:GetObject", f"{LOG_BUCKET}/logs/*"),
    ("kms:Decrypt", KEY),
}
WRITES_LOGS = {("s3:PutObject", f"{LOG_BUCKET}/logs/*"), ("kms:GenerateDataKey", KEY)}
SERVICES_OF_ECS = "arn:aws:ecs:eu-central-1:123456789012:service/given-ClusterName/*"
SCALES = {
    ("cloudwatch:PutMetricData", "*"),
    ("ecs:ListServices", "*"),
    ("ecs:DescribeServices", SERVICES_OF_ECS),
}
PROTECTS = {("ecs:UpdateTaskProtection", TASKS)}

MAY = {
    API_SERVER: READS_LOGS,
    # One role for both containers of the task.
    SCHEDULER: SCALES,
    AUTOSCALER: SCALES,
    DAG_PROCESSOR: READS_DAGS,
    TRIGGERER: READS_LOGS | WRITES_LOGS,
    WORKER: READS_DAGS | READS_LOGS | WRITES_LOGS | PROTECTS,
    FLOWER: set(),
    MIGRATION: set(),
    COMMAND: READS_DAGS,
}

EXEC = {"EnableExecuteCommand": "true"}
EXTRAS = {"ExtraPolicyArns": "arn:a,arn:b"}

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)


def pairs(found: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(a, r) for s in found for a in s["Action"] for r in s["Resource"]}


def every_statement(**changes: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for page in PAGES:
        for name, resource in resolved(page, **changes).resources.items():
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                    yield f"{page}.{name}", statement


@each_component
def test_code_in_a_task_may_do_exactly_this(component: AnyComponent) -> None:
    assert pairs(statements(component, "Task")) == {ARCHIVE} | MAY[component]


@each_component
def test_fargate_starts_a_task_with_its_own_log_and_image_only(
    component: AnyComponent,
) -> None:
    may = {
        (action, resource)
        for action, resource in pairs(statements(component, "Execution"))
        if not action.startswith("secretsmanager:")
    }
    repositories = "arn:aws:ecr:eu-central-1:*:repository/*"
    log = f"<{page_of(component)}.{host(component).title}Log.Arn>"
    assert may == {
        ("ecr:GetAuthorizationToken", "*"),
        ("ecr:BatchCheckLayerAvailability", repositories),
        ("ecr:BatchGetImage", repositories),
        ("ecr:GetDownloadUrlForLayer", repositories),
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
        ("kms:Decrypt", KEY),
    }


def test_code_in_a_task_reads_no_secret() -> None:
    # Control 103: in a worker it is the DAG authors' code, and a secret of another
    # component would be one call away.
    for component in COMPONENTS:
        for action, _ in pairs(statements(component, "Task")):
            assert not action.startswith("secretsmanager:"), component.name


def test_nothing_is_allowed_on_everything_but_what_has_no_resource() -> None:
    # Control 129.
    for place, statement in every_statement(**EXEC):
        if "*" in statement["Resource"]:
            for action in statement["Action"]:
                assert re.fullmatch(
                    r"ecr:GetAuthorizationToken|ssmmessages:\w+", action
                ) or narrowed(statement), f"{place}: {action}"


def narrowed(statement: dict[str, Any]) -> bool:
    """Whether a statement without a resource is bound by the condition that we want."""
    bonds = {
        "cloudwatch:PutMetricData": {
            "StringEquals": {"cloudwatch:namespace": contract.METRIC_NAMESPACE}
        },
        "ecs:ListServices": {"ArnEquals": {"ecs:cluster": "given-ClusterArn"}},
    }
    (action,) = statement["Action"]
    return bool(statement.get("Condition") == bonds.get(action, "nothing"))


def test_the_autoscaler_sees_the_services_of_its_own_cluster() -> None:
    for statement in statements(AUTOSCALER, "Task"):
        if any(action.startswith("ecs:") for action in statement["Action"]):
            bond = {"ArnEquals": {"ecs:cluster": "given-ClusterArn"}}
            assert statement["Condition"] == bond


def test_the_key_opens_for_a_service_or_a_session_and_not_by_hand() -> None:
    # Control 128: without a condition, whoever gets a ciphertext of any service of
    # this stack could decrypt it.
    for place, statement in every_statement(**EXEC):
        if any(action.startswith("kms:") for action in statement["Action"]):
            assert statement["Resource"] == [KEY], place
            (test,) = statement["Condition"].values()
            assert test in (
                {"kms:ViaService": "s3.eu-central-1.amazonaws.com"},
                {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
                {"kms:EncryptionContext:aws:ssm:TargetId": "ecs:given-ClusterName_*"},
            ), place


def test_the_gate_can_run_its_own_task_and_pass_its_two_roles() -> None:
    resources = resolved("Migration").resources
    policy = resources["MigrationFunctionPolicy"]["Properties"]["PolicyDocument"][
        "Statement"
    ]
    ours = {action: s for s in policy for action in s["Action"]}
    in_cluster = {"ArnEquals": {"ecs:cluster": "given-ClusterArn"}}
    assert ours["ecs:RunTask"]["Resource"] == ["<Migration.MigrationDefinition>"]
    assert ours["ecs:RunTask"]["Condition"] == in_cluster
    assert ours["ecs:StopTask"]["Condition"] == in_cluster
    assert ours["iam:PassRole"]["Resource"] == [
        "<Migration.MigrationExecutionRole.Arn>",
        "<Migration.MigrationTaskRole.Arn>",
    ]
    assert ours["iam:PassRole"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }
    assert ours["logs:GetLogEvents"]["Resource"] == ["<Migration.MigrationLog.Arn>"]
    # Its own stack alone, to see whether that rolls back.
    (stack,) = ours["cloudformation:DescribeStacks"]["Resource"]
    assert stack.split(":")[5].startswith("stack/airflow-Migration-")
    assert ours.keys() == {
        *("ecs:RunTask", "ecs:DescribeTasks", "ecs:StopTask"),
        *("iam:PassRole", "logs:GetLogEvents", "cloudformation:DescribeStacks"),
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }


def attached(component: AnyComponent, role: str, **changes: str) -> list[str]:
    resources = resolved(page_of(component), **changes).resources
    made = resources[f"{host(component).title}{role}Role"]["Properties"]
    found: list[str] = made["ManagedPolicyArns"]
    return found


@each_component
@pytest.mark.parametrize("changes", [{}, EXEC, EXTRAS, EXEC | EXTRAS])
def test_a_role_carries_its_own_policy_and_what_a_switch_adds(
    component: AnyComponent, changes: dict[str, str]
) -> None:
    page = page_of(component)
    component = host(component)
    expected = [f"<{page}.{component.title}TaskPolicy>"]
    if component.is_service and changes.get("EnableExecuteCommand"):
        expected.append(f"<{page}.ExecPolicy>")
    if component in {WORKER, DAG_PROCESSOR, TRIGGERER} and "ExtraPolicyArns" in (
        changes
    ):
        expected += ["arn:a", "arn:b"]
    assert attached(component, "Task", **changes) == expected
    execution = f"<{page}.{component.title}ExecutionPolicy>"
    assert attached(component, "Execution", **changes) == [execution]


def test_a_shell_is_recorded_where_the_cluster_says() -> None:
    # Control 86. Without the switch there is no such policy at all.
    assert "ExecPolicy" not in resolved("Workers").resources
    policy = resolved("Workers", **EXEC).resources["ExecPolicy"]["Properties"]
    writing = [
        s
        for s in policy["PolicyDocument"]["Statement"]
        if "logs:PutLogEvents" in s["Action"]
    ]
    group = "log-group:given-ClusterExecLogGroupName:*"
    assert [s["Resource"] for s in writing] == [
        [f"arn:aws:logs:eu-central-1:123456789012:{group}"]
    ]


def roles(**changes: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for page in PAGES:
        for name, resource in resolved(page, **changes).resources.items():
            if resource["Type"] == "AWS::IAM::Role":
                yield f"{page}.{name}", resource["Properties"]


def test_a_role_is_assumed_for_this_account_alone() -> None:
    # Control 123, the confused deputy. Lambda documents the account only.
    for place, role in roles():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": "123456789012"}, place
        if statement["Principal"]["Service"] == "ecs-tasks.amazonaws.com":
            arn = "arn:aws:ecs:eu-central-1:123456789012:*"
            assert condition["ArnLike"] == {"aws:SourceArn": arn}, place
        else:
            assert place == "Migration.MigrationFunctionRole"


def test_the_operators_boundary_is_around_every_role() -> None:
    boundary = "arn:aws:iam::123456789012:policy/edge"
    for place, role in roles(PermissionsBoundaryArn=boundary):
        assert role["PermissionsBoundary"] == boundary, place
    for place, role in roles():
        assert "PermissionsBoundary" not in role, place


def test_a_policy_fits_into_what_iam_stores() -> None:
    # 6,144 characters a managed policy; ARNs of 128 and more stand for the symbols.
    for page in PAGES:
        for name, resource in resolved(page, **EXEC).resources.items():
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                text = json.dumps(resource["Properties"]["PolicyDocument"])
                longest = re.sub(r"<[^>]*>|given-\w+", "x" * 140, text)
                assert len(re.sub(r"\s", "", longest)) < 6144, name

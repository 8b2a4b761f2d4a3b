"""Permissions of the roles: exactly those of the table, for its components only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.dist import ASSETS
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
    VERIFICATION,
    WORKER,
    AnyComponent,
    Secret,
    containers_of,
)
from tests.templates.tasks import (
    TEMPLATES,
    environment,
    host,
    resolved,
    service,
    statements,
    template_of,
)

ARCHIVE = ("s3:GetObject", f"arn:aws:s3:::given-RuntimeBucket/{ASSETS}*")
"""Every version of it: a task of the older revision may start during an update."""

LOG_BUCKET = "arn:aws:s3:::given-LogBucketName"
DAG_BUCKET = "arn:aws:s3:::given-DagBucketName"
RELEASE_BUCKET = "arn:aws:s3:::given-ReleaseBucketName"
KEY = "given-KeyArn"
TASKS = "arn:aws:ecs:eu-central-1:123456789012:task/given-ClusterName/*"

READS_DAGS = {
    ("s3:ListBucket", DAG_BUCKET),
    ("s3:GetObject", f"{DAG_BUCKET}/*"),
    ("s3:ListBucket", RELEASE_BUCKET),
    ("s3:GetObject", f"{RELEASE_BUCKET}/*"),
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
    ("ecs:DescribeTasks", TASKS),
}
RELAYS = {
    ("s3:ListBucket", LOG_BUCKET),
    ("s3:GetObject", f"{LOG_BUCKET}/verification/*"),
    ("s3:PutObject", f"{LOG_BUCKET}/verification/*"),
    ("kms:Decrypt", KEY),
    ("kms:GenerateDataKey", KEY),
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
    VERIFICATION: RELAYS,
}

SECRETS = {"SecretsPrefix": "team/airflow"}
BELOW = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/airflow"
READS_SECRETS = {
    ("secretsmanager:GetSecretValue", f"{BELOW}/connections/*"),
    ("secretsmanager:GetSecretValue", f"{BELOW}/variables/*"),
    ("kms:Decrypt", KEY),
}

EXEC = {"EnableExecuteCommand": "true"}
EXTRAS = {
    # The workers' stack gets those of its pool.
    "ExtraPolicyArns": "arn:a,arn:b",
    "PermissionsExtraPolicyArns": "arn:a,arn:b",
}
LAKE = "arn:aws:iam::111122223333:role/Lake"
ROLES = {"AssumableRoleArns": LAKE, "PermissionsAssumableRoleArns": LAKE}
NO_ENTRY = dict.fromkeys((*EXTRAS, *ROLES), "none")
"""What a pool says that replaces the environment's lists by nothing."""
IN_ECR = {"Image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/airflow:1"}
FERNET = {"ExistingFernetSecretArn": "arn:of-the-operator"}

each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)


def pairs(policy: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(a, r) for s in policy for a in s["Action"] for r in s["Resource"]}


def every_statement(**changes: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for template in TEMPLATES:
        for name, resource in resolved(template, **changes).resources.items():
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                    yield f"{template}.{name}", statement


@each_component
def test_task_roles_have_exactly_these_permissions(component: AnyComponent) -> None:
    assert pairs(statements(component, "Task")) == {ARCHIVE} | MAY[component]


@each_component
def test_execution_roles_have_exactly_these_permissions(
    component: AnyComponent,
) -> None:
    may = {
        (action, resource)
        for action, resource in pairs(statements(component, "Execution"))
        if not action.startswith("secretsmanager:")
    }
    log = f"<{template_of(component)}.{host(component).title}Log.Arn>"
    assert may == {
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
        ("kms:Decrypt", KEY),
    }


def test_task_roles_read_no_secrets() -> None:
    # Control 103: in a worker it is the DAG authors' code, and a secret of another
    # component would be one call away.
    for component in COMPONENTS:
        for action, _ in pairs(statements(component, "Task")):
            assert not action.startswith("secretsmanager:"), component.name


@pytest.mark.parametrize(
    ("changes", "readers"),
    [
        ({}, set()),
        ({"EnableSecretsAtParsing": "true"}, set()),
        (SECRETS, {API_SERVER}),
        (
            {**SECRETS, "EnableSecretsAtParsing": "true"},
            {API_SERVER, DAG_PROCESSOR, TRIGGERER},
        ),
    ],
)
def test_secrets_are_read_below_the_prefix_only(
    changes: dict[str, str], readers: set[AnyComponent]
) -> None:
    policy = "<AirflowServices.SecretsPolicy>"
    assert readers == {
        component
        for component in COMPONENTS
        if policy in attached(component, "Task", **changes)
    }
    for component in COMPONENTS:
        assert policy not in attached(component, "Execution", **changes)
    resources = resolved("AirflowServices", **changes).resources
    if readers:
        document = resources["SecretsPolicy"]["Properties"]["PolicyDocument"]
        assert pairs(document["Statement"]) == READS_SECRETS
    else:
        assert "SecretsPolicy" not in resources


def test_components_that_may_read_secrets_know_the_prefix() -> None:
    for component in COMPONENTS:
        variables = environment(component, **SECRETS)
        switch = variables.get("ENABLE_SECRETS_AT_PARSING")
        if component is API_SERVER:
            assert variables["SECRETS_PREFIX"] == "team/airflow"
            assert switch is None
        elif component in {DAG_PROCESSOR, TRIGGERER}:
            assert switch == "false"
        else:
            assert "SECRETS_PREFIX" not in variables


def test_the_autoscaler_reads_services_of_its_own_cluster() -> None:
    for statement in statements(AUTOSCALER, "Task"):
        if any(action.startswith("ecs:") for action in statement["Action"]):
            condition = {"ArnEquals": {"ecs:cluster": "given-ClusterArn"}}
            assert statement["Condition"] == condition


def test_the_relay_lists_its_own_prefix_only() -> None:
    (statement,) = (
        statement
        for statement in statements(VERIFICATION, "Task")
        if "s3:ListBucket" in statement["Action"]
    )
    assert statement["Condition"] == {"StringLike": {"s3:prefix": "verification/*"}}


def test_workers_protect_tasks_of_their_own_pool_only() -> None:
    # DAG code has this role: it could unprotect the workers of another pool, or protect
    # the tasks of a service for two days and so stop its deployments.
    (statement,) = (
        s
        for s in statements(WORKER, "Task")
        if "ecs:UpdateTaskProtection" in s["Action"]
    )
    assert statement["Condition"] == {
        "ArnEquals": {"ecs:cluster": "given-ClusterArn"},
        "StringEquals": {"aws:ResourceTag/airflow:pool": "given-PoolName"},
    }
    assert service(WORKER)["Tags"] == [
        {"Key": "airflow:pool", "Value": "given-PoolName"}
    ]
    assert service(WORKER)["PropagateTags"] == "SERVICE"


def test_the_kms_key_is_used_only_via_services_or_sessions() -> None:
    # Control 128: without a condition, the role could decrypt any ciphertext of
    # this stack.
    for place, statement in every_statement(**EXEC):
        if any(action.startswith("kms:") for action in statement["Action"]):
            assert statement["Resource"] == [KEY], place
            (test,) = statement["Condition"].values()
            assert test in (
                {"kms:ViaService": "s3.eu-central-1.amazonaws.com"},
                {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
                {"kms:EncryptionContext:aws:ssm:TargetId": "ecs:given-ClusterName_*"},
            ), place


def test_the_migration_function_runs_only_its_own_task() -> None:
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
    resources = resolved(template_of(component), **changes).resources
    properties = resources[f"{host(component).title}{role}Role"]["Properties"]
    arns: list[str] = properties["ManagedPolicyArns"]
    return arns


@each_component
@pytest.mark.parametrize(
    "changes",
    [
        *({}, EXEC, EXTRAS, ROLES, NO_ENTRY, FERNET),
        EXEC | EXTRAS | ROLES | IN_ECR | FERNET,
    ],
)
def test_roles_have_their_own_policy_and_optional_ones(
    component: AnyComponent, changes: dict[str, str]
) -> None:
    template = template_of(component)
    component = host(component)
    expected = [f"<{template}.{component.title}TaskPolicy>"]
    if component.is_service and changes.get("EnableExecuteCommand"):
        expected.append(f"<{template}.ExecPolicy>")
    if component in {WORKER, DAG_PROCESSOR, TRIGGERER}:
        if changes.get("AssumableRoleArns") == LAKE:
            expected.append(f"<{template}.AssumePolicy>")
        if changes.get("ExtraPolicyArns") == "arn:a,arn:b":
            expected += ["arn:a", "arn:b"]
    assert attached(component, "Task", **changes) == expected
    execution = [f"<{template}.{component.title}ExecutionPolicy>"]
    if changes.get("Image"):
        execution.append(f"<{template}.PullPolicy>")
    if changes.get("ExistingFernetSecretArn") and any(
        Secret.FERNET in each.secrets for each in containers_of(component)
    ):
        execution.append(f"<{template}.FernetPolicy>")
    assert attached(component, "Execution", **changes) == execution


@pytest.mark.parametrize("template", ["Workers", "AirflowServices"])
def test_roles_are_assumed_by_their_exact_arns(template: str) -> None:
    assert "AssumePolicy" not in resolved(template).resources
    policy = resolved(template, **ROLES).resources["AssumePolicy"]["Properties"]
    assert pairs(policy["PolicyDocument"]["Statement"]) == {("sts:AssumeRole", LAKE)}


def test_images_are_pulled_from_their_own_repository_only() -> None:
    # Of Docker Hub there is no such policy at all.
    assert "PullPolicy" not in resolved("Workers").resources
    policy = resolved("Workers", **IN_ECR).resources["PullPolicy"]["Properties"]
    repository = "arn:aws:ecr:eu-central-1:111122223333:repository/team/airflow"
    assert pairs(policy["PolicyDocument"]["Statement"]) == {
        ("ecr:GetAuthorizationToken", "*"),
        ("ecr:BatchCheckLayerAvailability", repository),
        ("ecr:BatchGetImage", repository),
        ("ecr:GetDownloadUrlForLayer", repository),
        ("ecr:BatchImportUpstreamImage", repository),
        ("ecr:CreateRepository", repository),
    }


def test_existing_fernet_secret_is_decrypted_and_no_other() -> None:
    # Its key is another environment's, on which the account's policies decide.
    assert "FernetPolicy" not in resolved("Workers").resources
    policy = resolved("Workers", **FERNET).resources["FernetPolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["kms:Decrypt"]
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
        "ArnEquals": {
            "kms:EncryptionContext:SecretARN": FERNET["ExistingFernetSecretArn"]
        },
    }


def test_exec_sessions_are_logged_to_the_clusters_log_group() -> None:
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


def test_policies_fit_iam_size_limits() -> None:
    # 6,144 characters a managed policy; ARNs of 128 and more stand for the symbols.
    for template in TEMPLATES:
        for name, resource in resolved(template, **EXEC).resources.items():
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                text = json.dumps(resource["Properties"]["PolicyDocument"])
                longest = re.sub(r"<[^>]*>|given-\w+", "x" * 140, text)
                assert len(re.sub(r"\s", "", longest)) < 6144, name

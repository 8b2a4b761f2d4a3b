"""The migration job: what it runs, what starts it anew, and what waits for it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from compiler.references import references
from fargate_runtime import contract
from fargate_runtime.migration import custom_resource
from templates.airflow.components import COMPONENTS, MIGRATION
from tests.templates.tasks import container, document, environment, page_of, resolved

RESOURCES = document("Migration")["Resources"]
GATE = RESOURCES["Migration"]["Properties"]


def test_the_function_is_told_all_that_it_needs() -> None:
    gate = resolved("Migration").resources["Migration"]["Properties"]
    assert gate == {
        "ServiceToken": "<Migration.GateFunction.Arn>",
        "ServiceTimeout": 3600,
        "Cluster": "given-ClusterArn",
        "TaskDefinition": "<Migration.MigrationDefinition>",
        "Container": "migration",
        "Subnets": ["subnet-1", "subnet-2"],
        "SecurityGroup": "given-MigrationGroupId",
        "LogGroup": "<Migration.MigrationLog>",
        "LogStreamPrefix": "migration",
        "Version": "given-RuntimeImage given-RuntimeSha256",
    }
    assert gate["Container"] == container(MIGRATION)["Name"]
    options = container(MIGRATION)["LogConfiguration"]["Options"]
    assert gate["LogGroup"] == options["awslogs-group"]
    assert gate["LogStreamPrefix"] == options["awslogs-stream-prefix"]


def test_the_function_finds_what_it_is_told() -> None:
    told = resolved("Migration").resources["Migration"]["Properties"]
    asked: dict[str, Any] = {}

    def run_task(**given: Any) -> dict[str, Any]:
        asked.update(given)
        return {"tasks": [{"taskArn": "arn:aws:ecs:r:1:task/airflow/f00"}]}

    request = dict.fromkeys(("StackId", "LogicalResourceId", "RequestId"), "x")
    clients = cast(
        "custom_resource.AwsClients",
        SimpleNamespace(ecs=SimpleNamespace(run_task=run_task)),
    )
    task = custom_resource.start(request, told, clients)
    assert asked["cluster"] == "given-ClusterArn"
    assert asked["taskDefinition"] == "<Migration.MigrationDefinition>"
    assert asked["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["given-MigrationGroupId"],
        "assignPublicIp": "DISABLED",
    }
    # As the awslogs driver names it: prefix, container, task.
    assert custom_resource.log_stream(task, told) == "migration/migration/f00"
    assert told["ServiceTimeout"] > contract.MIGRATION_LIMIT_SECONDS


def test_the_function_may_do_exactly_what_it_does() -> None:
    # Least privilege, both ways: a right too few is a gate that never opens.
    services = {
        "ecs": "ecs",
        "logs": "logs",
        "functions": "lambda",
        "stacks": "cloudformation",
    }
    source = Path(custom_resource.__file__).read_text()
    does = {
        f"{services[client]}:{call.title().replace('_', '')}"
        for client, call in re.findall(r"clients\.(\w+)\.(\w+)\(", source)
    }
    does = {a.replace("lambda:Invoke", "lambda:InvokeFunction") for a in does}
    may = {
        action
        for name in ("GatePolicy", "MigrationFunctionInvokePolicy")
        for s in RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"]
        for action in s["Action"]
    }
    own_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert may == does | own_log | {"iam:PassRole"}


def test_a_new_image_runtime_secret_or_setting_runs_the_gate_again() -> None:
    # CloudFormation calls a custom resource when a property changes, and a task
    # definition with anything new in it is a new ARN.
    assert ("MigrationDefinition", "") in set(references(GATE["TaskDefinition"]))
    read = {name for name, _ in references(RESOURCES["MigrationDefinition"])}
    assert read >= {
        *("RuntimeImage", "RuntimeSha256", "WorkerSlots", "DatabaseHost"),
        *("DatabaseAdminSecretArn", "DatabaseAirflowSecretArn"),
        *("DatabaseResultsSecretArn", "AdminSecretArn", "KeysFernetSecretArn"),
    }


def test_the_gate_waits_for_every_right_of_its_function() -> None:
    # A right that comes a second late is a launch that fails once in ten.
    assert RESOURCES["Migration"]["DependsOn"] == "MigrationFunctionInvokePolicy"
    again = RESOURCES["MigrationFunctionInvokePolicy"]["Properties"]
    assert again["Roles"] == [{"Ref": "GateRole"}]
    (statement,) = again["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["lambda:InvokeFunction"]
    assert statement["Resource"] == [{"Fn::GetAtt": ["MigrationFunction", "Arn"]}]


def test_the_function_is_the_runtime_that_the_containers_start_from() -> None:
    function = resolved("Migration").resources["MigrationFunction"]["Properties"]
    assert function["Code"] == {
        "S3Bucket": environment(MIGRATION)["RUNTIME_BUCKET"],
        "S3Key": environment(MIGRATION)["RUNTIME_KEY"],
    }
    assert function["Handler"] == "fargate_runtime.migration.custom_resource.handler"
    assert function["Runtime"] == "python3.13"
    assert function["LoggingConfig"] == {"LogGroup": "<Migration.GateLog>"}


def test_the_function_holds_no_secret_and_no_way_into_the_network() -> None:
    # It starts a task and reads a log. What it does not have, nobody takes from it.
    function = resolved("Migration").resources["MigrationFunction"]["Properties"]
    assert not function.keys() & {"Environment", "VpcConfig"}
    for name in ("GatePolicy", "MigrationFunctionInvokePolicy"):
        assert "secretsmanager" not in str(RESOURCES[name])


def test_a_launch_in_a_young_account_does_not_fail_for_want_of_concurrency() -> None:
    # Ten executions at once are all that such an account has, and Lambda refuses to
    # reserve one of them.
    assert (
        "ReservedConcurrentExecutions"
        not in RESOURCES["MigrationFunction"]["Properties"]
    )


def test_no_service_starts_before_its_version_has_passed() -> None:
    # B5: each takes the output of this stack, so CloudFormation orders them.
    assert resolved("Migration").outputs["Version"] == GATE_VERSION
    for component in COMPONENTS:
        if page_of(component) != "Migration":
            assert (
                environment(component)["MIGRATION_VERSION"] == "given-MigrationVersion"
            )


GATE_VERSION = "given-RuntimeImage given-RuntimeSha256"


def test_the_master_password_goes_to_the_setup_task_alone() -> None:
    for page in ("AirflowServices", "Workers"):
        assert "DatabaseAdminSecretArn" not in document(page)["Parameters"]
    assert "DatabaseAdminSecretArn" in document("Migration")["Parameters"]

"""The migration job: its function, its triggers, and the services that wait for it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from compiler.references import references
from fargate_runtime import contract
from fargate_runtime.migration import custom_resource
from templates.airflow.components import COMPONENTS, MIGRATION, VERIFICATION
from tests.templates.tasks import (
    container,
    document,
    environment,
    resolved,
    template_of,
)

RESOURCES = document("Migration")["Resources"]
MIGRATION_PROPERTIES = RESOURCES["Migration"]["Properties"]


def test_the_custom_resource_has_the_functions_input() -> None:
    properties = resolved("Migration").resources["Migration"]["Properties"]
    assert properties == {
        "ServiceToken": "<Migration.MigrationFunction.Arn>",
        "ServiceTimeout": 3600,
        "Cluster": "given-ClusterArn",
        "TaskDefinition": "<Migration.MigrationDefinition>",
        "Container": "migration",
        "Subnets": ["subnet-1", "subnet-2"],
        "SecurityGroup": "given-MigrationGroupId",
        "LogGroup": "<Migration.MigrationLog>",
        "LogStreamPrefix": "migration",
        "Version": "given-Image given-RuntimeSha256",
    }
    assert properties["Container"] == container(MIGRATION)["Name"]
    options = container(MIGRATION)["LogConfiguration"]["Options"]
    assert properties["LogGroup"] == options["awslogs-group"]
    assert properties["LogStreamPrefix"] == options["awslogs-stream-prefix"]


def test_the_function_reads_the_custom_resources_properties() -> None:
    properties = resolved("Migration").resources["Migration"]["Properties"]
    call: dict[str, Any] = {}

    def run_task(**request: Any) -> dict[str, Any]:
        call.update(request)
        return {"tasks": [{"taskArn": "arn:aws:ecs:r:1:task/airflow/f00"}]}

    request = dict.fromkeys(("StackId", "LogicalResourceId", "RequestId"), "x")
    clients = cast(
        "custom_resource.AwsClients",
        SimpleNamespace(ecs=SimpleNamespace(run_task=run_task)),
    )
    task = custom_resource.start(request, properties, clients)
    assert call["cluster"] == "given-ClusterArn"
    assert call["taskDefinition"] == "<Migration.MigrationDefinition>"
    assert call["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": ["given-MigrationGroupId"],
        "assignPublicIp": "DISABLED",
    }
    # As the awslogs driver names it: prefix, container, task.
    assert custom_resource.log_stream(task, properties) == "migration/migration/f00"
    assert properties["ServiceTimeout"] > contract.MIGRATION_LIMIT_SECONDS


def test_the_function_has_exactly_the_permissions_of_its_calls() -> None:
    # Least privilege, both ways: a missing permission fails every launch.
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
        for name in ("MigrationFunctionPolicy", "MigrationFunctionInvokePolicy")
        for s in RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"]
        for action in s["Action"]
    }
    own_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert may == does | own_log | {"iam:PassRole"}


def test_a_new_task_definition_runs_the_migration_again() -> None:
    # CloudFormation calls a custom resource when a property changes, and a task
    # definition with anything new in it is a new ARN.
    assert ("MigrationDefinition", "") in set(
        references(MIGRATION_PROPERTIES["TaskDefinition"])
    )
    read = {name for name, _ in references(RESOURCES["MigrationDefinition"])}
    assert read >= {
        *("Image", "RuntimeSha256", "WorkerSlots", "DatabaseHost"),
        *("DatabaseAdminSecretArn", "DatabaseAirflowSecretArn"),
        *("DatabaseResultsSecretArn", "AdminSecretArn", "FernetSecretArn"),
    }


def test_the_migration_waits_for_its_functions_permissions() -> None:
    # A permission that is attached a second late fails one launch in ten.
    assert RESOURCES["Migration"]["DependsOn"] == "MigrationFunctionInvokePolicy"
    again = RESOURCES["MigrationFunctionInvokePolicy"]["Properties"]
    assert again["Roles"] == [{"Ref": "MigrationFunctionRole"}]
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
    assert function["LoggingConfig"] == {"LogGroup": "<Migration.MigrationFunctionLog>"}


def test_the_function_has_no_secret_and_no_vpc_access() -> None:
    # It starts a task and reads a log. So it needs neither.
    function = resolved("Migration").resources["MigrationFunction"]["Properties"]
    assert not function.keys() & {"Environment", "VpcConfig"}
    for name in ("MigrationFunctionPolicy", "MigrationFunctionInvokePolicy"):
        assert "secretsmanager" not in str(RESOURCES[name])


def test_the_function_reserves_no_concurrency() -> None:
    # A new account has ten concurrent executions, and Lambda refuses to
    # reserve one of them.
    assert (
        "ReservedConcurrentExecutions"
        not in RESOURCES["MigrationFunction"]["Properties"]
    )


def test_services_depend_on_the_migration() -> None:
    # B5: each takes the output of this stack, so CloudFormation orders them.
    assert resolved("Migration").outputs["Version"] == VERSION
    for component in COMPONENTS:
        # The relay uses no database.
        if component is not VERIFICATION and template_of(component) != "Migration":
            assert (
                environment(component)["MIGRATION_VERSION"] == "given-MigrationVersion"
            )


VERSION = "given-Image given-RuntimeSha256"


def test_only_the_migration_has_the_master_password() -> None:
    for template in ("AirflowServices", "Workers"):
        assert "DatabaseAdminSecretArn" not in document(template)["Parameters"]
    assert "DatabaseAdminSecretArn" in document("Migration")["Parameters"]

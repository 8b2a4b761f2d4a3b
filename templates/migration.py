"""The gate: a new version touches the database first, alone, or not at all.

A one-off task makes the database roles, migrates the schema and creates the first
administrator. A custom resource runs it whenever its task definition changes, follows
it to its end, and fails with the task's own reason; then no service of that version
ever starts, because each takes this stack's output.

The function is not in the VPC: it speaks to ECS, CloudWatch Logs and CloudFormation
only. It reserves no concurrency, because a young account has none to spare and its
launch would fail. It has no environment, so nothing there to encrypt; and no queue for
failed calls: CloudFormation waits for an answer and reports the missing one itself.
A migration may take an hour, CloudFormation's limit for a custom resource. A longer
one is run by hand before the update, with the one-off command.
"""

from __future__ import annotations

from troposphere import GetAtt, Join, PropsDictType, Ref, awslambda, iam, logs
from troposphere.cloudformation import CustomResource

from compiler.wiring import Interface, Template, about
from templates.airflow import permissions
from templates.airflow.components import MIGRATION
from templates.airflow.fargate import Fargate
from templates.airflow.task_context import Site
from templates.resources.assume_role import trust
from templates.types import (
    Architecture,
    Cluster,
    Database,
    Guard,
    Keys,
    LogGroupName,
    Runtime,
    SecretArn,
    SecurityGroupId,
    SubnetIds,
    Text,
)

LONGEST_SECONDS = 3600
"""CloudFormation's own limit."""

FUNCTION_SECONDS = 900
"""Lambda's own limit; the function calls itself again to follow a longer task."""


class Inputs(Interface):
    """What the migration job needs to prepare the database."""

    runtime: Runtime = about("Image and runtime archive.")
    architecture: Architecture = about("Processor of the task.")
    cluster: Cluster = about("Where the task runs.")
    guard: Guard = about("What roles and logs obey.")
    subnet_ids: SubnetIds = about("Subnets of the task.")
    migration_group_id: SecurityGroupId = about("Security group of the task.")
    database: Database = about("The database it prepares, and the master login.")
    keys: Keys = about("The Fernet key, for columns that a migration encrypts anew.")
    admin_secret_arn: SecretArn = about("Login of the first administrator.")
    worker_slots: Text = about("Slots of the default pool when it is first made.")


class Outputs(Interface):
    """What the services wait for."""

    version: Text = about("What the gate let pass: the image and the runtime's digest.")
    log_group_name: LogGroupName = about("Log of the migration job.", public=True)


class MigrationResource(CustomResource):
    """The custom resource; its properties are what the function is told."""

    resource_type = "Custom::Migration"
    props: PropsDictType = {  # noqa: RUF012 - as troposphere writes its own
        **CustomResource.props,
        "Cluster": (str, True),
        "TaskDefinition": (str, True),
        "Container": (str, True),
        "Subnets": ([str], True),
        "SecurityGroup": (str, True),
        "LogGroup": (str, True),
        "LogStreamPrefix": (str, True),
        "Version": (str, True),
    }


def define(t: Template, given: Inputs) -> Outputs:
    """Make the task, the function that runs it, and the gate that fails or passes."""
    site = Site.of(given)
    fargate = Fargate(t, site)
    task = fargate.task(MIGRATION)

    # The function sees neither a secret nor the database: it starts the task, waits,
    # and reads why it failed.
    log = t.add(
        logs.LogGroup(
            "MigrationFunctionLog",
            KmsKeyId=given.guard.key_arn,
            RetentionInDays=given.guard.log_days,
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
        "Log of the function behind the gate.",
        why="Its own, because the one that Lambda makes never expires.",
    )
    role = fargate.role(
        "MigrationFunction",
        permissions.gate_policy(
            site,
            task_definition_arn=Ref(task.definition),
            task_log_group_arn=GetAtt(task.log, "Arn"),
            log_group_arn=GetAtt(log, "Arn"),
            role_arns=[GetAtt(task.execution_role, "Arn"), GetAtt(task.role, "Arn")],
        ),
        purpose="run the migration job and see how it ends",
        trusted=trust("lambda.amazonaws.com"),
    )
    function = t.add(
        awslambda.Function(
            "MigrationFunction",
            Description="Runs Airflow's migration job for CloudFormation.",
            Runtime="python3.13",
            Handler="fargate_runtime.migration.custom_resource.handler",
            Code=awslambda.Code(S3Bucket=given.runtime.bucket, S3Key=given.runtime.key),
            Role=GetAtt(role, "Arn"),
            Timeout=FUNCTION_SECONDS,
            MemorySize=256,
            LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(log)),
        ),
        "Runs the migration job and tells CloudFormation how it ended.",
        why="The same archive that the containers start from.",
    )
    again = t.add(
        iam.ManagedPolicy(
            "MigrationFunctionInvokePolicy",
            PolicyDocument=permissions.invoke_policy(GetAtt(function, "Arn")),
            Roles=[Ref(role)],
        ),
        "What it takes the function to call itself again.",
        why="Attached afterwards: the function needs its role first.",
    )

    # The output needs no attribute of the gate: a stack has outputs when all in it is
    # made, and this one has none while the gate is shut.
    version = Join(" ", [given.runtime.image, given.runtime.sha256])
    t.add(
        MigrationResource(
            "Migration",
            DependsOn=again,
            ServiceToken=GetAtt(function, "Arn"),
            ServiceTimeout=LONGEST_SECONDS,
            Cluster=given.cluster.arn,
            TaskDefinition=Ref(task.definition),
            Container=MIGRATION.name,
            Subnets=given.subnet_ids,
            SecurityGroup=given.migration_group_id,
            LogGroup=Ref(task.log),
            LogStreamPrefix=MIGRATION.name,
            Version=version,
        ),
        "Prepares the database for this version, or fails with the reason.",
        why="A new image, runtime, secret or setting is a new task definition, and "
        "that is a change of this resource: the gate runs again. It repeats itself "
        "without harm.",
    )
    return Outputs(version=Text(version), log_group_name=LogGroupName(Ref(task.log)))

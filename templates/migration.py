"""Runs database migrations before any service of a new version starts.

A one-off task creates the database roles, migrates the schema and creates the first
administrator. A custom resource runs it whenever its task definition changes, waits
for its end, and fails with the task's own reason; then no service of that version ever
starts, because each takes this stack's output.

The function is not in the VPC: it calls ECS, CloudWatch Logs and CloudFormation only.
It reserves no concurrency, because a new account has none to spare and its launch
would fail. It has no environment, so nothing there to encrypt; and no queue for failed
calls: CloudFormation waits for an answer and reports the missing one itself. A
migration may take an hour, CloudFormation's limit for a custom resource. A longer one
is run manually before the update, with the one-off command.
"""

from __future__ import annotations

from troposphere import GetAtt, Join, PropsDictType, Ref, awslambda, iam, logs
from troposphere.cloudformation import CustomResource

from compiler.wiring import Interface, Template, about
from templates.airflow import permissions
from templates.airflow.components import MIGRATION
from templates.airflow.contexts import TaskInputs
from templates.airflow.fargate import Fargate
from templates.resources.assume_role import trust
from templates.types import LogGroupName, Text

LONGEST_SECONDS = 3600
"""CloudFormation's own limit."""

FUNCTION_SECONDS = 900
"""Lambda's own limit; the function calls itself again to follow a longer task."""


class Inputs(TaskInputs):
    """What the migration job runs on."""


class Outputs(Interface):
    """Inputs of all stacks whose tasks start after the migration."""

    version: Text = about("Prepared version: the image and the runtime's digest.")
    log_group_name: LogGroupName = about("Log of the migration job.", public=True)


class MigrationResource(CustomResource):
    """The custom resource; its properties are the input of the function."""

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


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the task, the function that runs it, and the custom resource."""
    platform = inputs.platform
    fargate = Fargate(t, inputs)
    task = fargate.task(MIGRATION)

    # The function reads neither a secret nor the database: it starts the task, waits,
    # and reads the reason of a failure.
    log = t.add(
        logs.LogGroup(
            "MigrationFunctionLog",
            KmsKeyId=platform.key_arn,
            RetentionInDays=platform.log_days,
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        ),
        "Log of the function that runs the migration job.",
        why="Lambda would create one that never expires.",
    )
    role = fargate.role(
        "MigrationFunction",
        permissions.migration_function_policy(
            inputs,
            task_definition_arn=Ref(task.definition),
            task_log_group_arn=GetAtt(task.log, "Arn"),
            log_group_arn=GetAtt(log, "Arn"),
            role_arns=[GetAtt(task.execution_role, "Arn"), GetAtt(task.role, "Arn")],
        ),
        purpose="run the migration job and report its result",
        trusted=trust("lambda.amazonaws.com"),
    )
    function = t.add(
        awslambda.Function(
            "MigrationFunction",
            Description="Runs Airflow's migration job for CloudFormation.",
            Runtime="python3.13",
            Handler="fargate_runtime.migration.custom_resource.handler",
            Code=awslambda.Code(
                S3Bucket=platform.runtime.bucket, S3Key=platform.runtime.key
            ),
            Role=GetAtt(role, "Arn"),
            Timeout=FUNCTION_SECONDS,
            MemorySize=256,
            LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(log)),
        ),
        "Runs the migration job and reports its result to CloudFormation.",
        why="The same archive that the containers start from.",
    )
    invoke = t.add(
        iam.ManagedPolicy(
            "MigrationFunctionInvokePolicy",
            PolicyDocument=permissions.invoke_policy(GetAtt(function, "Arn")),
            Roles=[Ref(role)],
        ),
        "Permissions of the function to call itself again.",
        why="Attached afterwards: the function needs its role first.",
    )

    # The output needs no attribute of the custom resource: a stack has outputs only
    # when all its resources are complete.
    version = Join(" ", [platform.image, platform.runtime.sha256])
    t.add(
        MigrationResource(
            "Migration",
            DependsOn=invoke,
            ServiceToken=GetAtt(function, "Arn"),
            ServiceTimeout=LONGEST_SECONDS,
            Cluster=platform.cluster.arn,
            TaskDefinition=Ref(task.definition),
            Container=MIGRATION.name,
            Subnets=platform.subnet_ids,
            SecurityGroup=platform.groups.migration_group_id,
            LogGroup=Ref(task.log),
            LogStreamPrefix=MIGRATION.name,
            Version=version,
        ),
        "Prepares the database for this version, or fails with the reason.",
        why="A new image, runtime archive, secret or variable makes a new task "
        "definition, and so changes this resource: the job runs again. Repeating it is "
        "harmless.",
    )
    return Outputs(version=Text(version), log_group_name=LogGroupName(Ref(task.log)))

"""Airflow's components: API servers, schedulers, DAG processor, triggerers and Flower.

Flower is optional; there is also a task definition for single Airflow commands. The
workers have a stack for each pool, and start after this one: a task of ECS Service
Connect knows only those names that existed when it started. Nor does this stack need
anything of theirs: while a deployment of workers waits for a long task, the autoscaler
beside the scheduler continues.

Load balancer and tasks use HTTP, inside two security groups that name each other; TLS
there would need a certificate in every task.
"""

from __future__ import annotations

from troposphere import Equals, GetAtt, If, Ref, ecs

from compiler.wiring import Interface, Template, about
from templates.airflow import metrics, operator_commands
from templates.airflow.components import (
    API_SERVER,
    COMMAND,
    DAG_PROCESSOR,
    FLOWER,
    SCHEDULER,
    TRIGGERER,
    VERIFICATION,
)
from templates.airflow.contexts import AutoscalerInputs
from templates.airflow.fargate import Fargate
from templates.airflow.secret_environment import SecretEnvironment
from templates.types import (
    Boolean,
    Count,
    DagPermissions,
    EcsService,
    LogGroupName,
    RoleArn,
    SecurityGroupIds,
    TargetGroupArn,
    TaskDefinitionArn,
    TaskSize,
    Text,
    Url,
)

DAG_PROCESSORS = 1
"""Not a parameter: a second one would parse other files, no file faster."""


class Inputs(AutoscalerInputs):
    """What the components run on, and their sizes."""

    secret_environment: SecretEnvironment = about("Secret variables of operators.")
    api_target_group_arn: TargetGroupArn = about("Target group of the API servers.")
    flower_target_group_arn: TargetGroupArn = about(
        "Target group of Flower, or nothing."
    )
    enable_flower: Boolean = about("Whether Flower runs.")
    api_server_size: TaskSize = about("Size of an API server.")
    scheduler_size: TaskSize = about("Size of a scheduler.")
    dag_processor_size: TaskSize = about("Size of the DAG processor.")
    triggerer_size: TaskSize = about("Size of a triggerer.")
    dag_security_group_ids: SecurityGroupIds = about(
        "Further security groups of what runs DAG code, or nothing."
    )
    scheduler_count: Count = about("Number of schedulers.")
    triggerer_count: Count = about("Number of triggerers.")


class Outputs(Interface):
    """Inputs of workers, scaling and monitoring, and commands for operators."""

    execution_api_url: Url = about("Execution API, inside the network.")
    api_server: EcsService = about("The API servers.")
    scheduler: EcsService = about("The schedulers.")
    dag_processor: EcsService = about("The DAG processor.")
    triggerer: EcsService = about("The triggerers.")
    dag_processor_role_arn: RoleArn = about("Task role of the DAG processor.")
    triggerer_role_arn: RoleArn = about("Task role of the triggerers.")
    command_log_group_name: LogGroupName = about("Log of commands.", public=True)
    command_task_definition_arn: TaskDefinitionArn = about(
        "Task definition of single Airflow commands.", public=True
    )
    verification_task_definition_arn: TaskDefinitionArn = about(
        "Task definition of the relay of build.py verify.", public=True
    )
    run_command: Text = about("Runs one Airflow command.", public=True)
    port_forwarding_command: Text = about(
        "Forwards the Airflow UI to http://localhost:8080, without a VPN.", public=True
    )


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the components."""
    fargate, groups = Fargate(t, inputs), inputs.platform.groups
    secret_environment = inputs.secret_environment

    # Browsers and running tasks call the API server.
    api_server = fargate.service(
        fargate.task(
            API_SERVER,
            size=inputs.api_server_size,
            secret_environment=secret_environment.api_server,
        ),
        group_id=groups.api_server_group_id,
        target_group_arn=inputs.api_target_group_arn,
        Monitoring=ecs.MonitoringConfiguration(
            MetricConfigurations=[
                ecs.MetricConfiguration(
                    MetricNames=["CPUUtilization"],
                    ResolutionSeconds=metrics.API_CPU_RESOLUTION_SECONDS,
                )
            ]
        ),
    )

    settings = inputs.platform.settings
    dag_permissions = DagPermissions(
        extra_policy_arns=settings.extra_policy_arns,
        assumable_role_arns=settings.assumable_role_arns,
    )

    # DAG files become DAGs, DAGs become task instances, and some of those wait.
    dag_processor_task = fargate.task(
        DAG_PROCESSOR,
        size=inputs.dag_processor_size,
        secret_environment=secret_environment.dag_processor,
        dag_permissions=dag_permissions,
    )
    dag_processor = fargate.service(
        dag_processor_task,
        group_id=groups.dag_processor_group_id,
        further_group_ids=inputs.dag_security_group_ids,
        count=DAG_PROCESSORS,
    )
    scheduler = fargate.service(
        fargate.task(
            SCHEDULER,
            size=inputs.scheduler_size,
            secret_environment=secret_environment.scheduler,
        ),
        group_id=groups.scheduler_group_id,
        count=inputs.scheduler_count,
    )
    triggerer_task = fargate.task(
        TRIGGERER,
        size=inputs.triggerer_size,
        secret_environment=secret_environment.triggerer,
        dag_permissions=dag_permissions,
    )
    triggerer = fargate.service(
        triggerer_task,
        group_id=groups.triggerer_group_id,
        further_group_ids=inputs.dag_security_group_ids,
        count=inputs.triggerer_count,
    )

    # Tools for operators.
    has_flower = t.condition("HasFlower", Equals(inputs.enable_flower, "true"))
    fargate.service(
        fargate.task(FLOWER, condition=has_flower),
        group_id=groups.flower_group_id,
        target_group_arn=inputs.flower_target_group_arn,
        count=1,
    )
    command = fargate.task(COMMAND)
    verification = fargate.task(VERIFICATION)

    return Outputs(
        execution_api_url=Url(f"http://{API_SERVER.name}:{API_SERVER.port}/execution/"),
        api_server=api_server,
        scheduler=scheduler,
        dag_processor=dag_processor,
        triggerer=triggerer,
        dag_processor_role_arn=RoleArn(GetAtt(dag_processor_task.role, "Arn")),
        triggerer_role_arn=RoleArn(GetAtt(triggerer_task.role, "Arn")),
        command_log_group_name=LogGroupName(Ref(command.log)),
        command_task_definition_arn=TaskDefinitionArn(Ref(command.definition)),
        verification_task_definition_arn=TaskDefinitionArn(
            Ref(verification.definition)
        ),
        run_command=Text(
            operator_commands.run_command(
                inputs.platform.cluster,
                Ref(command.definition),
                subnet_ids=inputs.platform.subnet_ids,
                group_id=groups.scheduler_group_id,
            )
        ),
        port_forwarding_command=Text(
            If(
                fargate.is_exec_allowed(),
                operator_commands.forward_port(
                    inputs.platform.cluster, api_server.service_name
                ),
                "Set the parameter EnableExecuteCommand to true first.",
            )
        ),
    )

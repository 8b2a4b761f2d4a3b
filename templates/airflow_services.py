"""Airflow's own components, each from its row in the component table.

API server, scheduler, DAG processor, triggerer and, where it is wanted, Flower; and a
task definition for single Airflow commands. The workers are a stack of their own, once
for each pool, and start after this one: a task of ECS Service Connect knows only those
names that existed when it started. Nor does this stack need anything of theirs: while a
deployment of workers waits for a long task, the autoscaler beside the scheduler goes on.

Between the load balancer and the tasks HTTP is spoken, inside two security groups that
name each other; TLS there would need a certificate in every task.
"""

from __future__ import annotations

from troposphere import Equals, If, Ref, ecs

from compiler.wiring import Interface, Template, about
from templates.airflow import metrics, operator_commands
from templates.airflow.components import (
    API_SERVER,
    COMMAND,
    DAG_PROCESSOR,
    FLOWER,
    SCHEDULER,
    TRIGGERER,
)
from templates.airflow.fargate import Fargate
from templates.airflow.task_context import Site
from templates.types import (
    Architecture,
    Broker,
    Cluster,
    Count,
    Database,
    Guard,
    Keys,
    LogGroupName,
    PoolList,
    Running,
    Runtime,
    SecretArn,
    SecurityGroupId,
    Size,
    Storage,
    SubnetIds,
    Switch,
    TargetGroupArn,
    TaskDefinitionArn,
    Text,
    Url,
)


class Inputs(Interface):
    """What the components run from, reach and obey."""

    runtime: Runtime = about("Image and runtime archive.")
    architecture: Architecture = about("Processor of the tasks.")
    cluster: Cluster = about("Where the tasks run.")
    guard: Guard = about("What roles and logs obey.")
    subnet_ids: SubnetIds = about("Subnets of the tasks.")
    api_server_group_id: SecurityGroupId = about("Group of the API server.")
    scheduler_group_id: SecurityGroupId = about("Group of scheduler and commands.")
    dag_processor_group_id: SecurityGroupId = about("Group of the DAG processor.")
    triggerer_group_id: SecurityGroupId = about("Group of the triggerer.")
    flower_group_id: SecurityGroupId = about("Group of Flower.")
    api_target_group_arn: TargetGroupArn = about("Where API servers register.")
    flower_target_group_arn: TargetGroupArn = about("Where Flower registers, if any.")
    database: Database = about("Where Airflow's data lies, and the results.")
    broker: Broker = about("Where the queues lie.")
    keys: Keys = about("What the components sign and encrypt with.")
    storage: Storage = about("Buckets of the DAGs and of the task logs.")
    url: Url = about("Address of the web page, for links.")
    has_https: Switch = about("Whether that address begins with https.")
    enable_flower: Switch = about("Whether Flower runs.")
    flower_secret_arn: SecretArn = about("Login of Flower.")
    migration_version: Text = about("What the migration job let pass.")
    api_server_size: Size = about("One API server.")
    scheduler_size: Size = about("One scheduler.")
    dag_processor_size: Size = about("The DAG processor.")
    triggerer_size: Size = about("One triggerer.")
    scheduler_count: Count = about("How many schedulers run.")
    triggerer_count: Count = about("How many triggerers run.")
    pools: PoolList = about("What the autoscaler must know of every pool.")
    worker_slots: Text = about("Most task instances one scheduler lets run at once.")


class Outputs(Interface):
    """What workers, scaling, monitoring and operators ask for."""

    execution_api_url: Url = about("Where tasks report to, inside the network.")
    api_server: Running = about("The API servers.")
    scheduler: Running = about("The schedulers.")
    dag_processor: Running = about("The DAG processor.")
    triggerer: Running = about("The triggerers.")
    command_log_group_name: LogGroupName = about("Log of commands.", public=True)
    command_task_definition_arn: TaskDefinitionArn = about(
        "Task definition of single Airflow commands.", public=True
    )
    run_command: Text = about("How to run one Airflow command.", public=True)
    port_forwarding_command: Text = about(
        "How to reach the web page at http://localhost:8080 without a VPN.", public=True
    )


def define(t: Template, given: Inputs) -> Outputs:
    """Make the components."""
    fargate = Fargate(t, Site.of(given))

    # A browser, and every running task, asks the API server.
    api_task = fargate.task(API_SERVER, size=given.api_server_size)
    api_server = fargate.service(
        api_task,
        group_id=given.api_server_group_id,
        target_group_arn=given.api_target_group_arn,
        ServiceConnectConfiguration=fargate.connect(api_task, serves=True),
        Monitoring=ecs.MonitoringConfiguration(
            MetricConfigurations=[
                ecs.MetricConfiguration(
                    MetricNames=["CPUUtilization"],
                    ResolutionSeconds=metrics.API_CPU_RESOLUTION_SECONDS,
                )
            ]
        ),
    )

    # DAG files become DAGs, DAGs become task instances, and some of those wait. One
    # DAG processor suffices: a second one would share the files, not speed one up.
    dag_processor = fargate.service(
        fargate.task(DAG_PROCESSOR, size=given.dag_processor_size),
        group_id=given.dag_processor_group_id,
        count=1,
    )
    scheduler = fargate.service(
        fargate.task(SCHEDULER, size=given.scheduler_size),
        group_id=given.scheduler_group_id,
        count=given.scheduler_count,
    )
    triggerer = fargate.service(
        fargate.task(TRIGGERER, size=given.triggerer_size),
        group_id=given.triggerer_group_id,
        count=given.triggerer_count,
    )

    # What an operator looks at and works with.
    enable_flower = t.condition("HasFlower", Equals(given.enable_flower, "true"))
    fargate.service(
        fargate.task(FLOWER, condition=enable_flower),
        group_id=given.flower_group_id,
        target_group_arn=given.flower_target_group_arn,
        count=1,
    )
    command = fargate.task(COMMAND)

    return Outputs(
        execution_api_url=Url(f"http://{API_SERVER.name}:{API_SERVER.port}/execution/"),
        api_server=api_server,
        scheduler=scheduler,
        dag_processor=dag_processor,
        triggerer=triggerer,
        command_log_group_name=LogGroupName(Ref(command.log)),
        command_task_definition_arn=TaskDefinitionArn(Ref(command.definition)),
        run_command=Text(
            operator_commands.run_command(
                given.cluster,
                Ref(command.definition),
                subnet_ids=given.subnet_ids,
                group_id=given.scheduler_group_id,
            )
        ),
        port_forwarding_command=Text(
            If(
                fargate.is_exec_allowed(),
                operator_commands.forward_port(given.cluster, api_server.service_name),
                "Set the parameter EnableExecuteCommand to true first.",
            )
        ),
    )

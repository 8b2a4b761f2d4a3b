"""One pool of Celery workers: one queue, one size, scaled by its own demand.

No ``DesiredCount``: the scaling stack owns it, and a number here would stop workers in
the middle of the day at every update. Nor a base on demand: a Spot share of 100 means
all, for a pool of tasks that are safe to repeat. Protection from scale-in does not
stop AWS from taking Spot capacity back, two minutes after it says so.
"""

from __future__ import annotations

from troposphere import FindInMap, Tags, ecs

from compiler.wiring import Interface, Template, about
from templates.airflow.components import WORKER
from templates.airflow.fargate import Fargate
from templates.airflow.task_context import Site
from templates.cluster import ON_DEMAND, SPOT
from templates.types import (
    Architecture,
    Broker,
    Cluster,
    Count,
    CpuUnits,
    Database,
    Gibibytes,
    Guard,
    Keys,
    LogGroupName,
    Mebibytes,
    Minutes,
    Percent,
    QueueName,
    Runtime,
    SecurityGroupId,
    ServiceName,
    Size,
    Storage,
    SubnetIds,
    Text,
    Url,
)

POOL_TAG = "Pool"

SHARES = "OnDemandShare"
"""CloudFormation cannot subtract, so the rest of a hundred is looked up."""


class Inputs(Interface):
    """The pool, and what its workers run from, reach and obey."""

    runtime: Runtime = about("Image and runtime archive.")
    cluster: Cluster = about("Where the workers run.")
    guard: Guard = about("What roles and logs obey.")
    subnet_ids: SubnetIds = about("Subnets of the workers.")
    group_id: SecurityGroupId = about("Security group of the workers.")
    database: Database = about("Where Celery's results lie; nothing else of it.")
    broker: Broker = about("Where the queue lies.")
    keys: Keys = about("What workers sign log requests and decrypt with.")
    storage: Storage = about("Buckets of the DAGs and of the task logs.")
    url: Url = about("Address of the web page, for links.")
    execution_api_url: Url = about("Where tasks report to, inside the network.")
    migration_version: Text = about("What the migration job let pass.")
    pool: Text = about("Name of the pool, as the autoscaler knows it.")
    queue: QueueName = about("Celery queue that the pool serves.")
    cpu: CpuUnits = about("CPU units of one worker.")
    memory: Mebibytes = about("Memory of one worker in MiB.")
    concurrency: Count = about("Task instances one worker runs at once.")
    architecture: Architecture = about("Processor of the workers.")
    spot_percent: Percent = about("Share of the workers on Fargate Spot.")
    ephemeral_storage_gib: Gibibytes = about(
        "Scratch disk of one worker, 21 GiB or more."
    )
    longest_task_minutes: Minutes = about("Minutes the longest task may run.")


class Outputs(Interface):
    """The pool's service."""

    service_name: ServiceName = about("ECS service of the workers.")
    log_group_name: LogGroupName = about("Log of the workers.", public=True)


def define(t: Template, given: Inputs) -> Outputs:
    """Make the pool."""
    fargate = Fargate(t, Site.of(given))
    worker = fargate.task(
        WORKER,
        size=Size(cpu=given.cpu, memory=given.memory),
        ephemeral_storage_gib=given.ephemeral_storage_gib,
        arguments=[given.queue],
    )

    t.add_mapping(SHARES, {str(spot): {"Weight": 100 - spot} for spot in range(101)})
    service = fargate.service(
        worker,
        group_id=given.group_id,
        ServiceConnectConfiguration=fargate.connect(worker),
        # By it the autoscaler tells the pools' services apart.
        Tags=Tags({POOL_TAG: given.pool}),
        CapacityProviderStrategy=[
            ecs.CapacityProviderStrategyItem(
                CapacityProvider=ON_DEMAND,
                Weight=FindInMap(SHARES, given.spot_percent, "Weight"),
            ),
            ecs.CapacityProviderStrategyItem(
                CapacityProvider=SPOT, Weight=given.spot_percent
            ),
        ],
    )
    return Outputs(
        service_name=service.service_name, log_group_name=service.log_group_name
    )

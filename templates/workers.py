"""One pool of Celery workers: one queue, one size, scaled by its own demand.

It sets no ``DesiredCount``: the scaling stack owns it, and a number here would stop
workers at every update. Nor a base on demand: a Spot share of 100 means all, for a
pool of tasks that are safe to repeat. Protection from scale-in does not prevent AWS
from reclaiming Spot capacity at two minutes' notice.
"""

from __future__ import annotations

from troposphere import FindInMap, GetAtt, Tags, ecs

from compiler.wiring import Interface, Template, about
from fargate_runtime.contract import POOL_TAG
from templates.airflow.components import WORKER
from templates.airflow.contexts import WorkerInputs
from templates.airflow.fargate import Fargate
from templates.cluster import ON_DEMAND, SPOT
from templates.resources.worker_group import add_worker_group
from templates.types import (
    DagIdentity,
    DagPermissions,
    LogGroupName,
    PoolNetwork,
    RoleArn,
    SecurityGroupId,
    ServiceName,
    TaskSize,
)

SHARES = "OnDemandShare"
"""CloudFormation cannot subtract, so a mapping holds the rest of a hundred."""


class Inputs(WorkerInputs):
    """The pool, and what its workers run on."""

    network: PoolNetwork = about("Network of the pool.", flat=True)
    permissions: DagPermissions = about("What its tasks may do on AWS.")


class Outputs(Interface):
    """The pool's service."""

    service_name: ServiceName = about("ECS service of the workers.")
    log_group_name: LogGroupName = about("Log of the workers.", public=True)
    identity: DagIdentity = about("What other owners admit.", flat=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the task definition and the service of the pool."""
    pool = inputs.pool
    fargate = Fargate(t, inputs)
    worker = fargate.task(
        WORKER,
        size=TaskSize(cpu=pool.cpu, memory=pool.memory),
        architecture=pool.architecture,
        ephemeral_storage_gib=pool.ephemeral_storage_gib,
        arguments=[pool.queue],
        secret_environment=inputs.secret_environment,
        dag_permissions=inputs.permissions,
    )

    t.add_mapping(SHARES, {str(spot): {"Weight": 100 - spot} for spot in range(101)})
    group_id, rules = add_worker_group(
        t,
        pool.name,
        inputs.network,
        api_server_group_id=inputs.platform.groups.api_server_group_id,
    )
    service = fargate.service(
        worker,
        group_id=SecurityGroupId(group_id),
        further_group_ids=inputs.network.dag_security_group_ids,
        redeploy_for=[pool.spot_percent],
        DependsOn=rules,
        # The autoscaler finds the pool's service by this tag.
        Tags=Tags({POOL_TAG: pool.name}),
        CapacityProviderStrategy=[
            ecs.CapacityProviderStrategyItem(
                CapacityProvider=ON_DEMAND,
                Weight=FindInMap(SHARES, pool.spot_percent, "Weight"),
            ),
            ecs.CapacityProviderStrategyItem(
                CapacityProvider=SPOT, Weight=pool.spot_percent
            ),
        ],
    )
    return Outputs(
        service_name=service.service_name,
        log_group_name=service.log_group_name,
        identity=DagIdentity(
            security_group_id=SecurityGroupId(group_id),
            task_role_arn=RoleArn(GetAtt(worker.role, "Arn")),
        ),
    )

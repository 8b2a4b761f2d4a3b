"""The ECS cluster, and the namespace in which its services find each other.

Container Insights is ``enhanced`` although older rule packs know only ``enabled``:
it is a superset, and the fallback minimum of pools reads the desired count from it. It
creates no task and no role: a cluster without services costs nothing.
"""

from __future__ import annotations

from troposphere import GetAtt, Ref, ecs, logs, servicediscovery

from compiler.wiring import Interface, Template, about
from templates.types import (
    Cluster,
    ClusterArn,
    ClusterName,
    KeyArn,
    LogDays,
    LogGroupName,
    NamespaceArn,
)

ON_DEMAND, SPOT = "FARGATE", "FARGATE_SPOT"


class Inputs(Interface):
    """Encryption key, and the retention of its log."""

    key_arn: KeyArn = about("KMS key of ephemeral storage and ECS Exec, by its ARN.")
    log_days: LogDays = about("Days to keep the log of ECS Exec sessions.")


class Outputs(Interface):
    """The cluster, for services and tasks."""

    cluster: Cluster = about("Cluster of the tasks.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the cluster."""
    exec_log = t.add(
        logs.LogGroup(
            "ExecLog",
            KmsKeyId=inputs.key_arn,
            RetentionInDays=inputs.log_days,
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        ),
        "Log of every ECS Exec session.",
        why="Retained: an audit may ask for it after the stack is deleted.",
    )

    # Services find each other here by short names such as api-server.
    namespace = t.add(
        servicediscovery.HttpNamespace(
            "Namespace",
            Name=Ref("AWS::StackName"),
            Description="Names of the Airflow services for ECS Service Connect.",
        ),
        "Names by which the services find each other.",
        why="Cloud Map requires a name, unique in the account and region; a stack's "
        "name is unique, and its 128 characters fit into 1,024.",
    )

    cluster = t.add(
        ecs.Cluster(
            "Cluster",
            ClusterSettings=[
                ecs.ClusterSetting(Name="containerInsights", Value="enhanced")
            ],
            CapacityProviders=[ON_DEMAND, SPOT],
            DefaultCapacityProviderStrategy=[
                ecs.CapacityProviderStrategyItem(CapacityProvider=ON_DEMAND, Weight=1)
            ],
            Configuration=ecs.ClusterConfiguration(
                ExecuteCommandConfiguration=ecs.ExecuteCommandConfiguration(
                    KmsKeyId=inputs.key_arn,
                    Logging="OVERRIDE",
                    LogConfiguration=ecs.ExecuteCommandLogConfiguration(
                        CloudWatchLogGroupName=Ref(exec_log),
                        CloudWatchEncryptionEnabled=True,
                    ),
                ),
                ManagedStorageConfiguration=ecs.ManagedStorageConfiguration(
                    FargateEphemeralStorageKmsKeyId=inputs.key_arn
                ),
            ),
        ),
        "Cluster of every Airflow task.",
        why="Spot is associated so that a pool may use it; nothing else runs on it. "
        "The capacity providers are a property and not a resource of "
        "their own: services that start before an association would be refused.",
    )

    return Outputs(
        cluster=Cluster(
            name=ClusterName(Ref(cluster)),
            arn=ClusterArn(GetAtt(cluster, "Arn")),
            namespace_arn=NamespaceArn(GetAtt(namespace, "Arn")),
            exec_log_group_name=LogGroupName(Ref(exec_log)),
        )
    )

"""The ECS cluster, its scratch-disk key, and the namespace its services meet in.

Container Insights is ``enhanced`` although older rule packs know only ``enabled``:
it is a superset, and the pool's safe floor reads the desired count from it. No task
and no role is made here: a cluster without services costs nothing.
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
    """What the cluster is made with."""

    key_arn: KeyArn = about(
        "KMS key of scratch disks and ECS Exec: one region's key, named by its ARN."
    )
    log_days: LogDays = about("Days to keep the record of ECS Exec sessions.")


class Outputs(Interface):
    """What services and tasks need to run here."""

    cluster: Cluster = about("Where the tasks run.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Make the cluster."""
    exec_log = t.add(
        logs.LogGroup(
            "ExecLog",
            KmsKeyId=inputs.key_arn,
            RetentionInDays=inputs.log_days,
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
        "Record of every shell that ECS Exec opened in a task.",
        why="Retained: who did what in production is asked after the stack is gone.",
    )

    # Services find each other here by short names such as api-server.
    namespace = t.add(
        servicediscovery.HttpNamespace(
            "Namespace",
            Name=Ref("AWS::StackName"),
            Description="Names of the Airflow services for ECS Service Connect.",
        ),
        "Names that the services know each other by.",
        why="Cloud Map demands a name, unique in the account and region; a stack's "
        "name is that, and a name of 128 characters fits into 1,024.",
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
        "Cluster that every Airflow task runs in.",
        why="Spot is associated so that a pool may choose it; nothing runs on it "
        "unless it asks. The capacity providers are a property and not a resource of "
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

"""An environment whose AWS answers as recorded: everything is as promised.

A test changes one answer, and the check that reads it must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from acceptance.aws.environment import AwsEnvironment
from compiler.wiring import title
from deploy.aws import Aws
from deploy.inventory import StackResource
from deploy.stacks import StackSummary
from templates.airflow.components import COMPONENTS
from templates.airflow.environment import METADATA_DATABASE, secrets_of
from templates.load_balancer import TLS_POLICY
from templates.resources.connections import CONNECTIONS, SECURITY_GROUPS
from templates.security import GROUPS, WITH_DAG_EGRESS

KEY = "arn:aws:kms:eu-central-1:1:key/k"
STACK = "airflow-dev"
ECS = "arn:aws:ecs:eu-central-1:1"
IMAGE = "apache/airflow:3.3.2"
CLUSTER = "airflow-dev-cluster"
WEB, OUTBOUND = "10.0.0.0/8", "0.0.0.0/0"

PARAMETERS = {
    "Image": IMAGE,
    "DeletionProtection": "true",
    "EnableDatabaseReader": "false",
    "EnableCacheReplica": "true",
    "EnableCacheFailover": "true",
    "LoadBalancerScheme": "internal",
    "CertificateArn": "arn:aws:acm:eu-central-1:1:certificate/c",
    "EnableBackup": "true",
    "ApiServerMinimum": "1",
    "ApiServerMaximum": "2",
    "DefaultWorkersMinimum": "0",
    "DefaultWorkersMaximum": "4",
    "DefaultWorkersConcurrency": "8",
    "DefaultWorkersCpu": "1024",
    "DefaultWorkersMemory": "4096",
}

DAG_EGRESS = "5432-5439 10.20.0.0/16"

RESOURCES = (
    ("Encryption/Key", "AWS::KMS::Key", "k"),
    ("Security", "AWS::CloudFormation::Stack", "arn:aws:cloudformation:::stack/sec/1"),
    *(
        (f"Security/{title(name)}", "AWS::EC2::SecurityGroup", f"sg-{name}")
        for name in GROUPS
    ),
    ("DefaultWorkers", "AWS::CloudFormation::Stack", "arn:aws:cloudformation:::w"),
    ("DefaultWorkers/SecurityGroup", "AWS::EC2::SecurityGroup", "sg-worker"),
    ("Storage/AccessLogs", "AWS::S3::Bucket", f"{STACK}-access-logs"),
    ("Storage/TaskLogs", "AWS::S3::Bucket", f"{STACK}-task-logs"),
    ("Database/Cluster", "AWS::RDS::DBCluster", f"{STACK}-database"),
    ("Database/Writer", "AWS::RDS::DBInstance", f"{STACK}-writer"),
    ("Database/Settings", "AWS::RDS::DBClusterParameterGroup", f"{STACK}-set"),
    ("Database/AirflowLogin", "AWS::SecretsManager::Secret", "arn:secret"),
    ("Database/Events", "AWS::RDS::EventSubscription", "events"),
    ("Cache/Nodes", "AWS::ElastiCache::ReplicationGroup", "broker"),
    ("LoadBalancer/LoadBalancer", "AWS::ElasticLoadBalancingV2::LoadBalancer", "lb"),
    ("LoadBalancer/Api", "AWS::ElasticLoadBalancingV2::TargetGroup", "api"),
    ("AirflowServices/ApiServerLog", "AWS::Logs::LogGroup", "api-server-log"),
    (
        "AirflowServices/ApiServer",
        "AWS::ECS::Service",
        f"{ECS}:service/c/{STACK}-api-server",
    ),
    *(
        (
            f"AirflowServices/{component.title}Definition",
            "AWS::ECS::TaskDefinition",
            f"{ECS}:task-definition/{STACK}-{component.name}",
        )
        for component in COMPONENTS
    ),
    ("DefaultScaling", "AWS::CloudFormation::Stack", "arn:aws:cloudformation:::s"),
    ("DefaultScaling/Workers", "AWS::ApplicationAutoScaling::ScalableTarget", "w|x|y"),
    ("DefaultScaling/ScaleOut", "AWS::ApplicationAutoScaling::ScalingPolicy", "out"),
    ("DefaultScaling/Deficit", "AWS::CloudWatch::Alarm", "deficit"),
    ("Monitoring/ApiErrors", "AWS::CloudWatch::Alarm", "api-errors"),
)


def _definition(name: str) -> dict[str, Any]:
    component = next(c for c in COMPONENTS if c.name == name)
    return {
        "containerDefinitions": [
            {
                "name": name,
                "image": IMAGE,
                "environment": [
                    {"name": "PGSSLMODE", "value": "verify-full"}
                    for _ in ({component} & METADATA_DATABASE)
                ],
                "secrets": [
                    {
                        "name": row.name,
                        "valueFrom": f"arn:aws:secretsmanager:r:1:secret:"
                        f"{row.secret.name}{row.is_optional}"
                        + (f":{row.key}::" if row.key else ""),
                    }
                    for row in secrets_of(component)
                ],
                "logConfiguration": {
                    "options": {
                        "awslogs-group": f"{name}-log",
                        "awslogs-stream-prefix": name,
                    }
                },
            }
        ]
    }


def _rules() -> Iterator[dict[str, Any]]:
    """Yield both ends of every connection, and the rule that allows nothing out."""
    outside = {
        "web_clients": {"CidrIpv4": WEB},
        "outbound": {"CidrIpv4": OUTBOUND},
        "s3": {"PrefixListId": "pl-s3"},
    }

    def peer(name: str) -> dict[str, Any]:
        group = {"ReferencedGroupInfo": {"GroupId": f"sg-{name}"}}
        return outside.get(name, group)

    for connection in CONNECTIONS:
        port = {
            "IpProtocol": "tcp",
            "FromPort": connection.port,
            "ToPort": connection.port,
        }
        ends = ((connection.source, connection.target, True),)
        for group, other, is_egress in (
            *ends,
            (connection.target, connection.source, False),
        ):
            if group in SECURITY_GROUPS:
                own = {"GroupId": f"sg-{group}", "IsEgress": is_egress}
                yield {**own, **port, **peer(other)}
    for name in (*WITH_DAG_EGRESS, "worker"):
        own = {"GroupId": f"sg-{name}", "IsEgress": True}
        ports, _, range_ = DAG_EGRESS.partition(" ")
        port = dict(
            zip(("FromPort", "ToPort"), map(int, ports.split("-")), strict=True)
        )
        yield {**own, "IpProtocol": "tcp", **port, "CidrIpv4": range_}
    for name in SECURITY_GROUPS:
        every = {"IpProtocol": "-1", "FromPort": -1, "ToPort": -1}
        own = {"GroupId": f"sg-{name}", "IsEgress": True, "CidrIpv4": "127.0.0.1/32"}
        yield {**own, **every}


DATABASE = {"StorageEncrypted": True, "KmsKeyId": KEY}
TLS_ONLY = (
    '{"Statement": [{"Effect": "Deny", "Condition": '
    '{"Bool": {"aws:SecureTransport": "false"}}}]}'
)

Answer = dict[str, Any] | Callable[[Mapping[str, Any]], dict[str, Any]]


def answers() -> dict[str, Answer]:
    """Return new answers, by service and operation."""
    return {
        "cloudformation:describe_stacks": {
            "Stacks": [
                {
                    "StackId": "arn:aws:cloudformation:::stack/sec/1",
                    "StackName": "sec",
                    "StackStatus": "CREATE_COMPLETE",
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": value}
                        for key, value in {
                            "WebClientCidr": WEB,
                            "WebClientCidr2": "",
                            "WebClientCidr3": "",
                            "WebClients": ",,,",
                            "OutboundHttpsCidr": OUTBOUND,
                            "S3PrefixListId": "pl-s3",
                            "EnableFlower": "true",
                            "DagEgress": f"{DAG_EGRESS},,,",
                            "PoolMinimum": "0",
                            "PoolMaximum": "4",
                        }.items()
                    ],
                }
            ]
        },
        "kms:describe_key": {"KeyMetadata": {"Arn": KEY, "KeyState": "Enabled"}},
        "kms:get_key_rotation_status": {"KeyRotationEnabled": True},
        "s3:get_bucket_encryption": lambda query: {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}
                        if query["Bucket"].endswith("access-logs")
                        else {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
                    }
                ]
            }
        },
        "s3:get_bucket_policy": {"Policy": TLS_ONLY},
        "s3:get_public_access_block": {
            "PublicAccessBlockConfiguration": dict.fromkeys(
                (
                    *("BlockPublicAcls", "IgnorePublicAcls"),
                    *("BlockPublicPolicy", "RestrictPublicBuckets"),
                ),
                True,
            )
        },
        "rds:describe_db_clusters": {
            "DBClusters": [
                {
                    **DATABASE,
                    "DBClusterArn": "arn:database",
                    "DBClusterParameterGroup": f"{STACK}-set",
                    "DeletionProtection": True,
                    "DBClusterMembers": [{}],
                    "Status": "available",
                }
            ]
        },
        "rds:describe_event_subscriptions": {
            "EventSubscriptionsList": [{"Status": "active"}]
        },
        "wafv2:get_web_acl_for_resource": {"WebACL": {"ARN": "arn:acl"}},
        "wafv2:get_logging_configuration": {
            "LoggingConfiguration": {"LogDestinationConfigs": ["arn:log"]}
        },
        "rds:describe_db_instances": {
            "DBInstances": [
                {
                    **DATABASE,
                    "DBInstanceIdentifier": "writer",
                    "PubliclyAccessible": False,
                }
            ]
        },
        "rds:describe_db_cluster_parameters": {
            "Parameters": [{"ParameterName": "rds.force_ssl", "ParameterValue": "1"}]
        },
        "elasticache:describe_replication_groups": {
            "ReplicationGroups": [
                {
                    "AtRestEncryptionEnabled": True,
                    "KmsKeyId": KEY,
                    "TransitEncryptionEnabled": True,
                    "TransitEncryptionMode": "required",
                    "MemberClusters": ["a", "b"],
                    "AutomaticFailover": "enabled",
                    "MultiAZ": "enabled",
                    "Status": "available",
                }
            ]
        },
        "logs:describe_log_groups": {
            "logGroups": [{"logGroupName": "api-server-log", "kmsKeyId": KEY}]
        },
        "logs:describe_log_streams": {"logStreams": [{"logStreamName": "s"}]},
        "secretsmanager:describe_secret": {
            "KmsKeyId": KEY,
            "Tags": [
                {
                    "Key": "aws:cloudformation:stack-name",
                    "Value": "airflow-dev-Database-1",
                }
            ],
        },
        "ecs:describe_clusters": {
            "clusters": [
                {
                    "configuration": {
                        "managedStorageConfiguration": {
                            "fargateEphemeralStorageKmsKeyId": KEY
                        },
                        "executeCommandConfiguration": {"kmsKeyId": KEY},
                    }
                }
            ]
        },
        "sns:get_topic_attributes": {"Attributes": {"KmsMasterKeyId": KEY}},
        "elbv2:describe_listeners": {
            "Listeners": [
                {"Port": 443, "Protocol": "HTTPS", "SslPolicy": TLS_POLICY},
                {
                    "Port": 80,
                    "Protocol": "HTTP",
                    "DefaultActions": [{"Type": "redirect"}],
                },
            ]
        },
        "elbv2:describe_load_balancers": {"LoadBalancers": [{"Scheme": "internal"}]},
        "elbv2:describe_load_balancer_attributes": {
            "Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]
        },
        "elbv2:describe_target_health": {
            "TargetHealthDescriptions": [{"TargetHealth": {"State": "healthy"}}]
        },
        "ec2:describe_security_group_rules": {"SecurityGroupRules": list(_rules())},
        "ecs:describe_task_definition": lambda query: {
            "taskDefinition": _definition(
                query["taskDefinition"].partition(f"/{STACK}-")[2]
            )
        },
        "ecs:describe_services": {
            "services": [
                {
                    "serviceArn": f"{ECS}:service/c/{STACK}-api-server",
                    "serviceName": f"{STACK}-api-server",
                    "taskDefinition": f"{ECS}:task-definition/{STACK}-api-server",
                    "desiredCount": 1,
                    "runningCount": 1,
                    "pendingCount": 0,
                    "deployments": [{"rolloutState": "COMPLETED"}],
                    "networkConfiguration": {
                        "awsvpcConfiguration": {
                            "subnets": ["subnet-1"],
                            "assignPublicIp": "DISABLED",
                        }
                    },
                }
            ]
        },
        "ecs:list_tasks": {"taskArns": ["arn:task"]},
        "ecs:describe_tasks": {"tasks": [{"healthStatus": "HEALTHY"}]},
        "application-autoscaling:describe_scalable_targets": {
            "ScalableTargets": [{"ResourceId": "w", "MinCapacity": 0, "MaxCapacity": 4}]
        },
        "application-autoscaling:describe_scaling_policies": {
            "ScalingPolicies": [{"PolicyARN": "out", "PolicyType": "StepScaling"}]
        },
        "cloudwatch:get_metric_data": lambda query: {
            "MetricDataResults": [
                {"Id": metric["Id"], "Values": [6.0]}
                for metric in query["MetricDataQueries"]
            ]
        },
        "cloudwatch:describe_alarms": {
            "MetricAlarms": [
                {
                    "AlarmName": "deficit",
                    "StateValue": "ALARM",
                    "ActionsEnabled": True,
                    "AlarmActions": ["arn:aws:autoscaling:r:1:scalingPolicy:p"],
                },
                {
                    "AlarmName": "api-errors",
                    "StateValue": "OK",
                    "ActionsEnabled": True,
                    "AlarmActions": ["arn:aws:sns:r:1:airflow-scaling"],
                },
            ]
        },
        "backup:describe_region_settings": {
            "ResourceTypeOptInPreference": {"Aurora": True}
        },
        "backup:list_backup_jobs": {"BackupJobs": [{"State": "COMPLETED"}]},
    }


class RecordedAws:
    """The calls of ``deploy.aws.Aws`` that the checks make; keeps their names."""

    region = "eu-central-1"

    def __init__(self, *, is_local: bool = False) -> None:
        self.answers = answers()
        self.is_local = is_local
        self.called: list[str] = []

    def call(
        self, service: str, operation: str, _resource: str = "", /, **query: Any
    ) -> dict[str, Any]:
        """Return the recorded answer, or raise it."""
        name = f"{service}:{operation}"
        self.called.append(name)
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer(query) if callable(answer) else answer

    def pages(self, *words: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the one page that there is."""
        yield self.call(*words, **query)


def environment(aws: RecordedAws, **parameters: str) -> AwsEnvironment:
    """Return an environment of recorded answers."""
    stack = StackSummary(
        id="arn:aws:cloudformation:::stack/airflow-dev/1",
        name="airflow-dev",
        status="CREATE_COMPLETE",
        reason="",
        parameters={**PARAMETERS, **parameters},
        tags={},
        outputs={"ClusterName": CLUSTER, "AlarmTopicArn": "arn:topic"},
        descriptions={},
        is_protected=True,
        started=datetime(2026, 11, 1, tzinfo=UTC),
    )
    fake = AwsEnvironment(
        cast(Aws, aws), "dev", Path(), stack, "https://a.example", Path()
    )
    fake.resources = [
        StackResource(
            path=tuple(name.split("/")[:-1]),
            stack_id="",
            logical_id=name.split("/")[-1],
            physical_id=physical_id,
            type=kind,
            status="CREATE_COMPLETE",
        )
        for name, kind, physical_id in RESOURCES
    ]
    return fake

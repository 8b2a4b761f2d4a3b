"""Mutations of compiled templates: each changes one value and breaks its controls.

``test_control_mutations.py`` applies each and expects the control's test to fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

REMOVED = object()
"""Removes the value."""

WORLD = "0.0.0.0/0"


@dataclass(frozen=True)
class Mutation:
    """A value to set at a path of a template, and the controls that it breaks.

    A path starts at a resource, or at a section of the template. A last step of ``+``
    adds to a list.
    """

    numbers: tuple[int, ...]
    template: str
    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.template}/{self.path}"


def in_properties(
    template: str, logical_id: str, *rows: tuple[int, str, Any]
) -> list[Mutation]:
    """Return mutations of one resource's properties."""
    return [
        Mutation((number,), template, f"{logical_id}/Properties/{path}", value)
        for number, path, value in rows
    ]


def grant(action: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that should not be there."""
    return {"Effect": "Allow", "Action": [action], "Resource": [resource], **more}


CONTAINER = "ContainerDefinitions/0"
STATEMENTS = "PolicyDocument/Statement"
EXECUTE_COMMAND = "Configuration/ExecuteCommandConfiguration"
NETWORK = "NetworkConfiguration/AwsvpcConfiguration"
DEPLOYMENT = "DeploymentConfiguration"
TRUST = "AssumeRolePolicyDocument/Statement/0"
STEPS = "StepScalingPolicyConfiguration"
TRACKING = "TargetTrackingScalingPolicyConfiguration"
LIFECYCLE = "LifecycleConfiguration/Rules"
ENCRYPTION = "BucketEncryption/ServerSideEncryptionConfiguration/0"

MUTATIONS = (
    *in_properties(
        "database",
        "Cluster",
        (1, "StorageEncrypted", False),
        (2, "KmsKeyId", REMOVED),
        (2, "MasterUserSecret", {}),
        (2, "PerformanceInsightsKmsKeyId", REMOVED),
        (4, "DeletionProtection", False),
        (5, "BackupRetentionPeriod", 6),
        (6, "EnableIAMDatabaseAuthentication", REMOVED),
        (7, "EnableCloudwatchLogsExports", []),
        (8, "CopyTagsToSnapshot", False),
        (9, "Port", 5432),
        (10, "MasterUsername", "postgres"),
        (11, "PreferredMaintenanceWindow", "sun:02:30-sun:03:30"),
        (12, "ServerlessV2ScalingConfiguration/MinCapacity", 0.5),
        (13, "EngineVersion", "11.9"),
        (13, "EngineVersion", "16.6"),
        (16, "PerformanceInsightsEnabled", False),
        (17, "MonitoringInterval", 0),
        (23, "ManageMasterUserPassword", False),
        (23, "MasterUserPassword", "secret"),
        (66, "VpcSecurityGroupIds", ["sg-1"]),
    ),
    *in_properties(
        "database",
        "Settings",
        (3, "Parameters/rds.force_ssl", "0"),
    ),
    *in_properties(
        "database",
        "Writer",
        (14, "AutoMinorVersionUpgrade", REMOVED),
        (15, "PubliclyAccessible", True),
    ),
    Mutation((7,), "database", "Log/Properties/LogGroupName", "/aws/rds/elsewhere"),
    Mutation((18,), "database", "Reader", REMOVED),
    Mutation((19,), "database", "Reader/Properties/PromotionTier", 2),
    Mutation(
        (20,), "database", "ClusterEvents/Properties/EventCategories/0", "creation"
    ),
    Mutation((20,), "database", "InstanceEvents/Properties/Enabled", value=False),
    Mutation((22,), "database", "Cluster/DeletionPolicy", "Delete"),
    Mutation((22,), "database", "Cluster/UpdateReplacePolicy", "Delete"),
    Mutation(
        (21,), "backup", "Selection/Properties/BackupSelection/Resources", ["arn:other"]
    ),
    *in_properties(
        "cache",
        "Nodes",
        (24, "AtRestEncryptionEnabled", False),
        (25, "TransitEncryptionEnabled", False),
        (26, "TransitEncryptionMode", "preferred"),
        (27, "UserGroupIds", REMOVED),
        (28, "AutomaticFailoverEnabled", False),
        (29, "MultiAZEnabled", False),
        (30, "NumCacheClusters", 1),
        (31, "SnapshotRetentionLimit", 0),
        (32, "AutoMinorVersionUpgrade", REMOVED),
        (33, "LogDeliveryConfigurations/1", REMOVED),
        (34, "CacheParameterGroupName", "default.valkey8"),
        (35, "KmsKeyId", REMOVED),
        (37, "ClusterMode", "enabled"),
        (37, "NumNodeGroups", 2),
    ),
    Mutation((31,), "cache", "Nodes/DeletionPolicy", "Delete"),
    Mutation((34,), "cache", "Settings/Properties/Properties", {"timeout": "0"}),
    Mutation((36,), "cache", "CeleryUser/Properties/AccessString", "on ~* &* +@all"),
    Mutation(
        (36,),
        "cache",
        "CeleryUser/Properties/AccessString",
        "on ~* &* -@dangerous +@all",
    ),
    Mutation((38,), "credentials", "Jwt/Properties/KmsKeyId", REMOVED),
    Mutation((39,), "cache", "CeleryLogin/Properties/GenerateSecretString", {}),
    Mutation((40,), "credentials", "Api/Properties/SecretString", "chosen"),
    *in_properties(
        "encryption",
        "Key",
        (41, "EnableKeyRotation", False),
        (42, "KeyPolicy/Statement/0/Principal", "*"),
        (42, "KeyPolicy/Statement/0/Principal", {"AWS": "*"}),
        (43, "KeyPolicy/Statement/1/Condition", REMOVED),
        (43, "KeyPolicy/Statement/2/Condition/StringEquals", REMOVED),
        (44, "PendingWindowInDays", 7),
        (53, "KeyPolicy/Statement/2/Principal/Service", "events.amazonaws.com"),
        (131, "KeyPolicy/Statement/1/Action/0", "kms:Decypher"),
    ),
    *in_properties(
        "storage",
        "Dags",
        (45, "PublicAccessBlockConfiguration/BlockPublicPolicy", False),
        (47, "VersioningConfiguration/Status", "Suspended"),
        (48, f"{LIFECYCLE}/0/AbortIncompleteMultipartUpload", REMOVED),
        (48, f"{LIFECYCLE}/0/Status", "Disabled"),
        (49, f"{ENCRYPTION}/ServerSideEncryptionByDefault/KMSMasterKeyID", REMOVED),
        (49, f"{ENCRYPTION}/BucketKeyEnabled", False),
        (50, "LoggingConfiguration", REMOVED),
        (51, "OwnershipControls/Rules/0/ObjectOwnership", "ObjectWriter"),
        (135, "BucketName", "airflow-dags"),
    ),
    *in_properties(
        "storage",
        "TaskLogsPolicy",
        (46, f"{STATEMENTS}/0/Condition/Bool/aws:SecureTransport", "true"),
        (46, f"{STATEMENTS}/0/Effect", "Allow"),
    ),
    *in_properties(
        "storage",
        "AccessLogsPolicy",
        (52, f"{STATEMENTS}/1/Condition/StringEquals", REMOVED),
        (52, f"{STATEMENTS}/2/Condition", REMOVED),
        (52, f"{STATEMENTS}/2/Resource/0", "arn:anything"),
    ),
    Mutation((53,), "alarm-topic", "Topic/Properties/KmsMasterKeyId", "alias/aws/sns"),
    Mutation(
        (54,), "alarm-topic", f"Publishers/Properties/{STATEMENTS}/0/Principal", "*"
    ),
    Mutation(
        (54,), "alarm-topic", f"Publishers/Properties/{STATEMENTS}/1/Condition", REMOVED
    ),
    Mutation((55,), "network", "FlowLogGroup/Properties/RetentionInDays", REMOVED),
    Mutation(
        (56,), "migration", "MigrationFunctionLog/Properties/RetentionInDays", 180
    ),
    Mutation(
        (56,), "storage", f"TaskLogs/Properties/{LIFECYCLE}/0/ExpirationInDays", 364
    ),
    Mutation((57,), "web-firewall", "Log/Properties/KmsKeyId", REMOVED),
    Mutation((57,), "cluster", "ExecLog/DeletionPolicy", "Delete"),
    Mutation((58,), "network", "FlowLog", REMOVED),
    Mutation((59,), "network", "FlowLog/Properties/TrafficType", "ACCEPT"),
    Mutation(
        (60,), "network", "PublicSubnetB/Properties/MapPublicIpOnLaunch", value=True
    ),
    Mutation(
        (61,), "security", "WebClientsToLoadBalancer443In/Properties/CidrIp", WORLD
    ),
    Mutation((61,), "parent", "Parameters/WebClientCidr/MinLength", 0),
    Mutation((62,), "network", "NatB/Properties/SubnetId", {"Ref": "PublicSubnetA"}),
    Mutation(
        (62,), "network", "PrivateWayOutC/Properties/NatGatewayId", {"Ref": "NatA"}
    ),
    Mutation((63,), "endpoints", "Sts", REMOVED),
    Mutation(
        (63,), "endpoints", "Kms/Properties/VpcEndpointType", "GatewayLoadBalancer"
    ),
    Mutation((64,), "network", f"S3/Properties/{STATEMENTS}/1", REMOVED),
    Mutation((64,), "network", f"S3/Properties/{STATEMENTS}/0/Condition", REMOVED),
    Mutation((65,), "endpoints", "Logs/Properties/PrivateDnsEnabled", value=False),
    Mutation((65,), "network", "Vpc/Properties/EnableDnsHostnames", value=False),
    Mutation(
        (66, 67),
        "security",
        "MigrationToDatabase5433In/Properties/CidrIp",
        "10.0.0.0/8",
    ),
    Mutation((66, 67), "security", "WorkerToDatabase5433In/Properties/CidrIp", WORLD),
    Mutation((68,), "security", "Worker/Properties/SecurityGroupEgress", []),
    Mutation(
        (68, 69),
        "security",
        "Worker/Properties/SecurityGroupEgress/+",
        {"IpProtocol": "-1", "CidrIp": WORLD, "Description": "All"},
    ),
    Mutation((69,), "security", "WorkerToOutbound443Out/Properties/ToPort", 65535),
    Mutation((70,), "security", "WorkerToEndpoints443Out/Properties/CidrIp", WORLD),
    Mutation(
        (71,), "security", "WorkerToCache6379Out/Properties/Description", "to -> cache"
    ),
    Mutation((71,), "security", "WorkerToCache6379In/Properties/Description", REMOVED),
    Mutation(
        (72,),
        "network",
        "DataSubnetBRoutes/Properties/RouteTableId",
        {"Ref": "PrivateRoutesB"},
    ),
    Mutation((72,), "network", "DataSubnetCRoutes", REMOVED),
    Mutation(
        (73,), "parent", "Parameters/LoadBalancerScheme/Default", "internet-facing"
    ),
    *in_properties(
        "load-balancer",
        "LoadBalancer",
        (74, "LoadBalancerAttributes/2/Value", "false"),
        (75, "LoadBalancerAttributes/3/Value", "false"),
        (76, "LoadBalancerAttributes/0/Value", "false"),
        (77, "LoadBalancerAttributes/6/Value", "false"),
        (78, "LoadBalancerAttributes/1/Value", "monitor"),
    ),
    Mutation(
        (79,),
        "load-balancer",
        "Https/Properties/SslPolicy",
        "ELBSecurityPolicy-TLS13-1-0-2021-06",
    ),
    Mutation((80,), "web-firewall", "Association", REMOVED),
    Mutation((81,), "web-firewall", "Logging/Properties/RedactedFields/1", REMOVED),
    Mutation(
        (82,),
        "load-balancer",
        "Http/Properties/DefaultActions",
        [{"Type": "forward", "TargetGroupArn": {"Ref": "Api"}}],
    ),
    Mutation((82,), "load-balancer", "Pages/Properties/ListenerArn", {"Ref": "Http"}),
    Mutation((83,), "load-balancer", "Api/Properties/HealthCheckPath", REMOVED),
    Mutation((84,), "security", "LoadBalancerToFlower5555In", REMOVED),
    Mutation(
        (84,), "security", "LoadBalancerToApiServer8080In/Properties/CidrIp", WORLD
    ),
    *in_properties(
        "cluster",
        "Cluster",
        (85, "ClusterSettings/0/Value", "disabled"),
        (86, f"{EXECUTE_COMMAND}/KmsKeyId", REMOVED),
        (86, f"{EXECUTE_COMMAND}/Logging", "DEFAULT"),
        (86, f"{EXECUTE_COMMAND}/LogConfiguration/CloudWatchEncryptionEnabled", False),
        (87, "Configuration/ManagedStorageConfiguration", {}),
    ),
    *in_properties(
        "airflow-services",
        "SchedulerDefinition",
        (3, f"{CONTAINER}/Environment/+", {"Name": "PGSSLMODE", "Value": "require"}),
        (88, f"{CONTAINER}/ReadonlyRootFilesystem", "false"),
        (88, "Volumes", []),
        (89, f"{CONTAINER}/User", "0:0"),
        (90, f"{CONTAINER}/User", REMOVED),
        (91, f"{CONTAINER}/Privileged", True),
        (92, f"{CONTAINER}/LinuxParameters/Capabilities", {"Add": ["SYS_PTRACE"]}),
        (93, f"{CONTAINER}/LinuxParameters/InitProcessEnabled", REMOVED),
        (94, f"{CONTAINER}/LogConfiguration", REMOVED),
        (95, f"{CONTAINER}/HealthCheck", REMOVED),
        (95, f"{CONTAINER}/HealthCheck/StartPeriod", 60),
        (98, f"{CONTAINER}/Memory", "999999"),
        (99, f"{CONTAINER}/LogConfiguration/Options/mode", "blocking"),
        (100, "TaskRoleArn", REMOVED),
        (101, "PidMode", "host"),
        (102, "Cpu", "4096"),
        (103, "TaskRoleArn", {"Fn::GetAtt": ["SchedulerExecutionRole", "Arn"]}),
        (103, "TaskRoleArn", {"Fn::GetAtt": ["TriggererTaskRole", "Arn"]}),
        (
            104,
            f"{CONTAINER}/Environment/+",
            {"Name": "SMTP_PASSWORD", "Value": "hunter2"},
        ),
        (
            105,
            f"{CONTAINER}/Environment/+",
            {"Name": "URL", "Value": "redis://airflow:hunter2@broker:6379/0"},
        ),
        (
            106,
            f"{CONTAINER}/Environment/+",
            {"Name": "X", "Value": "{{resolve:secretsmanager:x}}"},
        ),
        (106, f"{CONTAINER}/Secrets/0/ValueFrom", "arn:of:another:secret"),
    ),
    *in_properties(
        "workers",
        "WorkerDefinition",
        (96, f"{CONTAINER}/StopTimeout", 30),
        (97, f"{CONTAINER}/StopTimeout", 600),
        (
            107,
            f"{CONTAINER}/Environment/+",
            {"Name": "AIRFLOW__CELERY__SSL_ACTIVE", "Value": "False"},
        ),
    ),
    *in_properties(
        "airflow-services",
        "Scheduler",
        (86, "EnableExecuteCommand", True),
        (108, f"{DEPLOYMENT}/DeploymentCircuitBreaker/Enable", False),
        (109, f"{DEPLOYMENT}/DeploymentCircuitBreaker/Rollback", False),
        (111, f"{DEPLOYMENT}/MinimumHealthyPercent", 50),
        (111, f"{DEPLOYMENT}/MaximumPercent", 100),
        (112, f"{NETWORK}/AssignPublicIp", "ENABLED"),
        (113, f"{NETWORK}/Subnets", ["<Network.PrivateSubnetA>"]),
        (114, "AvailabilityZoneRebalancing", "DISABLED"),
        (115, "PlatformVersion", "1.3.0"),
        (118, "PropagateTags", REMOVED),
        (118, "EnableECSManagedTags", False),
    ),
    Mutation(
        (114,), "workers", "Worker/Properties/AvailabilityZoneRebalancing", REMOVED
    ),
    Mutation(
        (116,),
        "airflow-services",
        "ApiServer/Properties/HealthCheckGracePeriodSeconds",
        60,
    ),
    Mutation((117,), "api-scaling", "ApiServers/Properties/MinCapacity", 1),
    Mutation((119,), "scaling", "Workers/Properties/MinCapacity", 500),
    Mutation((120,), "api-scaling", f"Cpu/Properties/{TRACKING}/ScaleInCooldown", 0),
    Mutation(
        (120,),
        "scaling",
        f"RaiseToFloor/Properties/{STEPS}",
        {"Cooldown": 0, "StepAdjustments": [{"ScalingAdjustment": -1}]},
    ),
    Mutation((121,), "monitoring", "SchedulerTasks/Properties/AlarmActions", []),
    Mutation((121,), "scaling", "Surplus/Properties/AlarmActions", ["arn:elsewhere"]),
    Mutation((122,), "scaling", "Heartbeat/Properties/ActionsEnabled", value=False),
    *in_properties(
        "network",
        "FlowLogWriter",
        (123, f"{TRUST}/Condition", REMOVED),
        (123, f"{TRUST}/Condition/ArnLike", REMOVED),
        (124, f"{TRUST}/Principal", {"AWS": "*"}),
        (132, "Policies", [{"PolicyName": "inline"}]),
    ),
    *in_properties(
        "airflow-services",
        "SchedulerTaskPolicy",
        (125, f"{STATEMENTS}/+", grant("s3:*", "arn:some")),
        (125, f"{STATEMENTS}/+", grant("ecs:Run*", "arn:some")),
        (126, f"{STATEMENTS}/+", grant("iam:PassRole")),
        (127, f"{STATEMENTS}/+", grant("secretsmanager:GetSecretValue")),
        (128, f"{STATEMENTS}/+", grant("kms:Decrypt")),
        (129, f"{STATEMENTS}/+", grant("ecs:ListTasks")),
        (130, f"{STATEMENTS}/+", grant("cloudwatch:PutMetricData")),
        (
            130,
            f"{STATEMENTS}/+",
            grant(
                "cloudwatch:PutMetricData",
                Condition={"StringEquals": {"cloudwatch:namespace": "AWS/ECS"}},
            ),
        ),
        (131, f"{STATEMENTS}/+", grant("logs:PutLogEvent", "arn:some")),
    ),
    *in_properties(
        "migration",
        "MigrationFunctionPolicy",
        (126, f"{STATEMENTS}/2/Condition", REMOVED),
    ),
    Mutation(
        (128,),
        "workers",
        f"WorkerExecutionPolicy/Properties/{STATEMENTS}/4/Condition",
        REMOVED,
    ),
    Mutation((133,), "storage", "Parameters/Unused", {"Type": "String"}),
    Mutation(
        (134,), "cluster", "Cluster/Properties/Tags", [{"Value": "arn:aws-cn:iam::1:x"}]
    ),
    Mutation((135,), "load-balancer", "LoadBalancer/Properties/Name", "airflow"),
    Mutation(
        (135,),
        "migration",
        "MigrationFunctionLog/Properties/LogGroupName",
        "/aws/lambda/airflow-migration",
    ),
)

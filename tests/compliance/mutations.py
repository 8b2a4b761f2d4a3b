"""Mutations of compiled templates: each changes one value and breaks a control.

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
    """A value to set at a path of a template.

    A path starts at a resource, or at a section of the template. A last step of ``+``
    appends to a list.
    """

    template: str
    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.template}/{self.path}"


def grant(action: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    """Return a statement that should not be there."""
    return {"Effect": "Allow", "Action": [action], "Resource": [resource], **more}


CONTAINER = "ContainerDefinitions/0"
CONTEXT = "kms:EncryptionContext:"
STATEMENTS = "PolicyDocument/Statement"
EXECUTE_COMMAND = "Configuration/ExecuteCommandConfiguration"
NETWORK = "NetworkConfiguration/AwsvpcConfiguration"
DEPLOYMENT = "DeploymentConfiguration"
TRUST = "AssumeRolePolicyDocument/Statement/0"
STEPS = "StepScalingPolicyConfiguration"
TRACKING = "TargetTrackingScalingPolicyConfiguration"
LIFECYCLE = "LifecycleConfiguration/Rules"
ENCRYPTION = "BucketEncryption/ServerSideEncryptionConfiguration/0"

BY_TEMPLATE: dict[str, tuple[tuple[int, str, Any], ...]] = {
    "database": (
        (1, "Cluster.StorageEncrypted", False),
        (2, "Cluster.KmsKeyId", REMOVED),
        (2, "Cluster.MasterUserSecret", {}),
        (2, "Cluster.PerformanceInsightsKmsKeyId", REMOVED),
        (4, "Cluster.DeletionProtection", False),
        (5, "Cluster.BackupRetentionPeriod", 6),
        (6, "Cluster.EnableIAMDatabaseAuthentication", REMOVED),
        (7, "Cluster.EnableCloudwatchLogsExports", []),
        (8, "Cluster.CopyTagsToSnapshot", False),
        (9, "Cluster.Port", 5432),
        (10, "Cluster.MasterUsername", "postgres"),
        (11, "Cluster.PreferredMaintenanceWindow", "sun:02:30-sun:03:30"),
        (12, "Cluster.ServerlessV2ScalingConfiguration/MinCapacity", 0.5),
        (13, "Cluster.EngineVersion", "11.9"),
        (13, "Cluster.EngineVersion", "16.6"),
        (16, "Cluster.PerformanceInsightsEnabled", False),
        (17, "Cluster.MonitoringInterval", 0),
        (23, "Cluster.ManageMasterUserPassword", False),
        (23, "Cluster.MasterUserPassword", "secret"),
        (66, "Cluster.VpcSecurityGroupIds", ["sg-1"]),
        (3, "Settings.Parameters/rds.force_ssl", "0"),
        (14, "Writer.AutoMinorVersionUpgrade", REMOVED),
        (15, "Writer.PubliclyAccessible", True),
        (7, "Log.LogGroupName", "/aws/rds/elsewhere"),
        (18, "Reader", REMOVED),
        (19, "Reader.PromotionTier", 2),
        (20, "ClusterEvents.EventCategories/0", "creation"),
        (20, "InstanceEvents.Enabled", False),
        (22, "Cluster/DeletionPolicy", "Delete"),
        (22, "Cluster/UpdateReplacePolicy", "Delete"),
    ),
    "backup": ((21, "Selection.BackupSelection/Resources", ["arn:other"]),),
    "cache": (
        (24, "Nodes.AtRestEncryptionEnabled", False),
        (25, "Nodes.TransitEncryptionEnabled", False),
        (26, "Nodes.TransitEncryptionMode", "preferred"),
        (27, "Nodes.UserGroupIds", REMOVED),
        (28, "Nodes.AutomaticFailoverEnabled", False),
        (29, "Nodes.MultiAZEnabled", False),
        (30, "Nodes.NumCacheClusters", 1),
        (31, "Nodes.SnapshotRetentionLimit", 0),
        (32, "Nodes.AutoMinorVersionUpgrade", REMOVED),
        (33, "Nodes.LogDeliveryConfigurations/1", REMOVED),
        (34, "Nodes.CacheParameterGroupName", "default.valkey8"),
        (35, "Nodes.KmsKeyId", REMOVED),
        (37, "Nodes.ClusterMode", "enabled"),
        (37, "Nodes.NumNodeGroups", 2),
        (31, "Nodes/DeletionPolicy", "Delete"),
        (34, "Settings.Properties", {"timeout": "0"}),
        (36, "CeleryUser.AccessString", "on ~* &* +@all"),
        (36, "CeleryUser.AccessString", "on ~* &* -@dangerous +@all"),
        (39, "CeleryLogin.GenerateSecretString", {}),
    ),
    "credentials": (
        (38, "Jwt.KmsKeyId", REMOVED),
        (40, "Api.SecretString", "chosen"),
    ),
    "encryption": (
        (41, "Key.EnableKeyRotation", False),
        (42, "Key.KeyPolicy/Statement/0/Principal", "*"),
        (42, "Key.KeyPolicy/Statement/0/Principal", {"AWS": "*"}),
        (43, "Key.KeyPolicy/Statement/1/Condition", REMOVED),
        (43, "Key.KeyPolicy/Statement/2/Condition/StringEquals", REMOVED),
        (44, "Key.PendingWindowInDays", 7),
        (53, "Key.KeyPolicy/Statement/2/Principal/Service", "events.amazonaws.com"),
        (131, "Key.KeyPolicy/Statement/1/Action/0", "kms:Decypher"),
    ),
    "storage": (
        (45, "Dags.PublicAccessBlockConfiguration/BlockPublicPolicy", False),
        (47, "Dags.VersioningConfiguration/Status", "Suspended"),
        (48, f"Dags.{LIFECYCLE}/0/AbortIncompleteMultipartUpload", REMOVED),
        (48, f"Dags.{LIFECYCLE}/0/Status", "Disabled"),
        (
            49,
            f"Dags.{ENCRYPTION}/ServerSideEncryptionByDefault/KMSMasterKeyID",
            REMOVED,
        ),
        (49, f"Dags.{ENCRYPTION}/BucketKeyEnabled", False),
        (50, "Dags.LoggingConfiguration", REMOVED),
        (51, "Dags.OwnershipControls/Rules/0/ObjectOwnership", "ObjectWriter"),
        (135, "Dags.BucketName", "airflow-dags"),
        (
            46,
            f"TaskLogsPolicy.{STATEMENTS}/0/Condition/Bool/aws:SecureTransport",
            "true",
        ),
        (46, f"TaskLogsPolicy.{STATEMENTS}/0/Effect", "Allow"),
        (52, f"AccessLogsPolicy.{STATEMENTS}/1/Condition/StringEquals", REMOVED),
        (52, f"AccessLogsPolicy.{STATEMENTS}/2/Condition", REMOVED),
        (52, f"AccessLogsPolicy.{STATEMENTS}/2/Resource/0", "arn:anything"),
        (56, f"TaskLogs.{LIFECYCLE}/0/ExpirationInDays", 364),
        (133, "Parameters/Unused", {"Type": "String"}),
    ),
    "alarm-topic": (
        (53, "Topic.KmsMasterKeyId", "alias/aws/sns"),
        (54, f"Publishers.{STATEMENTS}/0/Principal", "*"),
        (54, f"Publishers.{STATEMENTS}/1/Condition", REMOVED),
    ),
    "network": (
        (55, "FlowLogGroup.RetentionInDays", REMOVED),
        (58, "FlowLog", REMOVED),
        (59, "FlowLog.TrafficType", "ACCEPT"),
        (60, "PublicSubnetB.MapPublicIpOnLaunch", True),
        (62, "NatB.SubnetId", {"Ref": "PublicSubnetA"}),
        (62, "PrivateNatRouteC.NatGatewayId", {"Ref": "NatA"}),
        (64, f"S3.{STATEMENTS}/1", REMOVED),
        (64, f"S3.{STATEMENTS}/0/Condition", REMOVED),
        (64, f"S3.{STATEMENTS}/1/Condition", REMOVED),
        (65, "Vpc.EnableDnsHostnames", False),
        (72, "DataSubnetBRoutes.RouteTableId", {"Ref": "PrivateRoutesB"}),
        (72, "DataSubnetCRoutes", REMOVED),
        (123, f"FlowLogWriter.{TRUST}/Condition", REMOVED),
        (123, f"FlowLogWriter.{TRUST}/Condition/ArnLike", REMOVED),
        (124, f"FlowLogWriter.{TRUST}/Principal", {"AWS": "*"}),
        (132, "FlowLogWriter.Policies", [{"PolicyName": "inline"}]),
    ),
    "migration": (
        (56, "MigrationFunctionLog.RetentionInDays", 180),
        (126, f"MigrationFunctionPolicy.{STATEMENTS}/2/Condition", REMOVED),
        (135, "MigrationFunctionLog.LogGroupName", "/aws/lambda/airflow-migration"),
    ),
    "web-firewall": (
        (57, "Log.KmsKeyId", REMOVED),
        (80, "Association", REMOVED),
        (81, "Logging.RedactedFields/1", REMOVED),
    ),
    "cluster": (
        (57, "ExecLog/DeletionPolicy", "Delete"),
        (85, "Cluster.ClusterSettings/0/Value", "disabled"),
        (86, f"Cluster.{EXECUTE_COMMAND}/KmsKeyId", REMOVED),
        (86, f"Cluster.{EXECUTE_COMMAND}/Logging", "DEFAULT"),
        (
            86,
            f"Cluster.{EXECUTE_COMMAND}/LogConfiguration/CloudWatchEncryptionEnabled",
            False,
        ),
        (87, "Cluster.Configuration/ManagedStorageConfiguration", {}),
        (134, "Cluster.Tags", [{"Value": "arn:aws-cn:iam::1:x"}]),
    ),
    "security": (
        (61, "LoadBalancer.SecurityGroupIngress/0/CidrIp", WORLD),
        (66, "MigrationToDatabase5433In.CidrIp", "10.0.0.0/8"),
        (67, "MigrationToDatabase5433In.CidrIp", "10.0.0.0/8"),
        (66, "SchedulerToDatabase5433In.CidrIp", WORLD),
        (67, "SchedulerToDatabase5433In.CidrIp", WORLD),
        (68, "Scheduler.SecurityGroupEgress", []),
        (
            68,
            "Scheduler.SecurityGroupEgress/+",
            {"IpProtocol": "-1", "CidrIp": WORLD, "Description": "All"},
        ),
        (
            69,
            "Scheduler.SecurityGroupEgress/+",
            {"IpProtocol": "-1", "CidrIp": WORLD, "Description": "All"},
        ),
        (69, "SchedulerToOutbound443Out.ToPort", 65535),
        (70, "SchedulerToEndpoints443Out.CidrIp", WORLD),
        (71, "SchedulerToCache6379Out.Description", "to -> cache"),
        (71, "SchedulerToCache6379In.Description", REMOVED),
        (84, "LoadBalancerToFlower5555In", REMOVED),
        (84, "LoadBalancerToApiServer8080In.CidrIp", WORLD),
    ),
    "parent": (
        (61, "Parameters/WebClientCidr/MinLength", 0),
        (73, "Parameters/LoadBalancerScheme/Default", "internet-facing"),
    ),
    "endpoints": (
        (63, "Sts", REMOVED),
        (63, "Kms.VpcEndpointType", "GatewayLoadBalancer"),
        (65, "Logs.PrivateDnsEnabled", False),
    ),
    "load-balancer": (
        (74, "LoadBalancer.LoadBalancerAttributes/2/Value", "false"),
        (75, "LoadBalancer.LoadBalancerAttributes/3/Value", "false"),
        (76, "LoadBalancer.LoadBalancerAttributes/0/Value", "false"),
        (77, "LoadBalancer.LoadBalancerAttributes/6/Value", "false"),
        (78, "LoadBalancer.LoadBalancerAttributes/1/Value", "monitor"),
        (79, "Https.SslPolicy", "ELBSecurityPolicy-TLS13-1-0-2021-06"),
        (
            82,
            "Http.DefaultActions",
            [{"Type": "forward", "TargetGroupArn": {"Ref": "Api"}}],
        ),
        (82, "Pages.ListenerArn", {"Ref": "Http"}),
        (83, "Api.HealthCheckPath", REMOVED),
        (135, "LoadBalancer.Name", "airflow"),
    ),
    "airflow-services": (
        (
            3,
            f"SchedulerDefinition.{CONTAINER}/Environment/+",
            {"Name": "PGSSLMODE", "Value": "require"},
        ),
        (88, f"SchedulerDefinition.{CONTAINER}/ReadonlyRootFilesystem", "false"),
        (88, "SchedulerDefinition.Volumes", []),
        (89, f"SchedulerDefinition.{CONTAINER}/User", "0:0"),
        (90, f"SchedulerDefinition.{CONTAINER}/User", REMOVED),
        (91, f"SchedulerDefinition.{CONTAINER}/Privileged", True),
        (
            92,
            f"SchedulerDefinition.{CONTAINER}/LinuxParameters/Capabilities",
            {"Add": ["SYS_PTRACE"]},
        ),
        (
            93,
            f"SchedulerDefinition.{CONTAINER}/LinuxParameters/InitProcessEnabled",
            REMOVED,
        ),
        (94, f"SchedulerDefinition.{CONTAINER}/LogConfiguration", REMOVED),
        (95, f"SchedulerDefinition.{CONTAINER}/HealthCheck", REMOVED),
        (95, f"SchedulerDefinition.{CONTAINER}/HealthCheck/StartPeriod", 60),
        (98, f"SchedulerDefinition.{CONTAINER}/Memory", "999999"),
        (98, f"ApiServerDefinition.{CONTAINER}/Memory", {"Ref": "ApiServerSizeMemory"}),
        (
            99,
            f"SchedulerDefinition.{CONTAINER}/LogConfiguration/Options/mode",
            "blocking",
        ),
        (100, "SchedulerDefinition.TaskRoleArn", REMOVED),
        (101, "SchedulerDefinition.PidMode", "host"),
        (102, "SchedulerDefinition.Cpu", "4096"),
        (
            103,
            "SchedulerDefinition.TaskRoleArn",
            {"Fn::GetAtt": ["SchedulerExecutionRole", "Arn"]},
        ),
        (
            103,
            "SchedulerDefinition.TaskRoleArn",
            {"Fn::GetAtt": ["TriggererTaskRole", "Arn"]},
        ),
        (
            104,
            f"SchedulerDefinition.{CONTAINER}/Environment/+",
            {"Name": "SMTP_PASSWORD", "Value": "hunter2"},
        ),
        (
            105,
            f"SchedulerDefinition.{CONTAINER}/Environment/+",
            {"Name": "URL", "Value": "redis://airflow:hunter2@broker:6379/0"},
        ),
        (
            106,
            f"SchedulerDefinition.{CONTAINER}/Environment/+",
            {"Name": "X", "Value": "{{resolve:secretsmanager:x}}"},
        ),
        (
            106,
            f"SchedulerDefinition.{CONTAINER}/Secrets/0/ValueFrom",
            "arn:of:another:secret",
        ),
        (86, "Scheduler.EnableExecuteCommand", True),
        (108, f"Scheduler.{DEPLOYMENT}/DeploymentCircuitBreaker/Enable", False),
        (109, f"Scheduler.{DEPLOYMENT}/DeploymentCircuitBreaker/Rollback", False),
        (111, f"Scheduler.{DEPLOYMENT}/MinimumHealthyPercent", 50),
        (111, f"Scheduler.{DEPLOYMENT}/MaximumPercent", 100),
        (112, f"Scheduler.{NETWORK}/AssignPublicIp", "ENABLED"),
        (113, f"Scheduler.{NETWORK}/Subnets", ["<Network.PrivateSubnetA>"]),
        (114, "Scheduler.AvailabilityZoneRebalancing", "DISABLED"),
        (115, "Scheduler.PlatformVersion", "1.3.0"),
        (118, "Scheduler.PropagateTags", REMOVED),
        (118, "Scheduler.EnableECSManagedTags", False),
        (116, "ApiServer.HealthCheckGracePeriodSeconds", 60),
        (125, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("s3:*", "arn:some")),
        (125, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("ecs:Run*", "arn:some")),
        (126, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("iam:PassRole")),
        (
            127,
            f"SchedulerTaskPolicy.{STATEMENTS}/+",
            grant("secretsmanager:GetSecretValue"),
        ),
        (128, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("kms:Decrypt")),
        (
            128,
            f"FernetPolicy.{STATEMENTS}/0/Condition/ArnEquals/{CONTEXT}SecretARN",
            "*",
        ),
        (129, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("ecs:ListTasks")),
        (129, f"PullPolicy.{STATEMENTS}/1/Resource", "*"),
        (130, f"SchedulerTaskPolicy.{STATEMENTS}/+", grant("cloudwatch:PutMetricData")),
        (
            130,
            f"SchedulerTaskPolicy.{STATEMENTS}/+",
            grant(
                "cloudwatch:PutMetricData",
                Condition={"StringEquals": {"cloudwatch:namespace": "AWS/ECS"}},
            ),
        ),
        (
            131,
            f"SchedulerTaskPolicy.{STATEMENTS}/+",
            grant("logs:PutLogEvent", "arn:some"),
        ),
    ),
    "workers": (
        (96, f"WorkerDefinition.{CONTAINER}/StopTimeout", 30),
        (97, f"WorkerDefinition.{CONTAINER}/StopTimeout", 600),
        (
            107,
            f"WorkerDefinition.{CONTAINER}/Environment/+",
            {"Name": "AIRFLOW__CELERY__SSL_ACTIVE", "Value": "False"},
        ),
        (66, "WorkerToDatabase5433In.CidrIp", WORLD),
        (68, "SecurityGroup.SecurityGroupEgress", []),
        (69, "SecurityGroup.SecurityGroupEgress/3/ToPort", 65535),
        (71, "SecurityGroup.SecurityGroupEgress/3/Description", "to -> cache"),
        (114, "Worker.AvailabilityZoneRebalancing", REMOVED),
        (128, f"WorkerExecutionPolicy.{STATEMENTS}/2/Condition", REMOVED),
    ),
    "api-scaling": (
        (117, "ApiServers.MinCapacity", 1),
        (120, f"Cpu.{TRACKING}/ScaleInCooldown", 0),
    ),
    "scaling": (
        (119, "Workers.MinCapacity", 500),
        (
            120,
            f"RaiseToFallbackMinimum.{STEPS}",
            {"Cooldown": 0, "StepAdjustments": [{"ScalingAdjustment": -1}]},
        ),
        (121, "Surplus.AlarmActions", ["arn:elsewhere"]),
        (122, "Heartbeat.ActionsEnabled", False),
    ),
    "monitoring": ((121, "SchedulerTasks.AlarmActions", []),),
}
"""Control, path and value; ``Cluster.Port`` is the property of a resource."""

MUTATIONS = tuple(
    (number, Mutation(template, path.replace(".", "/Properties/", 1), value))
    for template, rows in BY_TEMPLATE.items()
    for number, path, value in rows
)

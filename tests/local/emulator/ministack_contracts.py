"""The required behaviour of every resource type that a compiled template contains.

One row per type: its properties, the form of Ref and GetAtt, the effect of a change,
and its kind. A type that a template uses and this table lacks fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["real", "emulated", "stub"]

NAME = r"[A-Za-z][\w.-]*"
ARN = r"arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d*:.+"
HOST = r"[A-Za-z0-9-]+(\.[a-z0-9-]+)+"


def ref(name: str) -> dict[str, Any]:
    """Refer to a resource of SUPPORT, or to the one under test: ``It``."""
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, Any]:
    """Get an attribute of a resource of SUPPORT."""
    return {"Fn::GetAtt": [name, attribute]}


def policy(action: str, principal: str = "") -> dict[str, Any]:
    """Allow something, so that a property holds a policy document."""
    who = {"Principal": {"Service": principal}} if principal else {}
    where = {} if action == "sts:AssumeRole" else {"Resource": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, **who, **where}],
    }


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The required behaviour of a resource type."""

    kind: Kind = "emulated"
    properties: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Any]
    """Properties that an update changes."""
    ref: str = NAME
    attributes: Mapping[str, str] = field(default_factory=dict)
    replaces: bool = False
    """Whether the change replaces the resource."""


TAGS = {"Tags": [{"Key": "colour", "Value": "blue"}]}
IMAGE = "apache/airflow:3.3.2-python3.12"
CONTAINER = {"Name": "main", "Image": IMAGE, "Essential": True}
TEMPLATE_URL = "https://published/"
"""Placeholder for the URL of an existing template."""
TWO_SUBNETS = [ref("SubnetA"), ref("SubnetB")]
RULE = {"IpProtocol": "tcp", "FromPort": "443", "ToPort": "443"}

SUPPORT: Mapping[str, Mapping[str, Any]] = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
    "SubnetA": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {
            "VpcId": ref("Vpc"),
            "CidrBlock": "10.0.0.0/24",
            "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
        },
    },
    "SubnetB": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {
            "VpcId": ref("Vpc"),
            "CidrBlock": "10.0.1.0/24",
            "AvailabilityZone": {"Fn::Select": [1, {"Fn::GetAZs": ""}]},
        },
    },
    "Gateway": {"Type": "AWS::EC2::InternetGateway"},
    "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": ref("Vpc")}},
    "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
    "Group": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "One", "VpcId": ref("Vpc")},
    },
    "Peer": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "Other", "VpcId": ref("Vpc")},
    },
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": policy("sts:AssumeRole", "lambda.amazonaws.com")
        },
    },
    "Topic": {"Type": "AWS::SNS::Topic"},
    "Log": {"Type": "AWS::Logs::LogGroup"},
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Cluster": {"Type": "AWS::ECS::Cluster"},
    "Definition": {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {"ContainerDefinitions": [CONTAINER]},
    },
    "DatabaseSubnets": {
        "Type": "AWS::RDS::DBSubnetGroup",
        "Properties": {"DBSubnetGroupDescription": "Data", "SubnetIds": TWO_SUBNETS},
    },
    "Database": {
        "Type": "AWS::RDS::DBCluster",
        "DeletionPolicy": "Delete",
        "Properties": {
            "Engine": "aurora-postgresql",
            "ManageMasterUserPassword": "true",
            "MasterUsername": "postgres",
        },
    },
    "CacheSubnets": {
        "Type": "AWS::ElastiCache::SubnetGroup",
        "Properties": {"Description": "Data", "SubnetIds": TWO_SUBNETS},
    },
    "User": {
        "Type": "AWS::ElastiCache::User",
        "Properties": {
            "UserId": {"Fn::Sub": "${AWS::StackName}-default"},
            "UserName": "default",
            "Engine": "valkey",
            "AccessString": "off -@all",
            "AuthenticationMode": {"Type": "no-password-required"},
        },
    },
    "Balancer": {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": {"Subnets": TWO_SUBNETS},
    },
    "Targets": {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Properties": {"Port": 80, "Protocol": "HTTP", "VpcId": ref("Vpc")},
    },
    "Listener": {
        "Type": "AWS::ElasticLoadBalancingV2::Listener",
        "Properties": {
            "LoadBalancerArn": ref("Balancer"),
            "Port": 80,
            "Protocol": "HTTP",
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("Targets")}],
        },
    },
    "Vault": {
        "Type": "AWS::Backup::BackupVault",
        "Properties": {"BackupVaultName": {"Fn::Sub": "${AWS::StackName}-vault"}},
    },
    "Plan": {
        "Type": "AWS::Backup::BackupPlan",
        "Properties": {
            "BackupPlan": {
                "BackupPlanName": "daily",
                "BackupPlanRule": [
                    {"RuleName": "daily", "TargetBackupVault": ref("Vault")}
                ],
            }
        },
    },
    "Acl": {
        "Type": "AWS::WAFv2::WebACL",
        "Properties": {
            "DefaultAction": {"Allow": {}},
            "Scope": "REGIONAL",
            "VisibilityConfig": {
                "CloudWatchMetricsEnabled": True,
                "MetricName": "web",
                "SampledRequestsEnabled": True,
            },
        },
    },
    "Scalable": {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {
            "MaxCapacity": 3,
            "MinCapacity": 1,
            "ResourceId": "service/cluster/service",
            "ScalableDimension": "ecs:service:DesiredCount",
            "ServiceNamespace": "ecs",
        },
    },
    "Product": {
        "Type": "AWS::ServiceCatalog::CloudFormationProduct",
        "Properties": {
            "Name": "Airflow",
            "Owner": "Platform",
            "ProvisioningArtifactParameters": [
                {"Name": "v1", "Info": {"LoadTemplateFromURL": TEMPLATE_URL}}
            ],
        },
    },
    "Portfolio": {
        "Type": "AWS::ServiceCatalog::Portfolio",
        "Properties": {"DisplayName": "Data", "ProviderName": "Platform"},
    },
    "TagOption": {
        "Type": "AWS::ServiceCatalog::TagOption",
        "Properties": {"Key": "team", "Value": "data"},
    },
}

CONTRACTS: Mapping[str, Contract] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": Contract(
        kind="stub",
        properties=SUPPORT["Scalable"]["Properties"],
        ref=r"service/cluster/service\|ecs:service:DesiredCount\|ecs",
        change={"MaxCapacity": "5"},
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Contract(
        kind="stub",
        properties={
            "PolicyName": "step",
            "PolicyType": "StepScaling",
            "ScalingTargetId": ref("Scalable"),
            "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"},
        },
        ref=ARN,
        attributes={"Arn": ARN},
        change={"StepScalingPolicyConfiguration": {"AdjustmentType": "ExactCapacity"}},
    ),
    "AWS::Backup::BackupPlan": Contract(
        properties=SUPPORT["Plan"]["Properties"],
        ref=r"[0-9a-f-]{36}",
        change={
            "BackupPlan": {
                "BackupPlanName": "weekly",
                "BackupPlanRule": [
                    {"RuleName": "weekly", "TargetBackupVault": ref("Vault")}
                ],
            }
        },
    ),
    "AWS::Backup::BackupSelection": Contract(
        kind="stub",
        properties={
            "BackupPlanId": ref("Plan"),
            "BackupSelection": {
                "IamRoleArn": att("Role", "Arn"),
                "SelectionName": "one",
            },
        },
        ref=r".+",
        change={
            "BackupSelection": {
                "IamRoleArn": att("Role", "Arn"),
                "SelectionName": "two",
            }
        },
        replaces=True,
    ),
    "AWS::Backup::BackupVault": Contract(
        properties=SUPPORT["Vault"]["Properties"],
        change={"BackupVaultTags": {"colour": "blue"}},
    ),
    "AWS::CloudWatch::Alarm": Contract(
        properties={
            "Namespace": "Airflow",
            "MetricName": "Deficit",
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": "1",
            "Period": "60",
            "Statistic": "Maximum",
            "Threshold": "0",
        },
        attributes={"Arn": ARN},
        change={"Threshold": "1"},
    ),
    "AWS::CloudWatch::Dashboard": Contract(
        properties={"DashboardBody": '{"widgets": []}'},
        change={"DashboardBody": '{"widgets": [], "start": "-PT6H"}'},
    ),
    "AWS::CodeBuild::Project": Contract(
        properties={
            "ServiceRole": att("Role", "Arn"),
            "Artifacts": {"Type": "NO_ARTIFACTS"},
            "Environment": {
                "Type": "LINUX_CONTAINER",
                "ComputeType": "BUILD_GENERAL1_SMALL",
                "Image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            },
            "Source": {"Type": "NO_SOURCE", "BuildSpec": "{}"},
        },
        change={"Description": "Builds"},
    ),
    "AWS::EC2::EIP": Contract(
        properties={"Domain": "vpc"},
        ref=r"\d+\.\d+\.\d+\.\d+",
        attributes={"AllocationId": r"eipalloc-[0-9a-f]+"},
        change=TAGS,
    ),
    "AWS::EC2::FlowLog": Contract(
        properties={
            "ResourceId": ref("Vpc"),
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogGroupName": ref("Log"),
            "DeliverLogsPermissionArn": att("Role", "Arn"),
        },
        ref=r"fl-[0-9a-f]+",
        change={"TrafficType": "REJECT"},
        replaces=True,
    ),
    "AWS::EC2::InternetGateway": Contract(ref=r"igw-[0-9a-f]+", change=TAGS),
    "AWS::EC2::NatGateway": Contract(
        properties={
            "AllocationId": att("Address", "AllocationId"),
            "SubnetId": ref("SubnetA"),
        },
        ref=r"nat-[0-9a-f]+",
        change=TAGS,
    ),
    "AWS::EC2::Route": Contract(
        properties={
            "RouteTableId": ref("Routes"),
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": ref("Gateway"),
        },
        ref=r".+",
        change={"DestinationCidrBlock": "192.168.0.0/16"},
        replaces=True,
    ),
    "AWS::EC2::RouteTable": Contract(
        properties={"VpcId": ref("Vpc")},
        ref=r"rtb-[0-9a-f]+",
        change=TAGS,
    ),
    "AWS::EC2::SecurityGroup": Contract(
        properties=SUPPORT["Group"]["Properties"],
        ref=r"sg-[0-9a-f]+",
        attributes={"GroupId": r"sg-[0-9a-f]+"},
        change=TAGS,
    ),
    "AWS::EC2::SecurityGroupEgress": Contract(
        properties={
            "GroupId": ref("Group"),
            "DestinationSecurityGroupId": ref("Peer"),
            **RULE,
        },
        ref=r"sgr-[0-9a-f]+",
        change={"Description": "Why it is open"},
    ),
    "AWS::EC2::SecurityGroupIngress": Contract(
        properties={
            "GroupId": ref("Group"),
            "SourceSecurityGroupId": ref("Peer"),
            **RULE,
        },
        ref=r"sgr-[0-9a-f]+",
        change={"FromPort": "442"},
        replaces=True,
    ),
    "AWS::EC2::Subnet": Contract(
        properties=SUPPORT["SubnetA"]["Properties"],
        ref=r"subnet-[0-9a-f]+",
        change=TAGS,
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Contract(
        properties={"SubnetId": ref("SubnetA"), "RouteTableId": ref("Routes")},
        ref=r"rtbassoc-[0-9a-f]+",
        change={"SubnetId": ref("SubnetB")},
        replaces=True,
    ),
    "AWS::EC2::VPC": Contract(
        properties={"CidrBlock": "10.9.0.0/16"},
        ref=r"vpc-[0-9a-f]+",
        change={"EnableDnsSupport": "true"},
    ),
    "AWS::EC2::VPCEndpoint": Contract(
        properties={
            "ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
            "VpcId": ref("Vpc"),
            "RouteTableIds": [ref("Routes")],
        },
        ref=r"vpce-[0-9a-f]+",
        change=TAGS,
    ),
    "AWS::EC2::VPCGatewayAttachment": Contract(
        properties={"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gateway")},
        ref=r".+",
        change={},
    ),
    "AWS::ECR::Repository": Contract(
        attributes={"RepositoryUri": r"\d+\.dkr\.ecr\.[\w.-]+/.+", "Arn": ARN},
        change={"ImageScanningConfiguration": {"ScanOnPush": "true"}},
    ),
    "AWS::ECS::Cluster": Contract(
        attributes={"Arn": ARN},
        change={"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]},
    ),
    "AWS::ECS::Service": Contract(
        properties={
            "Cluster": ref("Cluster"),
            "TaskDefinition": ref("Definition"),
            "DesiredCount": "0",
        },
        ref=ARN,
        attributes={"Name": NAME},
        change={"DesiredCount": "1"},
    ),
    "AWS::ECS::TaskDefinition": Contract(
        properties={"ContainerDefinitions": [CONTAINER], "Cpu": "256"},
        ref=ARN + r":1",
        change={"Cpu": "512"},
        replaces=True,
    ),
    "AWS::ElastiCache::ParameterGroup": Contract(
        properties={
            "CacheParameterGroupFamily": "valkey8",
            "Description": "Queues",
            "Properties": {"maxmemory-policy": "noeviction"},
        },
        change={"Description": "Queues of tasks"},
    ),
    "AWS::ElastiCache::ReplicationGroup": Contract(
        properties={
            "ReplicationGroupDescription": "Queues",
            "CacheNodeType": "cache.t4g.small",
            "Engine": "valkey",
            "CacheSubnetGroupName": ref("CacheSubnets"),
            "NumCacheClusters": "1",
        },
        attributes={"PrimaryEndPoint.Address": HOST, "PrimaryEndPoint.Port": r"\d+"},
        change={"CacheNodeType": "cache.t4g.medium"},
    ),
    "AWS::ElastiCache::SubnetGroup": Contract(
        properties=SUPPORT["CacheSubnets"]["Properties"],
        change={"Description": "Caches"},
    ),
    "AWS::ElastiCache::User": Contract(
        properties=SUPPORT["User"]["Properties"],
        change={"AccessString": "on ~* +@all"},
    ),
    "AWS::ElastiCache::UserGroup": Contract(
        properties={
            "Engine": "valkey",
            "UserGroupId": {"Fn::Sub": "${AWS::StackName}-users"},
            "UserIds": [ref("User")],
        },
        change=TAGS,
    ),
    "AWS::ElasticLoadBalancingV2::Listener": Contract(
        properties=SUPPORT["Listener"]["Properties"],
        ref=ARN,
        change={"Port": "81"},
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": Contract(
        properties={
            "ListenerArn": ref("Listener"),
            "Priority": "10",
            "Conditions": [
                {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x"]}}
            ],
            "Actions": [{"Type": "forward", "TargetGroupArn": ref("Targets")}],
        },
        ref=ARN,
        change={"Priority": "20"},
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": Contract(
        properties={"Subnets": TWO_SUBNETS, "Scheme": "internal"},
        ref=ARN,
        attributes={
            "CanonicalHostedZoneID": r"Z[A-Z0-9]+",
            "DNSName": HOST,
            "LoadBalancerFullName": r"app/.+/.+",
        },
        change={
            "LoadBalancerAttributes": [
                {"Key": "idle_timeout.timeout_seconds", "Value": "120"}
            ]
        },
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Contract(
        properties=SUPPORT["Targets"]["Properties"],
        ref=ARN,
        attributes={"TargetGroupFullName": r"targetgroup/.+/.+"},
        change={"HealthCheckPath": "/healthy"},
    ),
    "AWS::IAM::ManagedPolicy": Contract(
        properties={"PolicyDocument": policy("s3:ListAllMyBuckets")},
        ref=ARN,
        change={"PolicyDocument": policy("ec2:DescribeRegions")},
    ),
    "AWS::IAM::Role": Contract(
        properties=SUPPORT["Role"]["Properties"],
        attributes={"Arn": ARN},
        change={"Description": "What it is for"},
    ),
    "AWS::KMS::Key": Contract(
        kind="real",
        properties={"KeyPolicy": policy("kms:*", "logs.amazonaws.com")},
        ref=r"[0-9a-f-]{36}",
        attributes={"Arn": ARN},
        change={"Description": "All data"},
    ),
    "AWS::Lambda::Function": Contract(
        kind="real",
        properties={
            "Code": {"ZipFile": "def handler(event, context): return 1"},
            "Handler": "index.handler",
            "Role": att("Role", "Arn"),
            "Runtime": "python3.12",
            "Timeout": "30",
        },
        attributes={"Arn": ARN},
        change={"Timeout": "60"},
    ),
    "AWS::Logs::LogGroup": Contract(
        kind="real",
        ref=r"[\w./-]+",
        attributes={"Arn": ARN},
        change={"RetentionInDays": "7"},
    ),
    "AWS::RDS::DBCluster": Contract(
        properties=SUPPORT["Database"]["Properties"],
        attributes={
            "DBClusterArn": ARN,
            "Endpoint.Address": HOST,
            "Endpoint.Port": r"\d+",
            "MasterUserSecret.SecretArn": ARN,
        },
        change={"BackupRetentionPeriod": "7"},
    ),
    "AWS::RDS::DBClusterParameterGroup": Contract(
        properties={
            "Description": "Ours",
            "Family": "aurora-postgresql16",
            "Parameters": {"log_statement": "ddl"},
        },
        change={"Parameters": {"log_statement": "none"}},
    ),
    "AWS::RDS::DBInstance": Contract(
        properties={
            "DBClusterIdentifier": ref("Database"),
            "DBInstanceClass": "db.serverless",
            "Engine": "aurora-postgresql",
        },
        change={"PromotionTier": "1"},
    ),
    "AWS::RDS::DBSubnetGroup": Contract(
        properties=SUPPORT["DatabaseSubnets"]["Properties"],
        change={"DBSubnetGroupDescription": "Databases"},
    ),
    "AWS::RDS::EventSubscription": Contract(
        kind="stub",
        properties={
            "SnsTopicArn": ref("Topic"),
            "SourceType": "db-cluster",
            "EventCategories": ["failure"],
        },
        change={"EventCategories": ["failure", "failover"]},
    ),
    "AWS::Route53::RecordSet": Contract(
        properties={
            "HostedZoneId": ref("Zone"),
            "Name": "airflow.example.com.",
            "Type": "CNAME",
            "TTL": "60",
            "ResourceRecords": ["a.example.com"],
        },
        ref=r"airflow\.example\.com\.?",
        change={"ResourceRecords": ["b.example.com"]},
    ),
    "AWS::S3::Bucket": Contract(
        kind="real",
        attributes={"Arn": ARN},
        change={"VersioningConfiguration": {"Status": "Enabled"}},
    ),
    "AWS::S3::BucketPolicy": Contract(
        properties={
            "Bucket": ref("Bucket"),
            "PolicyDocument": policy("s3:GetObject", "logs.amazonaws.com"),
        },
        ref=r".+",
        change={"PolicyDocument": policy("s3:PutObject", "logs.amazonaws.com")},
    ),
    "AWS::SNS::Subscription": Contract(
        properties={
            "TopicArn": ref("Topic"),
            "Protocol": "email",
            "Endpoint": "a@example.com",
        },
        ref=ARN,
        change={"Endpoint": "b@example.com"},
        replaces=True,
    ),
    "AWS::SNS::Topic": Contract(kind="real", ref=ARN, change={"DisplayName": "Alarms"}),
    "AWS::SNS::TopicPolicy": Contract(
        properties={
            "Topics": [ref("Topic")],
            "PolicyDocument": policy("sns:Publish", "events.amazonaws.com"),
        },
        ref=r".+",
        change={"PolicyDocument": policy("sns:Publish", "rds.amazonaws.com")},
    ),
    "AWS::SecretsManager::Secret": Contract(
        kind="real",
        properties={"GenerateSecretString": {"PasswordLength": "32"}},
        ref=ARN + "-[0-9A-Za-z]{6}",
        change={"Description": "A login"},
    ),
    "AWS::ServiceCatalog::CloudFormationProduct": Contract(
        properties=SUPPORT["Product"]["Properties"],
        ref=r".+",
        change={"Description": "Airflow"},
    ),
    "AWS::ServiceCatalog::LaunchRoleConstraint": Contract(
        properties={
            "PortfolioId": ref("Portfolio"),
            "ProductId": ref("Product"),
            "RoleArn": att("Role", "Arn"),
        },
        ref=r".+",
        change={"Description": "Launches"},
    ),
    "AWS::ServiceCatalog::Portfolio": Contract(
        kind="stub",
        properties=SUPPORT["Portfolio"]["Properties"],
        ref=r".+",
        change={"Description": "Data products"},
    ),
    "AWS::ServiceCatalog::PortfolioPrincipalAssociation": Contract(
        kind="stub",
        properties={
            "PortfolioId": ref("Portfolio"),
            "PrincipalARN": att("Role", "Arn"),
            "PrincipalType": "IAM",
        },
        ref=r".+",
        change={},
    ),
    "AWS::ServiceCatalog::PortfolioProductAssociation": Contract(
        kind="stub",
        properties={"PortfolioId": ref("Portfolio"), "ProductId": ref("Product")},
        ref=r".+",
        change={},
    ),
    "AWS::ServiceCatalog::ResourceUpdateConstraint": Contract(
        kind="stub",
        properties={
            "PortfolioId": ref("Portfolio"),
            "ProductId": ref("Product"),
            "TagUpdateOnProvisionedProduct": "ALLOWED",
        },
        ref=r".+",
        change={"Description": "Tags"},
    ),
    "AWS::ServiceCatalog::TagOption": Contract(
        kind="stub",
        properties=SUPPORT["TagOption"]["Properties"],
        ref=r".+",
        change={"Active": "false"},
    ),
    "AWS::ServiceCatalog::TagOptionAssociation": Contract(
        kind="stub",
        properties={"ResourceId": ref("Portfolio"), "TagOptionId": ref("TagOption")},
        ref=r".+",
        change={},
    ),
    "AWS::ServiceDiscovery::HttpNamespace": Contract(
        properties={"Name": {"Ref": "AWS::StackName"}},
        ref=r"ns-\w+",
        attributes={"Arn": ARN},
        change={"Description": "Names of services"},
    ),
    "AWS::WAFv2::LoggingConfiguration": Contract(
        kind="stub",
        properties={
            "ResourceArn": att("Acl", "Arn"),
            "LogDestinationConfigs": [att("Log", "Arn")],
        },
        ref=ARN,
        change={"RedactedFields": [{"QueryString": {}}]},
    ),
    "AWS::WAFv2::WebACL": Contract(
        properties=SUPPORT["Acl"]["Properties"],
        ref=r".+\|.+\|REGIONAL",
        attributes={"Arn": ARN},
        change={"Description": "The web page"},
    ),
    "AWS::WAFv2::WebACLAssociation": Contract(
        kind="stub",
        properties={"ResourceArn": ref("Balancer"), "WebACLArn": att("Acl", "Arn")},
        ref=r".+",
        change={},
    ),
    "Custom::Migration": Contract(
        kind="stub",
        properties={"ServiceToken": ref("Role"), "Version": "1"},
        ref=r"It-stub-[0-9a-f]+",
        change={"Version": "2"},
    ),
}
"""By type; AWS::CloudFormation::Stack has tests of its own."""

"""An account as its answers, and a small product with one resource for each question.

Every answer has the members that the operation documents; ``GOOD`` is an account in
which nothing has to be done.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from deploy.dist import Environment
from deploy.preflight.context import LaunchContext
from tests.deploy.fakes import ACCOUNT, REGION, FakeAws, dist, error

CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/Boundary"
FERNET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:fernet-AbCdEf"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/airflow:3.3.2"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/Operator"
END = datetime.now(UTC) + timedelta(days=300)

PARAMETERS = {
    "Profile": "development",
    "Image": IMAGE,
    "CertificateArn": CERTIFICATE,
    "BoundaryArn": BOUNDARY,
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-a1,subnet-b2",
    "SnapshotId": "before",
    "FernetKeySecretArn": FERNET,
    "PrefixListId": "pl-1",
    "WorkerMaximum": "4",
    "SpotPercent": "50",
    "MinCapacity": "0.5",
    "DomainName": "airflow.example.com",
    "GroupVpcId": "vpc-1",
    "GroupIds": "sg-1,sg-2",
    "ClientList": "pl-1",
    "EgressRange": "10.20.0.0/16",
}


def _ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def _resource(type: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{type}", "Properties": properties}


SUBNETS = {"Fn::Split": [",", _ref("SubnetIds")]}


def _service(definition: str, **properties: Any) -> dict[str, Any]:
    return _resource(
        "ECS::Service",
        TaskDefinition=_ref(definition),
        DeploymentConfiguration={"MaximumPercent": 200},
        NetworkConfiguration={
            "AwsvpcConfiguration": {
                "Subnets": SUBNETS,
                "SecurityGroups": {"Fn::Split": [",", _ref("GroupIds")]},
            }
        },
        **properties,
    )


def _definition(cpu: int) -> dict[str, Any]:
    return _resource(
        "ECS::TaskDefinition", Cpu=cpu, ContainerDefinitions=[{"Image": _ref("Image")}]
    )


PRODUCT = {
    "Parameters": {
        name: {"Type": "String", "Default": value} for name, value in PARAMETERS.items()
    },
    "Resources": {
        "Vpc": _resource("EC2::VPC"),
        "Gateway": _resource("EC2::InternetGateway"),
        "Address": _resource("EC2::EIP"),
        "Subnet": _resource("EC2::Subnet", AvailabilityZone=f"{REGION}a"),
        "OtherSubnet": _resource(
            "EC2::Subnet", AvailabilityZone={"Fn::Select": ["1", {"Fn::GetAZs": ""}]}
        ),
        "Endpoint": _resource(
            "EC2::VPCEndpoint",
            VpcEndpointType="Interface",
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.glue"},
            PolicyDocument={"Statement": []},
            VpcId=_ref("VpcId"),
            SubnetIds=SUBNETS,
        ),
        "Rule": _resource(
            "EC2::SecurityGroupEgress", DestinationPrefixListId=_ref("PrefixListId")
        ),
        "Group": _resource(
            "EC2::SecurityGroup",
            VpcId=_ref("GroupVpcId"),
            SecurityGroupIngress=[
                {"SourcePrefixListId": _ref("ClientList")},
                {"SourcePrefixListId": _ref("ClientList")},
                {"SourceSecurityGroupId": "sg-1"},
            ],
            SecurityGroupEgress=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": "5432",
                    "ToPort": "5439",
                    "CidrIp": _ref("EgressRange"),
                }
            ],
        ),
        "Stores": _resource("RDS::DBSubnetGroup", SubnetIds=SUBNETS),
        "Role": _resource("IAM::Role", PermissionsBoundary=_ref("BoundaryArn")),
        "Cluster": _resource(
            "RDS::DBCluster",
            Engine="aurora-postgresql",
            Port="5433",
            EngineVersion="17.7",
            SnapshotIdentifier=_ref("SnapshotId"),
            ServerlessV2ScalingConfiguration={
                "MinCapacity": _ref("MinCapacity"),
                "MaxCapacity": "4",
            },
        ),
        "Writer": _resource("RDS::DBInstance", DBInstanceClass="db.serverless"),
        "Selection": _resource("Backup::BackupSelection"),
        "Nodes": _resource(
            "ElastiCache::ReplicationGroup",
            Engine="valkey",
            Port="6379",
            EngineVersion="8.2",
            CacheNodeType="cache.t4g.small",
        ),
        "Listener": _resource(
            "ElasticLoadBalancingV2::Listener",
            Certificates=[{"CertificateArn": _ref("CertificateArn")}],
        ),
        "Record": _resource(
            "Route53::RecordSet", HostedZoneId="Z1", Name=_ref("DomainName")
        ),
        "ApiDefinition": _definition(512),
        "Api": _service("ApiDefinition", DesiredCount="2"),
        "WorkerDefinition": _definition(2048),
        "Worker": _service(
            "WorkerDefinition",
            CapacityProviderStrategy=[
                {"CapacityProvider": "FARGATE", "Weight": 50},
                {"CapacityProvider": "FARGATE_SPOT", "Weight": _ref("SpotPercent")},
            ],
        ),
        "Workers": _resource(
            "ApplicationAutoScaling::ScalableTarget",
            ResourceId={"Fn::Sub": "service/cluster/${Worker.Name}"},
            MinCapacity="2",
            MaxCapacity=_ref("WorkerMaximum"),
        ),
    },
    "Outputs": {
        "WebUrl": {"Value": {"Fn::Sub": "https://${DomainName}"}},
        "Version": {"Value": "0.2.0"},
    },
}


def _statement(actions: list[str], resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": [resource], **more}


CLUSTERS = {
    "Fn::Sub": "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:cluster/"
    "SC-${AWS::AccountId}-pp-*"
}
LINKED = ["ecs.amazonaws.com", "rds.amazonaws.com", "wafv2.amazonaws.com"]
LAUNCH_ROLE = {
    "Resources": {
        "LaunchRole": _resource("IAM::Role", ManagedPolicyArns=[_ref("Policy")]),
        "Boundary": _resource(
            "IAM::ManagedPolicy",
            PolicyDocument={"Statement": [_statement(["iam:*"], "*")]},
        ),
        "Policy": _resource(
            "IAM::ManagedPolicy",
            PolicyDocument={
                "Statement": [
                    _statement(["ec2:CreateVpc", "ec2:DeleteVpc"], "*"),
                    _statement(["ecs:CreateCluster"], CLUSTERS),
                    _statement(["wafv2:CreateWebACL"], "*"),
                    _statement(
                        ["iam:CreateServiceLinkedRole"],
                        "*",
                        Condition={"StringEquals": {"iam:AWSServiceName": LINKED}},
                    ),
                ]
            },
        ),
    }
}


def runtime(*regions: str) -> bytes:
    """Return an archive as it goes into containers, with authorities of regions."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        roots = "".join(f"# Amazon RDS {r} Root CA RSA2048 G1\n" for r in regions)
        archive.writestr("fargate_runtime/rds-ca.pem", roots)
    return file.getvalue()


def linked_roles(*principals: str) -> dict[str, Any]:
    """Answer ListRoles."""
    return {
        "Roles": [
            {"Path": f"/aws-service-role/{name}/", "RoleName": name}
            for name in principals
        ]
    }


def simulated(*denied: str, **more: Any) -> Any:
    """Answer a simulation: allowed, but for some actions."""

    def answer(ActionNames: list[str], **_rest: Any) -> dict[str, Any]:  # noqa: N803
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": name,
                    "EvalDecision": "implicitDeny" if name in denied else "allowed",
                    **(more if name in denied else {}),
                }
                for name in ActionNames
            ]
        }

    return answer


def quotas(**values: float) -> Any:
    """Answer each quota with a value by its code, else with a thousand."""

    def answer(QuotaCode: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
        return {
            "Quota": {
                "Value": float(values.get(QuotaCode.replace("-", "_"), 1000)),
                "UsageMetric": {
                    "MetricNamespace": "AWS/Usage",
                    "MetricName": "ResourceCount",
                    "MetricDimensions": {"Service": "Fargate"},
                },
            }
        }

    return answer


def subnet(name: str, zone: str, **more: Any) -> dict[str, Any]:
    return {
        "SubnetId": name,
        "VpcId": "vpc-1",
        "AvailabilityZoneId": zone,
        "AvailabilityZone": f"{REGION}a",
        "CidrBlock": "10.0.51.0/24",
        "AvailableIpAddressCount": 200,
        **more,
    }


def endpoint_service(**more: Any) -> dict[str, Any]:
    """Answer DescribeVpcEndpointServices."""
    row = {
        "ServiceName": f"com.amazonaws.{REGION}.glue",
        "AvailabilityZones": [f"{REGION}a", f"{REGION}b"],
        "VpcEndpointPolicySupported": True,
    }
    return {"ServiceDetails": [{**row, **more}]}


def groups(*vpcs: str) -> dict[str, Any]:
    """Answer DescribeSecurityGroups: one group in each of some VPCs."""
    return {
        "SecurityGroups": [
            {"GroupId": f"sg-{number}", "VpcId": vpc}
            for number, vpc in enumerate(vpcs, 1)
        ]
    }


def subnets(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"Subnets": list(rows)}


def certificate(**more: Any) -> dict[str, Any]:
    names = {"DomainName": "*.example.com", "Status": "ISSUED", "NotAfter": END}
    return {"Certificate": {**names, **more}}


def snapshot(**more: Any) -> dict[str, Any]:
    """Answer DescribeDBClusterSnapshots."""
    row = {
        "DBClusterSnapshotIdentifier": "before",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "17.5",
    }
    return {"DBClusterSnapshots": [{**row, **more}]}


def zones(*names: str) -> dict[str, Any]:
    """Answer DescribeAvailabilityZones."""
    return {
        "AvailabilityZones": [
            {"ZoneName": n, "ZoneId": f"euc1-{n}", "State": "available"} for n in names
        ]
    }


def vpc_attributes(*on: str) -> Any:
    """Answer DescribeVpcAttribute."""

    def answer(Attribute: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
        return {Attribute[0].upper() + Attribute[1:]: {"Value": Attribute in on}}

    return answer


ZONES = tuple(f"{REGION}{letter}" for letter in "abc")

GOOD: Mapping[str, Any] = {
    "describe_stacks": error("ValidationError", "Stack airflow-dev does not exist"),
    "get_role": {"Role": {"Arn": ROLE}},
    "get_policy": {"Policy": {}},
    "simulate_principal_policy": simulated(),
    "list_roles": linked_roles("ecs.amazonaws.com", "rds.amazonaws.com"),
    "get_service_quota": quotas(),
    "get_metric_statistics": {"Datapoints": [{"Maximum": 3.0}]},
    "describe_addresses": {"Addresses": [{}, {}]},
    "describe_vpcs": {"Vpcs": [{"VpcId": "vpc-1", "Tags": []}]},
    "describe_security_groups": groups("vpc-1", "vpc-1"),
    "describe_internet_gateways": {"InternetGateways": []},
    "describe_vpc_endpoints": {"VpcEndpoints": [{"VpcId": "vpc-1"}]},
    "describe_db_clusters": {"DBClusters": []},
    "describe_availability_zones": zones(*ZONES),
    "describe_subnets": subnets(subnet("subnet-a1", "z1"), subnet("subnet-b2", "z2")),
    "describe_vpc_endpoint_services": endpoint_service(),
    "describe_vpc_attribute": vpc_attributes("enableDnsSupport", "enableDnsHostnames"),
    "describe_managed_prefix_lists": {"PrefixLists": [{"PrefixListId": "pl-1"}]},
    "describe_db_engine_versions": {
        "DBEngineVersions": [
            {
                "EngineVersion": "17.7",
                "Status": "available",
                "ServerlessV2FeaturesSupport": {"MinCapacity": 0.0, "MaxCapacity": 256},
            }
        ]
    },
    "describe_orderable_db_instance_options": {
        "OrderableDBInstanceOptions": [
            {"AvailabilityZones": [{"Name": zone} for zone in ZONES]}
        ]
    },
    "describe_db_cluster_snapshots": snapshot(),
    "describe_region_settings": {"ResourceTypeOptInPreference": {"Aurora": True}},
    "describe_reserved_cache_nodes_offerings": {"ReservedCacheNodesOfferings": [{}]},
    "describe_cache_engine_versions": {
        "CacheEngineVersions": [{"EngineVersion": "8.1"}, {"EngineVersion": "8.2"}]
    },
    "describe_certificate": certificate(),
    "get_hosted_zone": {"HostedZone": {"Name": "example.com."}},
    "list_resource_record_sets": {"ResourceRecordSets": []},
    "describe_images": {"imageDetails": [{}]},
    "list_buckets": {"Buckets": [{"Name": "other"}]},
    "describe_log_groups": {"logGroups": []},
    "describe_secret": {"ARN": FERNET},
    "list_secrets": {"SecretList": []},
    "describe_snapshots": {"Snapshots": []},
}
"""An account in which nothing has to be done for the product."""


class Account(FakeAws):
    """An account in any region; all share what botocore reads from its files."""

    def __init__(self, region: str, **answers: Any) -> None:
        super().__init__(**answers)
        self._region = region
        self._session, self._boto_session = _sessions()


@cache
def _sessions() -> tuple[Any, Any]:
    aws = FakeAws()
    return aws._core(), aws._boto()


def launch_context(
    *,
    bundle: tuple[str, ...] = (REGION,),
    region: str = REGION,
    parameters: Mapping[str, str] | None = None,
    answers: Mapping[str, Any] | None = None,
) -> LaunchContext:
    """Return a launch of the product into a good account with some other answers."""
    files = {
        "parent.template.json": PRODUCT,
        "service-catalog.template.json": LAUNCH_ROLE,
        "assets/runtime.zip": runtime(*bundle),
    }
    return LaunchContext(
        Account(region, **{**GOOD, **(answers or {})}),
        dist(files),
        Environment("dev", "airflow-dev", {**PARAMETERS, **(parameters or {})}),
    )

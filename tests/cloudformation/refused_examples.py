"""One example per row of the table: resources before and after an update.

The plan's test evaluates them, and the emulator's test carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Resources = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Example:
    """An update that a row refuses at a resource, and one like it that it permits."""

    before: Resources
    after: Resources
    permitted: Resources
    at: str
    answer: str = ""
    """A part of what the service answers."""


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


VPC = {"Vpc": resource("EC2::VPC", CidrBlock="10.0.0.0/16")}
TOPIC = {"Topic": resource("SNS::Topic", DisplayName="a")}


def subnet(block: str, zone: str = "us-east-1a", **more: Any) -> dict[str, Any]:
    return resource(
        "EC2::Subnet",
        **{
            "VpcId": ref("Vpc"),
            "CidrBlock": block,
            "AvailabilityZone": zone,
            **more,
        },
    )


SUBNETS = {
    **VPC,
    "A": subnet("10.0.0.0/24"),
    "B": subnet("10.0.1.0/24", "us-east-1b"),
    "C": subnet("10.0.2.0/24", "us-east-1c"),
}
OTHER_VPC = {
    "Other": resource("EC2::VPC", CidrBlock="10.1.0.0/16"),
    "D": subnet("10.1.0.0/24", VpcId=ref("Other")),
    "E": subnet("10.1.1.0/24", "us-east-1b", VpcId=ref("Other")),
}


def subnet_group(kind: str, *names: str) -> dict[str, Any]:
    description = {
        "RDS::DBSubnetGroup": {"DBSubnetGroupDescription": "Data"},
        "ElastiCache::SubnetGroup": {"Description": "Data"},
    }
    return {
        "Group": resource(kind, SubnetIds=[ref(n) for n in names], **description[kind])
    }


def rule(block: str, kind: str = "Ingress") -> dict[str, Any]:
    return resource(
        f"EC2::SecurityGroup{kind}",
        GroupId={"Fn::GetAtt": ["Group", "GroupId"]},
        IpProtocol="tcp",
        FromPort=443,
        ToPort=443,
        CidrIp=block,
    )


SECURITY_GROUP = {
    **VPC,
    "Group": resource("EC2::SecurityGroup", GroupDescription="Web", VpcId=ref("Vpc")),
}


def balancer(scheme: str, *, protected: str = "false") -> dict[str, Any]:
    return {
        **VPC,
        "A": subnet("10.0.0.0/24"),
        "B": subnet("10.0.1.0/24", "us-east-1b"),
        "Balancer": resource(
            "ElasticLoadBalancingV2::LoadBalancer",
            Scheme=scheme,
            Subnets=[ref("A"), ref("B")],
            LoadBalancerAttributes=[
                {"Key": "deletion_protection.enabled", "Value": protected}
            ],
        ),
    }


def group(**more: Any) -> dict[str, Any]:
    return {
        "Targets": resource(
            "ElasticLoadBalancingV2::TargetGroup",
            VpcId=ref("Vpc"),
            Port=8080,
            Protocol="HTTP",
            TargetType="ip",
            **more,
        )
    }


FOLLOWING = group(
    Name={
        "Fn::Join": [
            "-",
            ["api", {"Fn::Select": [3, {"Fn::Split": ["/", ref("Balancer")]}]}],
        ]
    }
)
FORWARD = [{"Type": "forward", "TargetGroupArn": ref("Targets")}]
NOT_FOUND = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


def listener(port: int = 80, actions: Any = NOT_FOUND) -> dict[str, Any]:
    return resource(
        "ElasticLoadBalancingV2::Listener",
        LoadBalancerArn=ref("Balancer"),
        Port=port,
        Protocol="HTTP",
        DefaultActions=actions,
    )


def route(priority: int = 1, actions: Any = NOT_FOUND) -> dict[str, Any]:
    return resource(
        "ElasticLoadBalancingV2::ListenerRule",
        ListenerArn=ref("Web"),
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/"]}}],
        Actions=actions,
    )


def database(**properties: Any) -> dict[str, Any]:
    login = {} if "SnapshotIdentifier" in properties else {"MasterUsername": "admin"}
    return {
        **TOPIC,
        "Cluster": resource(
            "RDS::DBCluster",
            Engine="aurora-postgresql",
            **{
                "EngineVersion": "17.7",
                "MasterUserPassword": "not-a-secret",
                **login,
                **properties,
            },
        ),
    }


def broker(nodes: int, failover: bool, version: str = "8.2") -> dict[str, Any]:  # noqa: FBT001
    return {
        "Nodes": resource(
            "ElastiCache::ReplicationGroup",
            ReplicationGroupDescription="Broker",
            Engine="valkey",
            EngineVersion=version,
            CacheNodeType="cache.t4g.small",
            NumCacheClusters=nodes,
            AutomaticFailoverEnabled=failover,
            MultiAZEnabled=failover,
        )
    }


def service(spot: int, **more: Any) -> dict[str, Any]:
    return {
        "Cluster": resource("ECS::Cluster"),
        "Definition": resource(
            "ECS::TaskDefinition",
            Family="worker",
            ContainerDefinitions=[{"Name": "worker", "Image": "worker"}],
        ),
        "Service": resource(
            "ECS::Service",
            Cluster=ref("Cluster"),
            TaskDefinition=ref("Definition"),
            CapacityProviderStrategy=[
                {"CapacityProvider": "FARGATE", "Weight": 100 - spot},
                {"CapacityProvider": "FARGATE_SPOT", "Weight": spot},
            ],
            **more,
        ),
    }


def forced(share: int) -> dict[str, Any]:
    return {
        "ForceNewDeployment": {
            "EnableForceNewDeployment": True,
            "ForceNewDeploymentNonce": str(share),
        }
    }


def table_route(*names: str) -> dict[str, Any]:
    return {
        **VPC,
        "Table": resource("EC2::RouteTable", VpcId=ref("Vpc")),
        "Gateway": resource("EC2::InternetGateway"),
        **{
            name: resource(
                "EC2::Route",
                RouteTableId=ref("Table"),
                DestinationCidrBlock=f"{number}.0.0.0/8",
                GatewayId=ref("Gateway"),
            )
            for name, number in (each.split("=") for each in names)
        },
    }


def association(name: str, subnet_name: str = "A") -> dict[str, Any]:
    return {
        **SUBNETS,
        "Table": resource("EC2::RouteTable", VpcId=ref("Vpc")),
        name: resource(
            "EC2::SubnetRouteTableAssociation",
            SubnetId=ref(subnet_name),
            RouteTableId=ref("Table"),
        ),
    }


def nat(subnet_name: str, address: str = "Address") -> dict[str, Any]:
    return {
        **SUBNETS,
        "Address": resource("EC2::EIP", Domain="vpc"),
        "Address2": resource("EC2::EIP", Domain="vpc"),
        "Nat": resource(
            "EC2::NatGateway",
            SubnetId=ref(subnet_name),
            AllocationId={"Fn::GetAtt": [address, "AllocationId"]},
        ),
    }


def bucket_policy(name: str, bucket: str = "Data") -> dict[str, Any]:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": f"arn:aws:s3:::${{{bucket}}}/*"},
    }
    return {
        "Data": resource("S3::Bucket"),
        "Data2": resource("S3::Bucket"),
        name: resource(
            "S3::BucketPolicy",
            Bucket=ref(bucket),
            PolicyDocument={"Version": "2012-10-17", "Statement": [statement]},
        ),
    }


def record(name: str, host: str = "airflow.example.com") -> dict[str, Any]:
    return {
        "Zone": resource("Route53::HostedZone", Name="example.com"),
        name: resource(
            "Route53::RecordSet",
            HostedZoneId=ref("Zone"),
            Name=host,
            Type="CNAME",
            TTL="60",
            ResourceRecords=["a.example.com"],
        ),
    }


def vault(key: str) -> dict[str, Any]:
    return {
        "Key": resource("KMS::Key", KeyPolicy={}),
        "Key2": resource("KMS::Key", KeyPolicy={}),
        "Vault": resource(
            "Backup::BackupVault",
            BackupVaultName="copies",
            EncryptionKeyArn={"Fn::GetAtt": [key, "Arn"]},
        ),
    }


BOUND = "cannot be associated with more than one load balancer"
PROTECTED = balancer("internal", protected="true")

EXAMPLES: Mapping[str, Example] = {
    "resource-type": Example(
        before=TOPIC,
        after={"Topic": resource("SQS::Queue")},
        permitted={"Queue": resource("SQS::Queue")},
        at="Topic",
        answer="Update of resource type is not permitted.",
    ),
    "named-resource": Example(
        before=vault("Key"),
        after=vault("Key2"),
        permitted={**vault("Key"), **TOPIC},
        at="Vault",
        answer="when a custom-named resource requires replacing",
    ),
    "load-balancer-target-groups": Example(
        before={**balancer("internal"), **group(), "Web": listener(80, FORWARD)},
        after={**balancer("internet-facing"), **group(), "Web": listener(80, FORWARD)},
        permitted={
            **balancer("internet-facing"),
            **FOLLOWING,
            "Web": listener(80, FORWARD),
        },
        at="Web",
        answer=BOUND,
    ),
    "load-balancer-routes": Example(
        before={
            **balancer("internal"),
            **group(),
            "Web": listener(),
            "Pages": route(1, FORWARD),
        },
        after={
            **balancer("internet-facing"),
            **group(),
            "Web": listener(),
            "Pages": route(1, FORWARD),
        },
        permitted={
            **balancer("internet-facing"),
            **FOLLOWING,
            "Web": listener(),
            "Pages": route(1, FORWARD),
        },
        at="Pages",
        answer=BOUND,
    ),
    "load-balancer-protected": Example(
        before=PROTECTED,
        after=balancer("internet-facing", protected="true"),
        permitted=balancer("internal"),
        at="Balancer",
    ),
    "listener-port": Example(
        before={**balancer("internal"), "Web": listener(80)},
        after={**balancer("internal"), "Http": listener(80)},
        permitted={**balancer("internal"), "Http": listener(8080)},
        at="Http",
        answer="A listener already exists on this port",
    ),
    "listener-rule-priority": Example(
        before={**balancer("internal"), "Web": listener(), "Pages": route(1)},
        after={**balancer("internal"), "Web": listener(), "Routes": route(1)},
        permitted={**balancer("internal"), "Web": listener(), "Routes": route(2)},
        at="Routes",
        answer="Priority '1' is currently in use",
    ),
    "subnet-range": Example(
        before={**VPC, "A": subnet("10.0.0.0/24", "us-east-1a")},
        after={**VPC, "A": subnet("10.0.0.0/24", "us-east-1b")},
        permitted={**VPC, "A": subnet("10.0.9.0/24", "us-east-1b")},
        at="A",
        answer="The CIDR '10.0.0.0/24' conflicts with another subnet",
    ),
    "inbound-rule": Example(
        before={**SECURITY_GROUP, "One": rule("10.0.0.0/8"), "Two": rule("11.0.0.0/8")},
        after={**SECURITY_GROUP, "One": rule("11.0.0.0/8")},
        permitted={**SECURITY_GROUP, "One": rule("12.0.0.0/8")},
        at="One",
        answer='the specified rule "peer: 11.0.0.0/8, tcp, from port: 443, '
        'to port: 443, ALLOW" already exists',
    ),
    "outbound-rule": Example(
        before={**SECURITY_GROUP, "One": rule("10.0.0.0/8", "Egress")},
        after={**SECURITY_GROUP, "Two": rule("10.0.0.0/8", "Egress")},
        permitted={**SECURITY_GROUP, "Two": rule("11.0.0.0/8", "Egress")},
        at="Two",
        answer="already exists",
    ),
    "route": Example(
        before=table_route("One=11"),
        after=table_route("Two=11"),
        permitted=table_route("Two=12"),
        at="Two",
        answer="The route identified by 11.0.0.0/8 already exists.",
    ),
    "route-table": Example(
        before=association("One"),
        after=association("Two"),
        permitted=association("Two", "B"),
        at="Two",
        answer="conflicts with an existing association",
    ),
    "nat-address": Example(
        before=nat("A"),
        after=nat("B"),
        permitted=nat("B", "Address2"),
        at="Nat",
        answer="is already associated",
    ),
    "bucket-policy": Example(
        before=bucket_policy("One"),
        after=bucket_policy("Two"),
        permitted=bucket_policy("Two", "Data2"),
        at="Two",
        answer="The bucket policy already exists on bucket",
    ),
    "dns-record": Example(
        before=record("One"),
        after=record("Two"),
        permitted=record("Two", "flower.example.com"),
        at="Two",
        answer="but it already exists",
    ),
    "database-snapshot": Example(
        before=database(SnapshotIdentifier="one"),
        after=database(SnapshotIdentifier="two"),
        permitted=database(SnapshotIdentifier="one", BackupRetentionPeriod=7),
        at="Cluster",
    ),
    "database-protected": Example(
        before=database(DeletionProtection=True),
        after=TOPIC,
        permitted=database(DeletionProtection=False),
        at="Cluster",
    ),
    "database-version-lower": Example(
        before=database(),
        after=database(EngineVersion="17.5"),
        permitted=database(EngineVersion="17.10"),
        at="Cluster",
        answer="Cannot upgrade aurora-postgresql from 17.7 to 17.5",
    ),
    "database-zones": Example(
        before={**SUBNETS, **subnet_group("RDS::DBSubnetGroup", "A", "B", "C")},
        after={**SUBNETS, **subnet_group("RDS::DBSubnetGroup", "A", "B")},
        permitted={**SUBNETS, **subnet_group("RDS::DBSubnetGroup", "C", "B", "A")},
        at="Group",
        answer="currently in use",
    ),
    "database-vpc": Example(
        before={**SUBNETS, **subnet_group("RDS::DBSubnetGroup", "A", "B")},
        after={
            **SUBNETS,
            **OTHER_VPC,
            **subnet_group("RDS::DBSubnetGroup", "D", "E"),
        },
        permitted={**SUBNETS, **subnet_group("RDS::DBSubnetGroup", "A", "B", "C")},
        at="Group",
        answer="The new Subnets are not in the same Vpc as the existing subnet group",
    ),
    "broker-zones": Example(
        before={**SUBNETS, **subnet_group("ElastiCache::SubnetGroup", "A", "B", "C")},
        after={**SUBNETS, **subnet_group("ElastiCache::SubnetGroup", "A", "B")},
        permitted={
            **SUBNETS,
            **subnet_group("ElastiCache::SubnetGroup", "C", "B", "A"),
        },
        at="Group",
        answer="are in use",
    ),
    "broker-vpc": Example(
        before={**SUBNETS, **subnet_group("ElastiCache::SubnetGroup", "A", "B")},
        after={
            **SUBNETS,
            **OTHER_VPC,
            **subnet_group("ElastiCache::SubnetGroup", "D", "E"),
        },
        permitted={
            **SUBNETS,
            **subnet_group("ElastiCache::SubnetGroup", "A", "B", "C"),
        },
        at="Group",
        answer="not in the VPC of the cache subnet group",
    ),
    "broker-version-lower": Example(
        before=broker(1, failover=False, version="8.2"),
        after=broker(1, failover=False, version="7.2"),
        permitted=broker(1, failover=False, version="8.10"),
        at="Nodes",
        answer="from 8.2 to 7.2",
    ),
    "broker-failover-first": Example(
        before=broker(1, failover=False),
        after=broker(2, failover=True),
        permitted=broker(2, failover=False),
        at="Nodes",
        answer="at least one read replica to enable autofailover",
    ),
    "broker-replica-first": Example(
        before=broker(2, failover=True),
        after=broker(1, failover=False),
        permitted=broker(2, failover=False),
        at="Nodes",
        answer="Must have at least 1 replica",
    ),
    "spot-share": Example(
        before=service(0, **forced(0)),
        after=service(50, **forced(0)),
        permitted=service(50, **forced(50)),
        at="Service",
        answer="you must force a new deployment",
    ),
}

"""Every question of the preflight, one row each."""

from __future__ import annotations

from deploy.preflight import (
    account,
    artifacts,
    datastores,
    leftovers,
    linked_roles,
    network,
    permissions,
    quotas,
    web,
)
from deploy.preflight.findings import Check

CHECKS: tuple[Check, ...] = (
    Check(
        name="Identity",
        run=account.identity,
        asks=("sts:GetCallerIdentity",),
        emulated=True,
    ),
    Check(
        name="Stack",
        run=account.stack,
        asks=("cloudformation:DescribeStacks",),
        emulated=True,
    ),
    Check(name="Services of the region", run=account.region, emulated=True),
    Check(name="ARNs and images", run=account.addresses),
    Check(
        name="RDS certificate authorities",
        run=artifacts.certificate_authorities,
        emulated=True,
    ),
    Check(
        name="Permissions",
        run=permissions.permissions,
        asks=(permissions.SIMULATE, "iam:GetRole"),
    ),
    Check(
        name="Permissions boundary",
        run=account.boundaries,
        asks=("iam:GetPolicy",),
    ),
    Check(
        name="Service-linked roles",
        run=linked_roles.linked_roles,
        asks=("iam:ListRoles",),
        emulated=True,
        is_mended_by_launch=True,
    ),
    *quotas.checks(),
    Check(
        name="Zones",
        run=network.zones,
        asks=("ec2:DescribeAvailabilityZones",),
    ),
    Check(
        name="Existing VPC",
        run=network.existing_network,
        asks=("ec2:DescribeSubnets", "ec2:DescribeVpcAttribute"),
    ),
    Check(
        name="Security groups",
        run=network.security_groups,
        asks=("ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"),
    ),
    Check(
        name="Endpoint services",
        run=network.endpoint_services,
        asks=("ec2:DescribeVpcEndpointServices", "ec2:DescribeSubnets"),
    ),
    Check(
        name="Web clients",
        run=network.web_clients,
        asks=("ec2:DescribeManagedPrefixLists", "ec2:DescribeSecurityGroups"),
    ),
    Check(
        name="S3 prefix list",
        run=network.prefix_list,
        asks=("ec2:DescribeManagedPrefixLists",),
    ),
    Check(
        name="Database version",
        run=datastores.database_version,
        asks=("rds:DescribeDBEngineVersions",),
    ),
    Check(
        name="Database instance class",
        run=datastores.database_class,
        asks=("rds:DescribeOrderableDBInstanceOptions",),
    ),
    Check(
        name="Database snapshot",
        run=datastores.database_snapshot,
        asks=("rds:DescribeDBClusterSnapshots",),
    ),
    Check(
        name="Fernet secret",
        run=datastores.fernet_secret,
        asks=("secretsmanager:DescribeSecret",),
        emulated=True,
    ),
    Check(
        name="Backup of Aurora",
        run=datastores.backup_opt_in,
        asks=("backup:DescribeRegionSettings",),
    ),
    Check(
        name="Cache node type",
        run=datastores.cache_node,
        asks=("elasticache:DescribeReservedCacheNodesOfferings",),
    ),
    Check(
        name="Cache version",
        run=datastores.cache_version,
        asks=("elasticache:DescribeCacheEngineVersions",),
    ),
    Check(
        name="Certificate",
        run=web.certificate,
        asks=("acm:DescribeCertificate",),
    ),
    Check(
        name="Hosted zone",
        run=web.hosted_zone,
        asks=("route53:GetHostedZone", "route53:ListResourceRecordSets"),
    ),
    Check(name="Image", run=artifacts.image, asks=("ecr:DescribeImages",)),
    *leftovers.checks(),
)

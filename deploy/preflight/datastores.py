"""Versions and types of the database and the cache, its snapshot and its backups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cli.errors import AwsError
from deploy.aws import is_missing
from deploy.preflight.context import LaunchContext, numbers
from deploy.preflight.findings import Finding, passed, refused, unknown, warning
from deploy.preflight.network import zone_count


def _clusters(context: LaunchContext) -> list[Mapping[str, Any]]:
    return [cluster.properties for cluster in context.of_type("AWS::RDS::DBCluster")]


def database_version(context: LaunchContext) -> Iterator[Finding]:
    """Ask whether the version can be created, and with these capacities."""
    for cluster in _clusters(context):
        engine, version = cluster["Engine"], cluster["EngineVersion"]
        rows = _versions(context, Engine=engine, EngineVersion=version)
        if rows:
            yield _offered(cluster, rows[0])
            continue
        others = [row["EngineVersion"] for row in _versions(context, Engine=engine)]
        major = version.partition(".")[0] + "."
        known = [name for name in others if name.startswith(major)]
        yield refused(
            f"RDS does not offer {engine} {version} in {context.aws.region}.",
            f"Choose one of {', '.join(known)}." if known else "Use another region.",
        )


def _offered(cluster: Mapping[str, Any], row: Mapping[str, Any]) -> Finding:
    name = f"{cluster['Engine']} {cluster['EngineVersion']}"
    limits = row.get("ServerlessV2FeaturesSupport") or {}
    least, most = limits.get("MinCapacity", 0.0), limits.get("MaxCapacity", math.inf)
    scaling = cluster.get("ServerlessV2ScalingConfiguration", {})
    outside = [
        f"{key} {scaling[key]}"
        for key in ("MinCapacity", "MaxCapacity")
        if key in scaling and not least <= float(scaling[key]) <= most
    ]
    if outside:
        return refused(
            f"{name} takes capacities from {least:g} to {most:g}, not "
            f"{', '.join(outside)}.",
            "Correct the capacity, or choose a newer version.",
        )
    if row.get("Status") == "deprecated":
        return warning(f"RDS calls {name} deprecated.", "Choose a newer version.")
    return passed(f"RDS offers {name}.")


def _versions(context: LaunchContext, **version: str) -> list[dict[str, Any]]:
    try:
        return [
            row
            for page in context.aws.pages(
                "rds", "describe_db_engine_versions", "engine versions", **version
            )
            for row in page["DBEngineVersions"]
        ]
    except AwsError as error:
        if "Cannot find version" in error.message or is_missing(error):
            return []
        raise


def database_class(context: LaunchContext) -> Iterator[Finding]:
    """Ask in how many zones the instance class is on offer."""
    zones = zone_count(context)
    for cluster in _clusters(context):
        for name in context.values("AWS::RDS::DBInstance", "DBInstanceClass"):
            pages = context.aws.pages(
                "rds",
                "describe_orderable_db_instance_options",
                "instance classes",
                Engine=cluster["Engine"],
                EngineVersion=cluster["EngineVersion"],
                DBInstanceClass=name,
            )
            offered = {
                zone["Name"]
                for page in pages
                for row in page["OrderableDBInstanceOptions"]
                for zone in row["AvailabilityZones"]
            }
            text = f"{name} is on offer in {', '.join(sorted(offered)) or 'no zone'}."
            if offered and len(offered) >= zones:
                yield passed(text)
            else:
                yield refused(
                    f"{text} The subnets are in {zones} zones.",
                    "Choose another DatabaseEngineVersion, fewer zones or another "
                    "region.",
                )


def database_snapshot(context: LaunchContext) -> Iterator[Finding]:
    """Look at the snapshot that a new database is created from."""
    for cluster in _clusters(context):
        if context.is_new and cluster.get("SnapshotIdentifier"):
            yield _snapshot(context, cluster, cluster["SnapshotIdentifier"])


def _snapshot(context: LaunchContext, cluster: Mapping[str, Any], name: str) -> Finding:
    try:
        rows = context.aws.call(
            "rds",
            "describe_db_cluster_snapshots",
            name,
            DBClusterSnapshotIdentifier=name,
            IncludeShared=True,
        )["DBClusterSnapshots"]
    except AwsError as error:
        if not is_missing(error):
            raise
        rows = []
    if not rows:
        return refused(
            f"There is no cluster snapshot {name}.",
            "Correct DatabaseSnapshotId; `aws rds describe-db-cluster-snapshots`.",
        )
    row = rows[0]
    if row["Status"] != "available" or row["Engine"] != cluster["Engine"]:
        return refused(
            f"{name} is {row['Status']}, of {row['Engine']}.",
            "Wait until it is available, or name another.",
        )
    if numbers(row["EngineVersion"]) > numbers(cluster["EngineVersion"]):
        return refused(
            f"{name} is of version {row['EngineVersion']}; the database would be "
            f"{cluster['EngineVersion']}.",
            "Raise DatabaseEngineVersion: an older version cannot restore it.",
        )
    return passed(f"{name} is available, version {row['EngineVersion']}.")


def fernet_secret(context: LaunchContext) -> Iterator[Finding]:
    """Look at the operator's secret with the Fernet key; its value is not read."""
    arn = context.environment.parameters.get("FernetKeySecretArn")
    if not arn:
        return
    try:
        secret = context.aws.call(
            "secretsmanager", "describe_secret", arn, SecretId=arn
        )
    except AwsError as error:
        if not is_missing(error):
            raise
        yield refused(
            f"There is no secret {arn}.",
            "Correct FernetKeySecretArn; without the key no connection of the "
            "database can be read.",
        )
        return
    if secret.get("DeletedDate"):
        yield refused(
            f"{arn} is scheduled for deletion, and no task can read it.",
            f"Run aws secretsmanager restore-secret --secret-id {arn}.",
        )
    else:
        yield passed(f"{arn} exists.")


def cache_node(context: LaunchContext) -> Iterator[Finding]:
    """Ask whether ElastiCache sells the node type in the region.

    No operation lists node types; the offers of reserved nodes name each of them.
    """
    for name in context.values("AWS::ElastiCache::ReplicationGroup", "CacheNodeType"):
        try:
            offers = context.aws.call(
                "elasticache",
                "describe_reserved_cache_nodes_offerings",
                name,
                CacheNodeType=name,
                MaxRecords=20,
            )["ReservedCacheNodesOfferings"]
        except AwsError as error:
            if not is_missing(error) and error.code != "InvalidParameterValue":
                raise
            offers = []
        if offers:
            yield passed(f"ElastiCache offers {name}.")
        else:
            yield warning(
                f"ElastiCache has no offer of {name} in {context.aws.region}.",
                "Check the spelling, or choose another CacheNodeType.",
            )


def cache_version(context: LaunchContext) -> Iterator[Finding]:
    """Ask whether the version of Valkey can be created."""
    for group in context.of_type("AWS::ElastiCache::ReplicationGroup"):
        engine = group.properties["Engine"]
        version = str(group.properties["EngineVersion"])
        rows = context.aws.call(
            "elasticache", "describe_cache_engine_versions", engine, Engine=engine
        )["CacheEngineVersions"]
        known = [row["EngineVersion"] for row in rows]
        # The API names patches, 8.2.0, where the template names 8.2.
        own = numbers(version)
        if any(numbers(name)[: len(own)] == own for name in known):
            yield passed(f"ElastiCache offers {engine} {version}.")
        else:
            yield refused(
                f"ElastiCache offers {engine} {', '.join(known) or 'in no version'} in "
                f"{context.aws.region}, not {version}.",
                "Launch in another region.",
            )


def backup_opt_in(context: LaunchContext) -> Iterator[Finding]:
    """Ask whether AWS Backup may work with Aurora in the region.

    Where it may not, a plan starts no job for a cluster, and no alarm rings:
    https://docs.aws.amazon.com/aws-backup/latest/devguide/assigning-resources.html
    """
    if not context.of_type("AWS::Backup::BackupSelection"):
        return
    settings = context.aws.call("backup", "describe_region_settings", "region settings")
    opted_in = settings["ResourceTypeOptInPreference"].get("Aurora")
    if opted_in is None:
        yield unknown("AWS Backup does not say whether Aurora is switched on.")
    elif opted_in:
        yield passed("AWS Backup works with Aurora in this region.")
    else:
        yield warning(
            "AWS Backup has Aurora switched off in this region: no backup would run.",
            "aws backup update-region-settings --resource-type-opt-in-preference "
            "Aurora=true",
        )

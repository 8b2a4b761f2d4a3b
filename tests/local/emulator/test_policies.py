"""DeletionPolicy and UpdateReplacePolicy retain what they name."""

from __future__ import annotations

import uuid
from typing import Any

from tests.local.emulator.cloud import Cloud


def cluster(policy: str, **more: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Cluster": {
                "Type": "AWS::RDS::DBCluster",
                "DeletionPolicy": policy,
                "UpdateReplacePolicy": policy,
                "Properties": {"Engine": "aurora-postgresql", **more},
            }
        },
        "Outputs": {"Id": {"Value": {"Ref": "Cluster"}}},
    }


def bucket(name: str) -> dict[str, Any]:
    return {
        "Resources": {
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"BucketName": name},
            }
        }
    }


def snapshots(cloud: Cloud) -> set[str]:
    cluster_snapshots = cloud.client("rds").describe_db_cluster_snapshots()[
        "DBClusterSnapshots"
    ]
    return {snapshot["DBClusterIdentifier"] for snapshot in cluster_snapshots}


def buckets(cloud: Cloud) -> set[str]:
    return {bucket["Name"] for bucket in cloud.s3.list_buckets()["Buckets"]}


def test_replaced_database_leaves_a_snapshot(cloud: Cloud) -> None:
    stack = cloud.create(cluster("Snapshot", DatabaseName="one"))
    old = stack.outputs["Id"]
    replaced = cloud.update(stack, cluster("Snapshot", DatabaseName="two"))
    assert replaced.outputs["Id"] != old
    assert old in snapshots(cloud)
    clusters = cloud.client("rds").describe_db_clusters()["DBClusters"]
    assert old not in {cluster["DBClusterIdentifier"] for cluster in clusters}


def test_replaced_database_with_policy_delete_leaves_no_snapshot(cloud: Cloud) -> None:
    stack = cloud.create(cluster("Delete", DatabaseName="one"))
    cloud.update(stack, cluster("Delete", DatabaseName="two"))
    assert stack.outputs["Id"] not in snapshots(cloud)


def test_replaced_bucket_is_retained(cloud: Cloud) -> None:
    first, second = (f"data-{uuid.uuid4().hex[:8]}" for _ in range(2))
    stack = cloud.create(bucket(first))
    cloud.update(stack, bucket(second))
    assert {first, second} <= buckets(cloud)
    assert ("Bucket", "DELETE_SKIPPED") in cloud.story(stack.id)


def test_bucket_removed_from_the_template_is_retained(cloud: Cloud) -> None:
    name = f"data-{uuid.uuid4().hex[:8]}"
    other = {"Other": {"Type": "AWS::SNS::Topic"}}
    stack = cloud.create(
        {"Resources": {**other, "Bucket": bucket(name)["Resources"]["Bucket"]}}
    )
    cloud.update(stack, {"Resources": other})
    assert name in buckets(cloud)
    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    assert name in buckets(cloud)


def test_rolled_back_create_deletes_its_resources(cloud: Cloud) -> None:
    """RetainExceptOnCreate retains data, but nothing of a failed create."""
    name = f"data-{uuid.uuid4().hex[:8]}"
    definition = bucket(name)["Resources"]["Bucket"]
    bad = {
        "Type": "AWS::SNS::Topic",
        "DependsOn": "Bucket",
        "Properties": {"Nonsense": "1"},
    }
    definition["DeletionPolicy"] = "RetainExceptOnCreate"
    stack = cloud.create({"Resources": {"Bucket": definition, "Bad": bad}})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert name not in buckets(cloud)

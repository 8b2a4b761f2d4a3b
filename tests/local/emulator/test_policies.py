"""What DeletionPolicy and UpdateReplacePolicy keep is kept: data outlives mistakes."""

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
    found = cloud.client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"]
    return {snapshot["DBClusterIdentifier"] for snapshot in found}


def buckets(cloud: Cloud) -> set[str]:
    return {one["Name"] for one in cloud.s3.list_buckets()["Buckets"]}


def test_a_replaced_database_leaves_its_snapshot(cloud: Cloud) -> None:
    stack = cloud.create(cluster("Snapshot", DatabaseName="one"))
    old = stack.outputs["Id"]
    replaced = cloud.update(stack, cluster("Snapshot", DatabaseName="two"))
    assert replaced.outputs["Id"] != old
    assert old in snapshots(cloud)
    clusters = cloud.client("rds").describe_db_clusters()["DBClusters"]
    assert old not in {one["DBClusterIdentifier"] for one in clusters}


def test_a_replaced_database_that_nobody_wants_leaves_none(cloud: Cloud) -> None:
    stack = cloud.create(cluster("Delete", DatabaseName="one"))
    cloud.update(stack, cluster("Delete", DatabaseName="two"))
    assert stack.outputs["Id"] not in snapshots(cloud)


def test_a_replaced_bucket_stays(cloud: Cloud) -> None:
    first, second = (f"data-{uuid.uuid4().hex[:8]}" for _ in range(2))
    stack = cloud.create(bucket(first))
    cloud.update(stack, bucket(second))
    assert {first, second} <= buckets(cloud)
    assert ("Bucket", "DELETE_SKIPPED") in cloud.story(stack.id)


def test_a_bucket_that_leaves_the_template_stays(cloud: Cloud) -> None:
    name = f"data-{uuid.uuid4().hex[:8]}"
    other = {"Other": {"Type": "AWS::SNS::Topic"}}
    stack = cloud.create(
        {"Resources": {**other, "Bucket": bucket(name)["Resources"]["Bucket"]}}
    )
    cloud.update(stack, {"Resources": other})
    assert name in buckets(cloud)
    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    assert name in buckets(cloud)


def test_a_create_that_is_rolled_back_deletes_what_it_made(cloud: Cloud) -> None:
    """RetainExceptOnCreate keeps data, and does not keep the name of a failure."""
    name = f"data-{uuid.uuid4().hex[:8]}"
    made = bucket(name)["Resources"]["Bucket"]
    bad = {
        "Type": "AWS::SNS::Topic",
        "DependsOn": "Bucket",
        "Properties": {"Nonsense": "1"},
    }
    made["DeletionPolicy"] = "RetainExceptOnCreate"
    stack = cloud.create({"Resources": {"Bucket": made, "Bad": bad}})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert name not in buckets(cloud)

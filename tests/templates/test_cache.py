"""What the cache stack promises to Celery."""

from __future__ import annotations

import json
import re
from typing import Any

from compiler.wiring import Build
from templates import cache
from tests.maintenance_windows import minutes
from tests.resolver import Stack, deploy

PRODUCTION = {
    "SubnetIds": "subnet-1,subnet-2",
    "GroupId": "sg-1",
    "KeyArn": "<key>",
    "NodeType": "cache.r7g.large",
    "EnableReplica": "true",
    "SnapshotDays": "7",
    "LogDays": "365",
}


def stack(name: str = "airflow", **changes: str) -> Stack:
    page = Build().page(cache.define)
    return deploy(json.loads(page.text()), {}, PRODUCTION | changes, name=name)


def nodes(**changes: str) -> dict[str, Any]:
    properties: dict[str, Any] = stack(**changes).resources["Nodes"]["Properties"]
    return properties


def test_a_full_broker_refuses_and_never_forgets() -> None:
    # Control 34: an evicted key is a lost task, queued for ever.
    settings = stack().resources["Settings"]["Properties"]
    assert settings["Properties"]["maxmemory-policy"] == "noeviction"
    assert settings["CacheParameterGroupFamily"] == "valkey8"
    assert nodes()["EngineVersion"].startswith("8.")
    assert nodes()["CacheParameterGroupName"] == "<Settings>"


def test_celery_meets_one_shard() -> None:
    # Control 37: CROSSSLOT with cluster mode or Serverless (celery #9019).
    template = json.loads(Build().page(cache.define).text())
    types = {resource["Type"] for resource in template["Resources"].values()}
    assert "AWS::ElastiCache::ServerlessCache" not in types
    properties = nodes()
    assert properties["Engine"] == "valkey"
    assert properties["ClusterMode"] == "disabled"
    assert not {
        "NumNodeGroups",
        "ReplicasPerNodeGroup",
        "NodeGroupConfiguration",
    } & set(properties)
    assert stack().outputs["ConnectionHost"] == "<Nodes.PrimaryEndPoint.Address>"


def test_nothing_crosses_the_wire_in_clear() -> None:
    # Controls 25 and 26: "preferred" still admits plain text.
    assert nodes()["TransitEncryptionEnabled"] is True
    assert nodes()["TransitEncryptionMode"] == "required"


def test_what_is_stored_outlives_the_stack_under_our_key() -> None:
    # Control 35: snapshots hold messages, and messages hold their tasks' tokens.
    group = stack().resources["Nodes"]
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == "Snapshot"
    properties = group["Properties"]
    assert properties["AtRestEncryptionEnabled"] is True
    assert properties["KmsKeyId"] == "<key>"
    assert properties["SnapshotRetentionLimit"] == "7"
    assert "ReplicationGroupId" not in properties


def test_only_one_user_gets_in_and_only_with_a_generated_password() -> None:
    # Controls 27, 39 and 40. RBAC and an AUTH token exclude each other.
    resources = stack().resources
    assert nodes()["UserGroupIds"] == ["<Users>"]
    assert "AuthToken" not in nodes()
    assert resources["Users"]["Properties"]["UserIds"] == ["<CeleryUser>"]
    user = resources["CeleryUser"]["Properties"]
    assert user["AuthenticationMode"] == {
        "Type": "password",
        "Passwords": ["{{resolve:secretsmanager:<CeleryLogin>:SecretString:password}}"],
    }
    assert "NoPasswordRequired" not in user
    made = resources["CeleryLogin"]["Properties"]["GenerateSecretString"]
    assert json.loads(made["SecretStringTemplate"]) == {"username": user["UserName"]}
    assert made["ExcludePunctuation"] is True
    # ElastiCache takes 16 to 128 characters.
    assert 40 <= made["PasswordLength"] <= 128
    assert stack().outputs["ConnectionSecretArn"] == "<CeleryLogin>"


def test_celery_may_use_every_queue_and_channel_and_administer_nothing() -> None:
    # Control 36 and A6: without channels remote control fails (celery #8724).
    access = stack().resources["CeleryUser"]["Properties"]["AccessString"].split()
    assert access[0] == "on"
    assert {"~*", "&*"} <= set(access)
    rights = [token for token in access if token[0] in "+-"]
    # The order counts: INFO comes back after its category went.
    assert rights == ["+@all", "-@dangerous", "+info"]


def test_ids_are_short_and_unique_however_long_the_stack_name_is() -> None:
    # ElastiCache: 1 to 40 lower-case letters, digits and single hyphens.
    resources = stack("x" * 128).resources
    ids = [
        resources["CeleryUser"]["Properties"]["UserId"],
        resources["Users"]["Properties"]["UserGroupId"],
    ]
    assert len(set(ids)) == 2
    for one in ids:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", one)
        assert len(one) <= 40
        assert one.endswith("6b7c8d901a2b11ef8e3a0a1b2c3d4e5f")


def test_a_renamed_user_does_not_meet_its_own_id() -> None:
    # A new UserName replaces the user; the old one still has its ID then.
    user = stack().resources["CeleryUser"]["Properties"]
    assert user["UserId"].startswith(user["UserName"])


def test_a_lost_node_or_zone_heals_itself_with_a_replica() -> None:
    with_replica, alone = nodes(), nodes(EnableReplica="false")
    assert with_replica["NumCacheClusters"] == 2
    assert with_replica["AutomaticFailoverEnabled"] is True
    assert with_replica["MultiAZEnabled"] is True
    assert alone["NumCacheClusters"] == 1
    assert alone["AutomaticFailoverEnabled"] is False
    assert alone["MultiAZEnabled"] is False


def test_patches_come_by_themselves() -> None:
    # Control 32; public rules look at CacheCluster only.
    assert nodes()["AutoMinorVersionUpgrade"] is True


def test_slow_commands_and_the_engine_are_logged_where_we_choose() -> None:
    # Control 33.
    resources = stack().resources
    delivered = {
        each["LogType"]: each["DestinationDetails"]["CloudWatchLogsDetails"]["LogGroup"]
        for each in nodes()["LogDeliveryConfigurations"]
    }
    assert delivered == {"slow-log": "<SlowLog>", "engine-log": "<EngineLog>"}
    for name in ("SlowLog", "EngineLog"):
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["Properties"] == {
            "RetentionInDays": "365",
            "KmsKeyId": "<key>",
        }


def test_snapshot_and_maintenance_windows_do_not_meet() -> None:
    snapshot = minutes(nodes()["SnapshotWindow"])
    maintenance = minutes(nodes()["PreferredMaintenanceWindow"])
    assert len(snapshot) == 7 * 60
    assert len(maintenance) == 60
    assert not snapshot & maintenance


def test_elasticache_is_not_told_of_a_topic_it_cannot_publish_to() -> None:
    # It publishes to unencrypted topics only; an encrypted one turns inactive.
    assert "NotificationTopicArn" not in nodes()

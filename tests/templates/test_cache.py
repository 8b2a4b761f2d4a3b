"""The broker: engine, login, IDs and windows."""

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
    "EnableFailover": "true",
    "SnapshotDays": "7",
    "LogDays": "365",
}


def stack(name: str = "airflow", **changes: str) -> Stack:
    page = Build().template(cache.define)
    return deploy(json.loads(page.text()), {}, PRODUCTION | changes, name=name)


def nodes(**changes: str) -> dict[str, Any]:
    properties: dict[str, Any] = stack(**changes).resources["Nodes"]["Properties"]
    return properties


def test_engine_version_fits_its_parameter_group() -> None:
    settings = stack().resources["Settings"]["Properties"]
    assert settings["CacheParameterGroupFamily"] == "valkey8"
    assert nodes()["Engine"] == "valkey"
    assert nodes()["EngineVersion"].startswith("8.")


def test_replica_and_failover_are_separate_switches() -> None:
    # ElastiCache refuses a failover in the update that adds the replica for it.
    first = nodes(EnableFailover="false")
    assert first["NumCacheClusters"] == 2
    assert first["AutomaticFailoverEnabled"] is first["MultiAZEnabled"] is False
    then = nodes()
    assert then["NumCacheClusters"] == 2
    assert then["AutomaticFailoverEnabled"] is then["MultiAZEnabled"] is True


def test_connection_is_the_primary_endpoint() -> None:
    # Of the one shard, which NumCacheClusters describes; these describe several.
    several = {"NumNodeGroups", "ReplicasPerNodeGroup", "NodeGroupConfiguration"}
    assert not several & nodes().keys()
    assert stack().outputs["ConnectionHost"] == "<Nodes.PrimaryEndPoint.Address>"


def test_user_logs_in_with_the_generated_password() -> None:
    resources = stack().resources
    user = resources["CeleryUser"]["Properties"]
    assert user["AuthenticationMode"] == {
        "Type": "password",
        "Passwords": ["{{resolve:secretsmanager:<CeleryLogin>:SecretString:password}}"],
    }
    recipe = resources["CeleryLogin"]["Properties"]["GenerateSecretString"]
    assert json.loads(recipe["SecretStringTemplate"]) == {"username": user["UserName"]}
    # ElastiCache takes 16 to 128 characters.
    assert 40 <= recipe["PasswordLength"] <= 128
    assert stack().outputs["ConnectionSecretArn"] == "<CeleryLogin>"


def test_user_has_every_key_channel_and_command_but_dangerous_ones() -> None:
    # Without channels remote control fails (celery #8724).
    access = stack().resources["CeleryUser"]["Properties"]["AccessString"].split()
    assert access[0] == "on"
    assert {"~*", "&*"} <= set(access)
    assert next(token for token in access if token[0] in "+-") == "+@all"


def test_ids_are_short_and_unique_for_long_stack_names() -> None:
    # ElastiCache: 1 to 40 lower-case letters, digits and single hyphens.
    resources = stack("x" * 128).resources
    ids = [
        resources["CeleryUser"]["Properties"]["UserId"],
        resources["Users"]["Properties"]["UserGroupId"],
    ]
    assert len(set(ids)) == 2
    for identifier in ids:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", identifier)
        assert len(identifier) <= 40
        assert identifier.endswith("6b7c8d901a2b11ef8e3a0a1b2c3d4e5f")


def test_renamed_user_has_a_new_id() -> None:
    # A new UserName replaces the user; the old one still has its ID then.
    user = stack().resources["CeleryUser"]["Properties"]
    assert user["UserId"].startswith(user["UserName"])


def test_snapshot_and_maintenance_windows_are_apart() -> None:
    snapshot = minutes(nodes()["SnapshotWindow"])
    maintenance = minutes(nodes()["PreferredMaintenanceWindow"])
    assert len(snapshot) == 7 * 60
    assert len(maintenance) == 60
    assert not snapshot & maintenance


def test_elasticache_has_no_notification_topic() -> None:
    # It publishes to unencrypted topics only; an encrypted one turns inactive.
    assert "NotificationTopicArn" not in nodes()

"""Controls 24 to 37: the broker.

Public rules look for ``Engine: redis`` and ignore a Valkey cache.
"""

from __future__ import annotations

import pytest

from tests.compliance.environments import Environments

KEY = "<Encryption.Key.Arn>"
BROKER = "ElastiCache::ReplicationGroup"


@pytest.mark.control(24, 35)
def test_broker_is_encrypted_with_a_customer_key(environments: Environments) -> None:
    for environment in environments.variants:
        broker = environment.single(BROKER)
        assert broker["AtRestEncryptionEnabled"] is True
        assert broker["KmsKeyId"] == KEY


@pytest.mark.control(25)
def test_broker_is_encrypted_in_transit(environments: Environments) -> None:
    assert environments.base.single(BROKER)["TransitEncryptionEnabled"] is True


@pytest.mark.control(26)
def test_broker_refuses_plain_text(environments: Environments) -> None:
    # A new group with TLS requires it; the mode "preferred" would still accept both.
    broker = environments.base.single(BROKER)
    assert broker["TransitEncryptionEnabled"] is True
    assert broker.get("TransitEncryptionMode", "required") == "required"


@pytest.mark.control(27)
def test_broker_admits_one_user_by_password_only(environments: Environments) -> None:
    # RBAC and an AUTH token exclude each other; rule packs that ask for the token err.
    environment = environments.base
    broker = environment.single(BROKER)
    ((group, users),) = environment.properties("ElastiCache::UserGroup").items()
    assert broker["UserGroupIds"] == [f"<{group}>"]
    assert "AuthToken" not in broker
    accounts = environment.properties("ElastiCache::User")
    assert users["UserIds"] == [f"<{place}>" for place in accounts]
    for user in accounts.values():
        assert user["AuthenticationMode"]["Type"] == "password"
        assert not user.get("NoPasswordRequired")


@pytest.mark.control(28)
def test_broker_fails_over_automatically(environments: Environments) -> None:
    assert environments.base.single(BROKER)["AutomaticFailoverEnabled"] is True


@pytest.mark.control(29)
def test_broker_spans_zones(environments: Environments) -> None:
    assert environments.base.single(BROKER)["MultiAZEnabled"] is True


@pytest.mark.control(30)
def test_broker_has_a_replica(environments: Environments) -> None:
    assert environments.base.single(BROKER)["NumCacheClusters"] >= 2


@pytest.mark.control(31)
def test_broker_has_daily_and_final_snapshots(environments: Environments) -> None:
    (whole,) = environments.base.resources(BROKER).values()
    assert int(whole["Properties"]["SnapshotRetentionLimit"]) >= 1
    assert whole["DeletionPolicy"] == "Snapshot"
    assert whole["UpdateReplacePolicy"] == "Snapshot"


@pytest.mark.control(32)
def test_broker_minor_upgrades_are_automatic(environments: Environments) -> None:
    assert environments.base.single(BROKER)["AutoMinorVersionUpgrade"] is True


@pytest.mark.control(33)
def test_broker_logs_go_to_own_log_groups(environments: Environments) -> None:
    groups = environments.base.properties("Logs::LogGroup")
    deliveries = environments.base.single(BROKER)["LogDeliveryConfigurations"]
    assert {each["LogType"] for each in deliveries} == {"slow-log", "engine-log"}
    for each in deliveries:
        details = each["DestinationDetails"]["CloudWatchLogsDetails"]
        assert details["LogGroup"].strip("<>") in groups


@pytest.mark.control(34)
def test_a_full_broker_refuses_and_never_forgets(environments: Environments) -> None:
    ((place, settings),) = environments.base.properties(
        "ElastiCache::ParameterGroup"
    ).items()
    assert settings["Properties"]["maxmemory-policy"] == "noeviction"
    assert environments.base.single(BROKER)["CacheParameterGroupName"] == f"<{place}>"


@pytest.mark.control(36)
def test_broker_user_has_no_dangerous_command(environments: Environments) -> None:
    for place, user in environments.base.properties("ElastiCache::User").items():
        words = user["AccessString"].split()
        commands = [word for word in words if word[0] in "+-"]
        # Rights are applied in order: what follows the ban must be harmless.
        assert "-@dangerous" in commands, place
        after = commands[commands.index("-@dangerous") + 1 :]
        assert after == ["+info"], place
        assert "nopass" not in words


@pytest.mark.control(37)
def test_celery_meets_one_shard(environments: Environments) -> None:
    # With more, a command over two queues fails: CROSSSLOT, celery #9019.
    for environment in environments.variants:
        broker = environment.single(BROKER)
        assert broker["ClusterMode"] == "disabled"
        assert broker.get("NumNodeGroups", 1) == 1
        assert "ElastiCache::ServerlessCache" not in environment.types

"""Controls 24 to 37, on what production's broker would be.

Public rules that look for ``Engine: redis`` pass a Valkey cache unseen.
"""

from __future__ import annotations

import pytest

from tests.compliance.environments import Estates

KEY = "<Encryption.Key.Arn>"
BROKER = "ElastiCache::ReplicationGroup"


@pytest.mark.control(24, 35)
def test_messages_lie_under_our_key(estates: Estates) -> None:
    for estate in estates.each:
        broker = estate.one(BROKER)
        assert broker["AtRestEncryptionEnabled"] is True
        assert broker["KmsKeyId"] == KEY


@pytest.mark.control(25)
def test_tokens_cross_the_wire_encrypted(estates: Estates) -> None:
    assert estates.usual.one(BROKER)["TransitEncryptionEnabled"] is True


@pytest.mark.control(26)
def test_the_broker_refuses_plain_text(estates: Estates) -> None:
    # "preferred" still takes it.
    assert estates.usual.one(BROKER)["TransitEncryptionMode"] == "required"


@pytest.mark.control(27)
def test_one_user_by_password_gets_into_the_broker_and_nobody_else(
    estates: Estates,
) -> None:
    # RBAC and an AUTH token exclude each other, whatever a rule pack asks for.
    estate = estates.usual
    broker = estate.one(BROKER)
    ((group, users),) = estate.of("ElastiCache::UserGroup").items()
    assert broker["UserGroupIds"] == [f"<{group}>"]
    assert "AuthToken" not in broker
    made = estate.of("ElastiCache::User")
    assert users["UserIds"] == [f"<{place}>" for place in made]
    for user in made.values():
        assert user["AuthenticationMode"]["Type"] == "password"
        assert not user.get("NoPasswordRequired")


@pytest.mark.control(28)
def test_a_lost_broker_node_heals_itself(estates: Estates) -> None:
    assert estates.usual.one(BROKER)["AutomaticFailoverEnabled"] is True


@pytest.mark.control(29)
def test_the_broker_survives_the_loss_of_a_zone(estates: Estates) -> None:
    assert estates.usual.one(BROKER)["MultiAZEnabled"] is True


@pytest.mark.control(30)
def test_the_broker_has_somewhere_to_fail_over_to(estates: Estates) -> None:
    assert estates.usual.one(BROKER)["NumCacheClusters"] >= 2


@pytest.mark.control(31)
def test_queued_messages_outlive_the_nodes(estates: Estates) -> None:
    (whole,) = estates.usual.whole(BROKER).values()
    assert int(whole["Properties"]["SnapshotRetentionLimit"]) >= 1
    assert whole["DeletionPolicy"] == "Snapshot"
    assert whole["UpdateReplacePolicy"] == "Snapshot"


@pytest.mark.control(32)
def test_the_broker_is_patched(estates: Estates) -> None:
    assert estates.usual.one(BROKER)["AutoMinorVersionUpgrade"] is True


@pytest.mark.control(33)
def test_slow_commands_and_failovers_are_logged_where_we_keep_them(
    estates: Estates,
) -> None:
    groups = estates.usual.of("Logs::LogGroup")
    deliveries = estates.usual.one(BROKER)["LogDeliveryConfigurations"]
    assert {each["LogType"] for each in deliveries} == {"slow-log", "engine-log"}
    for each in deliveries:
        details = each["DestinationDetails"]["CloudWatchLogsDetails"]
        assert details["LogGroup"].strip("<>") in groups


@pytest.mark.control(34)
def test_a_full_broker_refuses_and_never_forgets(estates: Estates) -> None:
    ((place, settings),) = estates.usual.of("ElastiCache::ParameterGroup").items()
    assert settings["Properties"]["maxmemory-policy"] == "noeviction"
    assert estates.usual.one(BROKER)["CacheParameterGroupName"] == f"<{place}>"


@pytest.mark.control(36)
def test_celery_can_neither_empty_nor_configure_the_broker(estates: Estates) -> None:
    for place, user in estates.usual.of("ElastiCache::User").items():
        words = user["AccessString"].split()
        commands = [word for word in words if word[0] in "+-"]
        # Rights are applied in order: what follows the ban must be harmless.
        assert "-@dangerous" in commands, place
        after = commands[commands.index("-@dangerous") + 1 :]
        assert after == ["+info"], place
        assert "nopass" not in words


@pytest.mark.control(37)
def test_celery_meets_one_shard(estates: Estates) -> None:
    # With more, a command over two queues fails: CROSSSLOT, celery #9019.
    for estate in estates.each:
        broker = estate.one(BROKER)
        assert broker["ClusterMode"] == "disabled"
        assert broker.get("NumNodeGroups", 1) == 1
        assert "ElastiCache::ServerlessCache" not in estate.kinds

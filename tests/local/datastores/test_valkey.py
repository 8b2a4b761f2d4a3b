"""Valkey in place of ElastiCache: TLS, one user, no eviction."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.datastores import Authority
from tests.local.datastores.clients import Client, Datastores, Refused

pytestmark = pytest.mark.slow


def test_connection_without_tls_is_refused(
    datastores: Datastores, client: Client
) -> None:
    plain = datastores.redis(ssl=False)
    for option in ("ssl_cert_reqs", "ssl_ca_certs"):
        del plain[option]
    with pytest.raises(Refused, match="Connection"):
        client.ask("valkey", plain, ["PING"])


def test_other_authority_is_not_trusted(
    datastores: Datastores, client: Client, tmp_path: Path
) -> None:
    other = datastores.redis(ssl_ca_certs=str(Authority(tmp_path).ca_path))
    with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"):
        client.ask("valkey", other, ["PING"])


@pytest.mark.parametrize("user", ["default", "celery", None])
def test_login_needs_the_password(
    datastores: Datastores, client: Client, user: str | None
) -> None:
    wrong = "no" if user else None
    with pytest.raises(
        Refused, match=r"invalid username-password|Authentication required"
    ):
        client.ask("valkey", datastores.redis(username=user, password=wrong), ["PING"])


def test_user_has_the_rights_that_celery_needs(
    datastores: Datastores, client: Client
) -> None:
    # With the rights of the template; without channels, remote control fails
    # (celery #8724).
    done = client.ask("work", datastores.containers("unused"))
    assert done == {"value": 42, "ping": 1, "stopped": 1}


@pytest.mark.parametrize("command", ["KEYS *", "FLUSHALL", "CONFIG GET *", "ACL LIST"])
def test_user_has_no_administrative_rights(
    datastores: Datastores, client: Client, command: str
) -> None:
    with pytest.raises(Refused, match="no permissions"):
        client.ask("valkey", datastores.redis(), command.split())


def test_full_broker_refuses_messages_and_evicts_none(
    datastores: Datastores, client: Client
) -> None:
    # An evicted key would be a lost task that stays queued for ever.
    queues = [f"queue-{number}" for number in range(100)]
    stored: list[str] = []
    with pytest.raises(Refused, match="not allowed when used memory > 'maxmemory'"):
        fill(datastores, client, queues, stored)
    assert stored
    assert client.ask("valkey", datastores.redis(), ["EXISTS", *queues]) == len(stored)
    assert client.ask("valkey", datastores.redis(), ["DEL", *queues]) == len(stored)


def fill(
    datastores: Datastores, client: Client, queues: list[str], stored: list[str]
) -> None:
    for queue in queues:
        client.ask("valkey", datastores.redis(), ["RPUSH", queue, "x" * 1_000_000])
        stored.append(queue)


def test_messages_survive_a_restart_and_a_crash(
    datastores: Datastores, client: Client
) -> None:
    for end in (datastores.valkey.stop, datastores.valkey.kill):
        client.ask("valkey", datastores.redis(), ["RPUSH", "saved", "message"])
        end()
        with pytest.raises(Refused, match="refused"):
            client.ask("valkey", datastores.redis(), ["PING"])
        assert datastores.valkey.restart() == datastores.broker
    assert client.ask("valkey", datastores.redis(), ["LLEN", "saved"]) == 2
    client.ask("valkey", datastores.redis(), ["DEL", "saved"])

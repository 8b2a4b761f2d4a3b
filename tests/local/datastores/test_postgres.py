"""PostgreSQL in place of Aurora: TLS only, verified, and a limited master user."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.datastores import Authority
from tests.local.datastores.clients import WRITER, Client, Datastores, Refused

pytestmark = pytest.mark.slow


def test_connection_without_tls_is_refused_as_by_rds(
    datastores: Datastores, client: Client
) -> None:
    with pytest.raises(Refused, match=r"no pg_hba\.conf entry .*no encryption"):
        client.ask("sql", datastores.libpq(PGSSLMODE="disable"), "SELECT 1")


def test_certificate_is_valid_for_the_endpoint_only(
    datastores: Datastores, client: Client
) -> None:
    assert client.ask("sql", datastores.libpq(PGHOST=WRITER), "SELECT 1") == [[1]]
    with pytest.raises(Refused, match="does not match host name"):
        client.ask("sql", datastores.libpq(PGHOST="elsewhere.example"), "SELECT 1")


def test_other_authority_is_not_trusted(
    datastores: Datastores, client: Client, tmp_path: Path
) -> None:
    # Of the same name, as that of another local environment.
    other = Authority(tmp_path)
    with pytest.raises(Refused, match="certificate verify failed"):
        client.ask(
            "sql", datastores.libpq(PGSSLROOTCERT=str(other.ca_path)), "SELECT 1"
        )


def test_master_creates_roles_and_databases_but_is_no_superuser(
    datastores: Datastores, client: Client
) -> None:
    rights = client.ask(
        "sql",
        datastores.libpq(),
        "CREATE ROLE one",
        "GRANT one TO CURRENT_USER",
        "CREATE DATABASE ones OWNER one",
        "SELECT rolsuper, rolcreaterole, rolcreatedb, "
        "pg_has_role(rolname, 'rds_superuser', 'MEMBER') "
        "FROM pg_roles WHERE rolname = CURRENT_USER",
    )
    assert rights == [[False, True, True, True]]
    for beyond in (
        "ALTER SYSTEM SET fsync = on",
        "CREATE ROLE two SUPERUSER",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER ROLE rdsadmin PASSWORD 'x'",
    ):
        with pytest.raises(Refused, match="permission denied"):
            client.ask("sql", datastores.libpq(), beyond)


def test_rdsadmin_cannot_log_in(datastores: Datastores, client: Client) -> None:
    with pytest.raises(Refused, match=r"pg_hba\.conf rejects connection"):
        client.ask("sql", datastores.libpq(PGUSER="rdsadmin"), "SELECT 1")


def test_parameter_group_of_the_template_applies(
    datastores: Datastores, client: Client
) -> None:
    shown = {
        "rds.force_ssl": "1",
        "log_min_duration_statement": "1s",
        "log_lock_waits": "on",
        "log_statement": "none",
        "max_connections": "189",
    }
    for name, value in shown.items():
        assert client.ask("sql", datastores.libpq(), f"SHOW {name}") == [[value]]


def test_server_has_the_major_version_of_the_templates(
    datastores: Datastores, client: Client
) -> None:
    assert client.ask("sql", datastores.libpq(), "SHOW server_version")[0][0] > "17"


def test_server_does_not_run_as_root(datastores: Datastores) -> None:
    # PostgreSQL refuses to, also for a checkout in /root.
    assert Path(f"/proc/{datastores.postgres.pid}").stat().st_uid != 0


def test_data_survives_a_restart_and_a_crash(
    datastores: Datastores, client: Client
) -> None:
    master = datastores.libpq()
    client.ask("sql", master, "CREATE TABLE saved (word text)")
    for end in (datastores.postgres.stop, datastores.postgres.kill):
        client.ask("sql", master, "INSERT INTO saved VALUES ('here')")
        end()
        with pytest.raises(Refused, match="Connection refused"):
            client.ask("sql", master, "SELECT 1")
        assert datastores.postgres.restart() == datastores.database
    assert client.ask("sql", master, "SELECT count(*) FROM saved") == [[2]]

"""Damages part of an environment for the duration of a block, then restores it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from acceptance.check import CheckFailed
from local import stores
from local.datastores.venvs import postgres_programs
from local.environment import LocalEnvironment

STATEMENT_SECONDS = 30

DATABASE = "airflow"
"""Airflow's database, as in ``templates/airflow/environment.py``."""

OTHER_REVISION = "UPDATE alembic_version SET version_num = reverse(version_num)"
"""To a revision that no Airflow knows, and the second time back again."""


@contextlib.contextmanager
def schema_revision(environment: LocalEnvironment) -> Iterator[None]:
    """Make the tables look as if a later Airflow had migrated them."""
    _execute(environment, OTHER_REVISION)
    try:
        yield
    finally:
        _execute(environment, OTHER_REVISION)


@contextlib.contextmanager
def admin_login(environment: LocalEnvironment, text: str) -> Iterator[None]:
    """Give the first administrator's secret, which the job reads, another value."""
    client = environment.client("secretsmanager")
    arn = environment.admin_secret_arn
    before = client.get_secret_value(SecretId=arn)["SecretString"]
    client.put_secret_value(SecretId=arn, SecretString=text)
    try:
        yield
    finally:
        client.put_secret_value(SecretId=arn, SecretString=before)


def _execute(environment: LocalEnvironment, statement: str) -> None:
    """Execute SQL as the master user in Airflow's database. Raises CheckFailed."""
    master = environment.secret(stores.MASTER)
    address = environment.agent.settings.replaced_variables
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [
            *(str(postgres_programs() / "psql"), "--no-psqlrc", "--quiet"),
            *("--command", statement),
        ],
        # Not as arguments: every user of this machine can see those.
        env={
            "PATH": os.defpath,
            "PGHOST": address["METADATA_HOST"],
            "PGPORT": address["METADATA_PORT"],
            "PGDATABASE": DATABASE,
            "PGUSER": master["username"],
            "PGPASSWORD": master["password"],
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(environment.ca_path),
        },
        capture_output=True,
        text=True,
        timeout=STATEMENT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise CheckFailed(f"psql: {' '.join(done.stderr.split())}")

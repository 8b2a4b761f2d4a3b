"""What a person may have done to a stack: spoiled for a moment, and put right again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from acceptance.check import NotProven
from local import stores
from local.datastores.venvs import postgres_programs
from local.environment import Stage

STATEMENT_SECONDS = 30

TABLES = "airflow"
"""Airflow's database, as in ``templates/airflow/environment.py``."""

OTHER_REVISION = "UPDATE alembic_version SET version_num = reverse(version_num)"
"""To a revision that no Airflow knows, and the second time back again."""


@contextlib.contextmanager
def tables(stage: Stage) -> Iterator[None]:
    """Make the tables look as if a later Airflow had migrated them."""
    ask(stage, OTHER_REVISION)
    try:
        yield
    finally:
        ask(stage, OTHER_REVISION)


@contextlib.contextmanager
def admin_login(stage: Stage, text: str) -> Iterator[None]:
    """Give the secret of the first administrator, which set-up reads, another value."""
    client = stage.client("secretsmanager")
    command = stage.outputs["AdminLoginCommand"].split()
    arn = command[command.index("--secret-id") + 1]
    before = client.get_secret_value(SecretId=arn)["SecretString"]
    client.put_secret_value(SecretId=arn, SecretString=text)
    try:
        yield
    finally:
        client.put_secret_value(SecretId=arn, SecretString=before)


def ask(stage: Stage, statement: str) -> str:
    """Return what Airflow's database answers the master user. Raises NotProven."""
    master = stage.secret(stores.MASTER)
    at = stage.agent.settings.replaced_variables
    done = subprocess.run(  # noqa: S603 - the engine's own program
        [
            *(str(postgres_programs() / "psql"), "--no-psqlrc", "--quiet"),
            *("--tuples-only", "--no-align", "--command", statement),
        ],
        # Not as arguments: those are seen by everybody.
        env={
            "PATH": os.defpath,
            "PGHOST": at["METADATA_HOST"],
            "PGPORT": at["METADATA_PORT"],
            "PGDATABASE": TABLES,
            "PGUSER": master["username"],
            "PGPASSWORD": master["password"],
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(stage.folder / "ca" / "ca.pem"),
        },
        capture_output=True,
        text=True,
        timeout=STATEMENT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise NotProven(f"psql: {' '.join(done.stderr.split())}")
    return done.stdout.strip()

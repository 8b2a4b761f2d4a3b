"""The query for one's own history, against the tables that the real Airflow makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.airflow_environment import airflow_environment
from local.datastores import Authority, Postgres
from local.datastores.venvs import postgres_programs
from simulation import history

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MIGRATE_SECONDS = 300
OWNER = {"PGUSER": "owner", "PGPASSWORD": "secret", "PGDATABASE": "postgres"}
DAY = "2026-01-31"
MIDNIGHT = 1_769_817_600

FILLED = """
INSERT INTO dag_run (dag_id, run_id, run_type, run_after)
SELECT dag, dag || kind, kind, '2026-01-31 00:00+00'::timestamptz + due
FROM (VALUES ('sales', 'scheduled', interval '1 hour'),
             ('sales', 'manual', interval '-2 hours'),
             ('old', 'scheduled', interval '-20 days')) AS runs (dag, kind, due);
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, try_number, pool,
    pool_slots, queue, queued_dttm, start_date, end_date)
SELECT gen_random_uuid(), dag, dag || kind, task, place, 1, 'default_pool', 1, 'big',
       queued, queued + interval '5 s', queued + interval '5 s' + lasted
FROM (VALUES
    ('sales', 'scheduled', 'map', 0, timestamptz '2026-01-31 01:00+00', interval '1 m'),
    ('sales', 'scheduled', 'map', 1, '2026-01-31 01:00:01+00', interval '30.5 s'),
    ('sales', 'scheduled', 'running', -1, '2026-01-31 01:00:01+00', NULL),
    ('sales', 'scheduled', 'tomorrow', -1, '2026-02-01 00:00:00+00', interval '9 s'),
    ('sales', 'manual', 'by_hand', -1, '2026-01-31 00:00:00+00', interval '10 s'),
    ('old', 'scheduled', 'late', -1, '2026-01-11 00:00:00+00', interval '10 s')
) AS tasks (dag, kind, task, place, queued, lasted);
INSERT INTO task_instance_history (task_instance_id, dag_id, run_id, task_id, map_index,
    try_number, pool, pool_slots, queue, queued_dttm, start_date, end_date)
SELECT gen_random_uuid(), dag_id, run_id, task_id, map_index, 0, pool, pool_slots,
       queue, queued_dttm - interval '30 s', start_date - interval '30 s',
       start_date - interval '10 s'
FROM task_instance WHERE task_id = 'map' AND map_index = 1;
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return how libpq reaches a database that Airflow has migrated."""
    folder = tmp_path_factory.mktemp("history")
    server = Postgres(
        authority=Authority(folder / "tls"),
        master_user=OWNER["PGUSER"],
        master_password=OWNER["PGPASSWORD"],
        settings={},
        max_connections=20,
    )
    endpoint = server.start(folder / "postgres")
    libpq = {
        "PATH": os.defpath,
        "PGHOST": "localhost",
        "PGPORT": str(endpoint.port),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(endpoint.ca_path),
        **OWNER,
    }
    try:
        subprocess.run(  # noqa: S603 - our own program and arguments
            [airflow_environment().programs / "airflow", "db", "migrate"],
            env={
                **libpq,
                "HOME": str(folder),
                "AIRFLOW_HOME": str(folder / "airflow"),
                # libpq reads the rest, which holds no password in an argument.
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://",
            },
            check=True,
            capture_output=True,
            timeout=MIGRATE_SECONDS,
        )
        psql(libpq, "-c", FILLED)
        yield libpq
    finally:
        server.stop()


def psql(libpq: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program and arguments
        [postgres_programs() / "psql", "-v", "ON_ERROR_STOP=1", *arguments],
        env=libpq,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_query_exports_what_the_reader_accepts(
    database: dict[str, str], tmp_path: Path
) -> None:
    query = ROOT / "simulation" / "history.sql"
    exported = tmp_path / "history.csv"
    exported.write_text(psql(database, "--csv", "-v", f"day={DAY}", "-f", str(query)))
    assert tuple(exported.read_text().splitlines()[0].split(",")) == history.COLUMNS
    day = history.read(exported)
    assert set(day.pools) == {"big"}
    tasks = {
        (run.at, bool(run.announced), task.duration)
        for run in day.runs
        for task in run.stages[0].tasks
    }
    # An earlier try came half a minute before; what it was queued with came then.
    assert tasks == {
        (0.0, False, 10.0),
        (3571.0, True, 20.0),
        (3600.0, False, 60.0),
        (3601.0, False, 30.5),
    }
    assert history.span(exported) == (MIDNIGHT, MIDNIGHT + 3660)


def test_query_finds_the_runs_of_the_day_by_indexes(
    database: dict[str, str], tmp_path: Path
) -> None:
    """The tables keep months; reading them whole would take the database's time."""
    explained = tmp_path / "explain.sql"
    query = (ROOT / "simulation" / "history.sql").read_text()
    explained.write_text(query.replace("SELECT ti.dag_id", "EXPLAIN SELECT ti.dag_id"))
    # As small as the tables are here, reading them whole would be quicker.
    libpq = {**database, "PGOPTIONS": "-c enable_seqscan=off"}
    plan = psql(libpq, "-v", f"day={DAY}", "-f", str(explained))
    assert "idx_dag_run_run_after" in plan
    assert "Seq Scan" not in plan

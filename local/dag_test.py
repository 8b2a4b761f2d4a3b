"""Run one DAG once, in one process, with a database of its own: ``airflow dags test``.

The tasks run here, one after the other, with the packages and plugins of the team and
the settings of the DAG processor: no scheduler, no Celery, no role. A connection or a
variable is found in ``AIRFLOW_CONN_...`` and ``AIRFLOW_VAR_...`` of the shell, and
credentials of AWS where its tools look for them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cli.errors import Failure, Problem, Unable
from local.airflow_environment import AirflowEnvironment

BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
RUNTIME = "runtime.zip"

TAIL = 15
"""Lines that tell why a command failed."""

UNKNOWN = "could not be found"
"""What Airflow says of a DAG that no file makes."""

Tell = Callable[[str], None]


def run(
    dag_id: str,
    folder: Path,
    airflow: AirflowEnvironment,
    *,
    plugins: Mapping[str, Path],
    runtime: bytes,
    variables: Mapping[str, str],
    conf: str,
    tell: Tell,
) -> None:
    """Run the DAG of a folder; ``tell`` gets its log line by line.

    ``runtime`` is the archive of the containers' code, which ``variables``, the
    settings of the DAG processor, name. ``conf`` is the configuration of the run, as
    JSON; it may be empty. Raises Failure unless the run succeeds.
    """
    with tempfile.TemporaryDirectory(prefix="dag-test-") as name:
        home = Path(name).resolve()
        for plugin, path in plugins.items():
            copy = home / "plugins" / plugin
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        (home / RUNTIME).write_bytes(runtime)
        environ = _environment(home, folder, airflow, variables)
        code, tail = _call(airflow, ["db", "migrate"], environ, lambda _line: None)
        if code:
            raise Unable(
                Problem(
                    where="the database of the run",
                    what="Airflow could not make its tables.",
                    why="\n".join(tail),
                    remedy="Free disk space, or delete .venv-airflow and try again.",
                )
            )
        options = ["--conf", conf] if conf else []
        code, tail = _call(airflow, ["dags", "test", dag_id, *options], environ, tell)
    if code and any(UNKNOWN in line for line in tail):
        raise Failure(
            Problem(
                where=str(folder),
                what=f"No file makes a DAG {dag_id}.",
                why="It does not exist, or its file cannot be imported; the log above "
                "says which.",
                remedy="Correct the name or the file.",
            )
        )
    if code:
        raise Failure(
            Problem(
                where=f"DAG {dag_id}",
                what="The run failed.",
                remedy="Correct the task whose error the log above shows.",
            )
        )


def _environment(
    home: Path,
    folder: Path,
    airflow: AirflowEnvironment,
    variables: Mapping[str, str],
) -> dict[str, str]:
    bundles = [{"name": "dags", "classpath": BUNDLE, "kwargs": {"path": str(folder)}}]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW__", "PYTHON"))
    }
    return {
        **inherited,
        **variables,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PATH": f"{airflow.programs}{os.pathsep}{os.environ.get('PATH', '')}",
        "FERNET_SECRET": secrets.token_hex(),
        "PYTHONPATH": os.pathsep.join(
            map(str, (home / RUNTIME, *airflow.python_path()))
        ),
        "PYTHONUNBUFFERED": "1",
    }


def _call(
    airflow: AirflowEnvironment,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    tell: Tell,
) -> tuple[int, list[str]]:
    """Call ``airflow``; return its exit code and its last lines."""
    tail: deque[str] = deque(maxlen=TAIL)
    with subprocess.Popen(  # noqa: S603 - our own environment's command
        [airflow.programs / "airflow", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tell(line.rstrip())
            if line.strip():
                tail.append(line.strip())
    return process.returncode, list(tail)

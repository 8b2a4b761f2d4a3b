"""Parse a DAG release with the pinned Airflow, before it is uploaded.

The check has the settings of the DAG processor, no database and no AWS credentials.
Code at the top of a DAG file runs here. A variable or a connection that such code reads
is found in ``AIRFLOW_VAR_...`` and ``AIRFLOW_CONN_...`` of the shell.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import Problem, Unable

MAIN = Path(__file__).with_name("dag_check_main.py")

LONGEST_SECONDS = 900
"""Some thousand files, with ten times the usual second for a slow import."""

DEFAULT_POOL = "default_pool"
"""The pool that every Airflow has."""

TRACED_LINE = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+)')
WARNING = re.compile(
    r"(?P<path>.+?):(?P<line>\d+): (?P<kind>[\w.]+): (?P<text>.*)", re.DOTALL
)
DUPLICATE = re.compile(
    r"Ignoring DAG (?P<dag>\S+) from .* - also found in (?P<path>.+)"
)
DEPRECATED_IMPORT = "DeprecatedImportWarning"


@dataclass(frozen=True)
class DagCheck:
    """What Airflow found in a release."""

    problems: tuple[Problem, ...]
    """What has to be corrected before a push."""
    warnings: tuple[Problem, ...]
    """Imports that a later Airflow will not have."""
    dags: tuple[str, ...]
    pools: tuple[str, ...]
    """Airflow pools that tasks name, without the default one."""


def check(
    archive: bytes,
    *,
    python: Path,
    modules: Iterable[Path] = (),
    runtime: bytes,
    variables: Mapping[str, str],
    queues: Iterable[str],
) -> DagCheck:
    """Parse an archive; ``queues`` are those that workers serve.

    ``modules`` are folders of packages and plugins that DAGs import. ``runtime`` is
    the archive of the containers' code, ``variables`` the settings of
    the DAG processor. Raises Unable if Airflow itself does not get so far.
    """
    with tempfile.TemporaryDirectory(prefix="dag-check-") as name:
        root = Path(name).resolve()
        (root / "release.tar.gz").write_bytes(archive)
        (root / "runtime.zip").write_bytes(runtime)
        folder, result = root / "release", root / "result.json"
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                [python, "-P", MAIN, root / "release.tar.gz", folder, result],
                env=_environment(root, variables, modules),
                cwd=root,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _unable(f"It took longer than {LONGEST_SECONDS} s.") from error
        if not result.exists():
            lines = done.stderr.strip().splitlines() or ["no output"]
            raise _unable(f"It ended with {done.returncode}: {lines[-1]}")
        return _read(json.loads(result.read_text()), folder, {*queues})


def _environment(
    root: Path, variables: Mapping[str, str], modules: Iterable[Path]
) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW__", "AWS_", "PYTHON"))
    }
    return {
        **inherited,
        **variables,
        "AIRFLOW_HOME": str(root / "home"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{root}/none.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        # The line of the DAG file may be far above the one that raised.
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "100",
        "PYTHONPATH": os.pathsep.join(map(str, (root / "runtime.zip", *modules))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _read(answer: Mapping[str, Any], folder: Path, queues: set[str]) -> DagCheck:
    problems = [
        _import_error(folder, path, trace) for path, trace in answer["errors"].items()
    ]
    pools: set[str] = set()
    for dag in answer["dags"]:
        pools |= dag["pools"].keys()
        for queue, tasks in dag["queues"].items():
            if queue not in queues:
                problems.append(_unknown_queue(folder, dag, queue, tasks, queues))
    return DagCheck(
        tuple(sorted(problems, key=lambda problem: problem.where)),
        tuple(_warnings(folder, answer["warnings"])),
        tuple(sorted(dag["id"] for dag in answer["dags"])),
        tuple(sorted(pools - {DEFAULT_POOL})),
    )


def _import_error(folder: Path, path: str, trace: str) -> Problem:
    duplicate = DUPLICATE.search(trace)
    if duplicate:
        other = _relative(folder, duplicate["path"].strip())
        dag = duplicate["dag"]
        return Problem(
            where=_place(folder, path, dag),
            what=f"The DAG {dag} is also in {_place(folder, other, dag)}.",
            why="Airflow would run now the one and now the other.",
            remedy="Give one of them another dag_id, or remove its file.",
        )
    lines = trace.strip().splitlines() or ["no reason"]
    line = next(
        (
            match["line"]
            for match in reversed(list(TRACED_LINE.finditer(trace)))
            if _relative(folder, match["path"]) == path
        ),
        "1",
    )
    return Problem(
        where=f"{path}:{line}",
        what=f"Airflow cannot import it: {lines[-1]}",
        remedy=_import_remedy(lines[-1]),
    )


def _import_remedy(reason: str) -> str:
    variable = re.search(r"Variable (\w+) (?:does not exist|not found)", reason)
    if variable:
        return (
            "Read it in a task, or in a template as {{ var.value.X }}: at the top of a "
            "file it is read at every parse. Or set "
            f"AIRFLOW_VAR_{variable[1].upper()} for this check."
        )
    if "ModuleNotFoundError" in reason:
        return (
            "Put the module into the folder. If the image of the environment has it, "
            "push with --no-check."
        )
    return "Correct the file, then push again."


def _unknown_queue(
    folder: Path,
    dag: Mapping[str, Any],
    queue: str,
    tasks: list[str],
    queues: set[str],
) -> Problem:
    path = _relative(folder, dag["file"])
    return Problem(
        where=_place(folder, path, queue),
        what=f"Task {tasks[0]} of {dag['id']} is for the queue {queue}.",
        why=f"No worker serves it, so the task would wait without end. There are: "
        f"{', '.join(sorted(queues))}.",
        remedy="Name one of these, or add a pool to templates/airflow/pools.py.",
    )


def _warnings(folder: Path, texts: Iterable[str]) -> Iterable[Problem]:
    for text in texts:
        match = WARNING.match(text)
        if match and match["kind"].endswith(DEPRECATED_IMPORT):
            yield Problem(
                where=f"{_relative(folder, match['path'])}:{match['line']}",
                what=match["text"],
            )


def _relative(folder: Path, path: str) -> str:
    return path.removeprefix(f"{folder}/")


def _place(folder: Path, path: str, word: str) -> str:
    """Return file and line of the first string of this content, else of the file."""
    try:
        lines = (folder / path).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return path
    quoted = re.compile(rf"""(["']){re.escape(word)}\1""")
    number = next((n for n, line in enumerate(lines, 1) if quoted.search(line)), 1)
    return f"{path}:{number}"


def _unable(what: str) -> Unable:
    return Unable(
        Problem(
            where="the check by Airflow",
            what=what,
            why="It parses the DAGs with the Airflow in .venv-airflow.",
            remedy="Correct what it names; --no-check pushes without it.",
        )
    )

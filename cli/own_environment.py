"""The project's own environment, in which every command runs.

It is ``.venv``, or ``.venv-dev`` for developers. It is installed when it is missing,
when its pins have changed, and when a package in it is damaged. Here is the standard
library alone.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cli.errors import ExitCode, Problem

HOME = Path(__file__).resolve().parents[1]
OWN: Mapping[str, str] = {".venv": "tool", ".venv-dev": "dev"}
"""The environments that run the commands, and their file of pins."""

INSTALLER = HOME / "requirements" / "install.py"
STAMP = ".installed"

IMPORTED = frozenset(
    {
        *("awacs", "boto3", "botocore", "cfnlint", "click"),
        *("cloudformation_validate", "rich", "troposphere"),
    }
)
"""Packages that the project imports: without one the environment is damaged."""

OWN_PACKAGES = frozenset(
    {
        *("acceptance", "cli", "cloudformation", "compiler", "deploy"),
        *("fargate_runtime", "local", "team_image", "templates"),
    }
)
"""Packages of the checkout: without one it is incomplete."""

DAMAGES = frozenset(
    {
        *("ImportError", "IndentationError", "ModuleNotFoundError", "NameError"),
        *("SyntaxError", "TabError"),
        *("DataNotFoundError", "UnknownServiceError"),  # of botocore, for its data
    }
)
"""Errors with which a package says that one of its files is missing or damaged."""

FOREIGN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE")
"""They bring in other packages, or remove the docstrings that are the help."""

REPAIRED = "BUILD_PY_REPAIRED"
"""Set in a process that was started again after the environment was repaired."""


def enter() -> None:
    """Continue in the environment, brought up to date, unless this runs in it."""
    environment = _own_environment()
    if environment is None or not _is_up_to_date(environment):
        environment = environment or HOME / ".venv"
        _install(environment)
        _continue_in(environment)
    if sys.flags.optimize or any(os.environ.get(name) for name in FOREIGN_VARIABLES):
        _continue_in(environment)


def name() -> str:
    """Return the name of the environment that runs this."""
    environment = _own_environment()
    return environment.name if environment else sys.prefix


def repair(error: BaseException) -> None:
    """Install the environment again if a damaged package in it caused an error.

    Returns for any other error; else the command starts again.
    """
    environment = _own_environment()
    # A link leads to the environment of another checkout.
    if environment is None or environment.is_symlink():
        return
    if not _is_damage(error, environment):
        return
    if os.environ.get(REPAIRED):
        say(
            Problem(
                where=f"{environment.name}/",
                what=f"{error}.",
                why="It was just installed again.",
                remedy=f"Delete {environment.name}/ and run this again.",
            )
        )
        sys.exit(ExitCode.UNABLE)
    sys.stderr.write(f"{environment.name}/ is damaged ({error}); repairing it ...\n")
    (environment / STAMP).unlink(missing_ok=True)
    _install(environment)
    os.environ[REPAIRED] = "1"
    _continue_in(environment)


def incomplete(what: str) -> Problem:
    """Return the problem of a checkout in which a file is missing or damaged."""
    return Problem(
        where=f"The checkout {HOME}",
        what=f"{what.rstrip('.')}.",
        why="A file of the project is missing or damaged.",
        remedy="`git status` shows what has changed, `git restore .` brings it back.",
    )


def unexpected(error: BaseException) -> Problem:
    """Return the problem of an error that no code expects; keep its traceback."""
    if isinstance(error, ImportError) and _is_ours(error):
        return incomplete(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(HOME)]
    place = ours[-1] if ours else None
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="build-py-", suffix=".txt", delete=False
        ) as file:
            file.write(text)
        report = f"the traceback in {file.name}"
    except OSError:  # the disk is full
        report = f"this: {' '.join(text.split())}"
    return Problem(
        where=f"{Path(place.filename).relative_to(HOME)}:{place.lineno}"
        if place
        else "build.py",
        what=f"{type(error).__name__}: {error}",
        why="This is a mistake in the program.",
        remedy=f"Report it with {report}",
    )


def _own_environment() -> Path | None:
    """Return the project's own environment that runs this, if one does."""
    for name in OWN:
        folder = HOME / name
        if folder.is_dir() and folder.samefile(sys.prefix):
            return folder
    return None


def _is_up_to_date(environment: Path) -> bool:
    pins = HOME / "requirements" / f"{OWN[environment.name]}.txt"
    try:
        digest = hashlib.sha256(pins.read_bytes()).hexdigest()
        return (environment / STAMP).read_text() == digest
    except OSError:
        return False


def _install(environment: Path) -> None:
    # The interpreter below the environment: its own is replaced.
    if not INSTALLER.is_file():
        say(incomplete(f"{INSTALLER.relative_to(HOME)} is missing"))
        sys.exit(ExitCode.UNABLE)
    python = getattr(sys, "_base_executable", "") or sys.executable
    pins = f"requirements/{OWN[environment.name]}.txt"
    done = subprocess.run(  # noqa: S603 - our own installer
        [python, str(INSTALLER), environment.name, pins],
        cwd=HOME,
        stdout=sys.stderr,
        check=False,
    )
    if done.returncode:
        sys.exit(ExitCode.UNABLE)


def _continue_in(environment: Path) -> NoReturn:
    python = str(environment / "bin" / "python")
    variables = {k: v for k, v in os.environ.items() if k not in FOREIGN_VARIABLES}
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = (python, str(HOME / "build.py"), *sys.argv[1:])
    os.execve(python, arguments, variables)  # noqa: S606 - the same program


def _is_ours(error: ImportError) -> bool:
    """Whether a module of this checkout could not be imported."""
    return (error.name or "").partition(".")[0] in OWN_PACKAGES


def _is_damage(error: BaseException, environment: Path) -> bool:
    """Whether a package of the environment is missing or cannot be read."""
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1].filename if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = str(error.filename)
    # Raised in a package itself: a part of it is missing, or holds something else.
    if Path(place).is_relative_to(environment) and type(error).__name__ in DAMAGES:
        return True
    if not isinstance(error, ImportError):
        return False
    top = (error.name or "").partition(".")[0]
    return top in IMPORTED or any(
        line.startswith((f"{top}/", f"{top}.py"))
        for record in environment.glob("lib/*/site-packages/*.dist-info/RECORD")
        for line in record.read_text().splitlines()
    )


def say(problem: Problem) -> None:
    """Print a problem where the console cannot be loaded."""
    lines = (
        ("error", problem.where),
        ("", problem.what),
        ("why", problem.why),
        ("do", problem.remedy),
    )
    for label, text in lines:
        if text:
            sys.stderr.write(f"{label:<7}{text}\n")

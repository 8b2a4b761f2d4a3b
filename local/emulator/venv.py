"""The emulator's own virtual environment: MiniStack by exact pin.

MiniStack pins botocore; its dependencies must not mix with those that deploy to AWS.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from local.errors import EmulatorError

PINS = Path("requirements/emulator.txt")
INSTALLER = Path("requirements/install.py")
ENVIRONMENT = Path(".venv-emulator")
STAMP = ".installed"

Tell = Callable[[str], None]


def python(project: Path, tell: Tell) -> Path:
    """Return the emulator's Python; install the pinned packages first if needed."""
    environment = project / ENVIRONMENT
    interpreter = environment / "bin" / "python"
    pins = project / PINS
    try:
        digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise EmulatorError(
            f"{PINS} is missing.", "Take it from the repository."
        ) from None
    stamp = environment / STAMP
    if interpreter.exists() and stamp.exists() and stamp.read_text() == digest:
        return interpreter
    _install(project, environment, pins, tell)
    return interpreter


def schemas() -> Path:
    """Return cfn-lint's folder of resource schemas, without importing cfn-lint."""
    spec = find_spec("cfnlint")
    if spec is None or spec.origin is None:
        raise EmulatorError(
            "cfn-lint is not installed; the emulator needs its resource schemas.",
            "Run make templates, which installs it.",
        )
    return Path(spec.origin).parent / "data" / "schemas"


def _install(project: Path, environment: Path, pins: Path, tell: Tell) -> None:
    """Run the project's installer; forward its output."""
    output: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own installer
        [sys.executable, project / INSTALLER, environment, pins],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr or ():
            output.append(line)
            tell(line.rstrip())
    if process.returncode:
        raise EmulatorError(
            "The emulator could not be installed: " + "".join(output).strip(),
            f"Correct the cause and try again; {ENVIRONMENT}/ is then completed.",
        )

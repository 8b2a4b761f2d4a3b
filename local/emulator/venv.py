"""The emulator's own virtual environment: MiniStack by exact pin, apart from ours.

MiniStack pins botocore, and what it brings must never mix with what delivers to AWS.
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
    """Return the emulator's Python; install what the pins say first, if need be."""
    environment = project / ENVIRONMENT
    interpreter = environment / "bin" / "python"
    pins = project / PINS
    try:
        wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise EmulatorError(
            f"{PINS} is missing.", "Take it from the repository."
        ) from None
    stamp = environment / STAMP
    if interpreter.exists() and stamp.exists() and stamp.read_text() == wanted:
        return interpreter
    _install(project, environment, pins, tell)
    return interpreter


def schemas() -> Path:
    """Return the folder of resource schemas, without loading what brings them."""
    found = find_spec("cfnlint")
    if found is None or found.origin is None:
        raise EmulatorError(
            "cfn-lint is not installed, and its resource schemas are needed.",
            "Run make templates, which installs it.",
        )
    return Path(found.origin).parent / "data" / "schemas"


def _install(project: Path, environment: Path, pins: Path, tell: Tell) -> None:
    """Run the installer of every environment of ours; pass on what it says."""
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own installer
        [sys.executable, project / INSTALLER, environment, pins],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr or ():
            said.append(line)
            tell(line.rstrip())
    if process.returncode:
        raise EmulatorError(
            "The emulator could not be installed: " + "".join(said).strip(),
            f"Mend the cause and try again; {ENVIRONMENT}/ is then taken up anew.",
        )

"""The emulator's own virtual environment: MiniStack by exact pin.

MiniStack pins botocore; its dependencies must not mix with those that deploy to AWS.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cloudformation.schemas import installed
from local.errors import EmulatorError
from local.venvs import Tell, install

PINS = Path("requirements/emulator.txt")
ENVIRONMENT = Path(".venv-emulator")
STAMP = ".installed"


def python(project: Path, tell: Tell) -> Path:
    """Return the emulator's Python; install the pinned packages first if needed."""
    environment = project / ENVIRONMENT
    interpreter = environment / "bin" / "python"
    try:
        digest = hashlib.sha256((project / PINS).read_bytes()).hexdigest()
    except FileNotFoundError:
        raise EmulatorError(
            f"{PINS} is missing.", "Take it from the repository."
        ) from None
    stamp = environment / STAMP
    # Reading the stamp is faster than starting the installer, which does the same.
    if interpreter.exists() and stamp.exists() and stamp.read_text() == digest:
        return interpreter
    if problem := install("emulator", tell, root=project):
        raise EmulatorError(
            f"The emulator could not be installed: {problem}",
            f"Correct the cause and try again; {ENVIRONMENT}/ is then completed.",
        )
    return interpreter


def schemas() -> Path:
    """Return cfn-lint's folder of resource schemas."""
    return _lint_data() / "schemas"


def action_reference() -> Path:
    """Return cfn-lint's copy of IAM's service reference."""
    return _lint_data() / "AdditionalSpecs" / "Policies.json"


def _lint_data() -> Path:
    """Return the data of cfn-lint, without importing it."""
    registry = installed()
    if registry is None:
        raise EmulatorError(
            "cfn-lint is not installed; the emulator needs its resource schemas.",
            "Run make templates, which installs it.",
        )
    return registry.folder.parent

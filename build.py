"""Entry point of the command line; it continues in the project's own environment."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if any(find_spec(name) is None for name in ("boto3", "cfnlint", "click", "rich")):
    # Started with another Python than the project's own: install and continue there.
    home = Path(__file__).resolve().parent
    installing = (home / "requirements/install.py", ".venv", "requirements/tool.txt")
    installed = subprocess.run((sys.executable, *installing), cwd=home, check=False)  # noqa: S603 - our own installer
    if installed.returncode:
        sys.exit(installed.returncode)
    python = str(home / ".venv/bin/python")
    os.execv(python, (python, *sys.argv))  # noqa: S606 - as above

from cli.main import main

if __name__ == "__main__":
    main()

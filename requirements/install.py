"""Make a virtual environment that holds exactly the pinned packages.

Run by ``make`` with whatever Python 3 there is. It writes its stamp last, so that an
install that failed or was interrupted is taken up again.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
STAMP = ".installed"
TAIL = 15
"""Lines of pip's output that tell why it failed."""


def main() -> int:
    """Bring the environment up to date with its pins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("pins", type=Path)
    given = parser.parse_args()
    if sys.version_info < OLDEST:
        return fail(
            f"Python {'.'.join(map(str, OLDEST))} or newer is needed; this is "
            f"{sys.version.split()[0]}.",
            "Install one, or name it: make PYTHON=/path/to/python3.11 ...",
        )
    with (ROOT / "requirements").joinpath("install.py").open() as lock:
        # A second make waits here, and then finds everything done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return install(given.environment, given.pins)
        except KeyboardInterrupt:
            return fail("Interrupted.", "The next make takes it up again.")


def install(environment: Path, pins: Path) -> int:
    """Install the pins, unless they are installed."""
    stamp = environment / STAMP
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if works(environment) and stamp.exists() and stamp.read_text() == wanted:
        stamp.touch()
        return 0
    stamp.unlink(missing_ok=True)
    if not works(environment):
        made = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "venv", "--clear", environment],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            return fail(
                f"No virtual environment could be made:\n{made.stdout}{made.stderr}",
                "On Debian and Ubuntu: apt-get install python3-venv. Else install a "
                "complete Python, and name it: make PYTHON=/path/to/python3 ...",
            )
    count = pins.read_text().count("==")
    say(f"Installing {count} pinned packages into {environment}, once ...")
    started = time.monotonic()
    code, tail = pip(environment, pins, count)
    if code:
        return fail(
            "pip could not install the pinned packages:\n" + "".join(tail),
            "Mend the cause, most often the network or a proxy, and run make again. "
            "PIP_INDEX_URL names another package index.",
        )
    stamp.write_text(wanted)
    say(f"Installed in {time.monotonic() - started:.0f} s.")
    return 0


def works(environment: Path) -> bool:
    """Whether the environment's Python and pip start."""
    python = environment / "bin" / "python"
    return (
        python.exists()
        and not subprocess.run(  # noqa: S603 - our own interpreter
            [python, "-c", "import pip"], capture_output=True, check=False
        ).returncode
    )


def pip(environment: Path, pins: Path, count: int) -> tuple[int, deque[str]]:
    """Run pip; show how far it is; return its exit code and its last words."""
    tail: deque[str] = deque(maxlen=TAIL)
    python = str(environment / "bin" / "python")
    command = [python, "-m", "pip", "install", "--require-hashes", "-r", str(pins)]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A Python path of the caller's would bring in packages that are not pinned.
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    ) as process:
        collected = 0
        for line in process.stdout or ():
            tail.append(line)
            collected += line.startswith("Collecting ")
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{collected} of {count} ")
                sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\r")
    return process.returncode, tail


def say(text: str) -> None:
    """Tell how it goes."""
    sys.stderr.write(f"{text}\n")


def fail(what: str, remedy: str) -> int:
    """Tell what is wrong and what to do."""
    say(f"\nerror  {what}\ndo     {remedy}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Pictures of the README: ``python -m acceptance.pictures`` writes ``docs/images``.

Starts ``dev`` as ``build.py local dev`` does, and takes pictures of the launch while
the migration job runs, of the tasks, and of the Airflow UI. Needs Chromium and what
``make templates`` has built.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from rich.console import Console, RenderableType

from acceptance import browser
from acceptance.checks import dags, first_run, login
from cli.errors import Failure
from deploy import stacks
from deploy.console import ProgressDisplay
from deploy.dist import Dist
from deploy.events import StackWatcher
from local.environment import LocalEnvironment
from local.progress import ProgressTable

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MIGRATION = "Custom::Migration"
"""The resource during whose creation the picture of the launch is taken."""

WIDTH = 100
SECONDS = 300.0
POLL_SECONDS = 0.2


def main() -> int:
    """Write the three pictures; return 1 with the reason if one cannot be taken."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    environment = LocalEnvironment(ROOT, "dev", dags=[dags.DAGS])
    launch = Thread(target=save_launch, args=[environment], daemon=True)
    launch.start()
    try:
        with environment:
            first_run.first_run(environment)
            save(ProgressTable(environment, recorder()).table(), "local")
            login.in_browser(environment)
            shutil.copy(
                ROOT / browser.REPORTS / "browser-dev.png", IMAGES / "airflow.png"
            )
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    launch.join(SECONDS)
    return 0


def save_launch(environment: LocalEnvironment) -> None:
    """Save the tree of stacks while the migration job is in progress."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        with suppress(Failure, AttributeError):  # the launch has not begun yet
            stack = stacks.existing(environment.aws, environment.stack_name)
            watcher = StackWatcher(environment.aws, stack.id)
            watcher.poll()
            while not watcher.is_over:
                watcher.poll()
                if any(e.event.type == MIGRATION for e in watcher.in_progress()):
                    dist = Dist.read(ROOT / "dist")
                    save(ProgressDisplay(watcher, dist).tree(), "launch")
                    return
                time.sleep(POLL_SECONDS)


def recorder() -> Console:
    """Return a console of a fixed width whose output can be saved."""
    return Console(record=True, width=WIDTH, force_terminal=True, file=sys.stderr)


def save(shown: RenderableType, name: str) -> None:
    """Save what a terminal would show as ``docs/images/<name>.svg``."""
    console = recorder()
    console.print(shown)
    console.save_svg(str(IMAGES / f"{name}.svg"), title=f"build.py {name} dev")


if __name__ == "__main__":
    sys.exit(main())

"""Progress of every task: a live table at a terminal, else a line for each change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.ecs.agent import TaskRow
from local.environment import LocalEnvironment

LOOK_SECONDS = 0.5
STOPPED_SHOWN = 5
"""Tasks that have ended; the rest of them are in the logs."""

COLUMNS = ("Component", "Task", "State", "Health", "Age")
"""Beside the reason, which alone gives way where a terminal is narrow."""

STYLES = {"HEALTHY": "green", "UNHEALTHY": "red"}


class ProgressTable:
    """Shows an environment while it comes up and for as long as it runs."""

    def __init__(self, environment: LocalEnvironment, shown: Console) -> None:
        self.environment, self.console = environment, shown
        self._seen: dict[str, str] = {}

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show until the end of the block."""
        if self.console.is_terminal:
            with Live(
                get_renderable=self.table, console=self.console, refresh_per_second=2
            ):
                yield
            return
        over = threading.Event()
        printer = threading.Thread(target=self._print, args=(over,), daemon=True)
        printer.start()
        try:
            yield
        finally:
            over.set()
            printer.join()

    def table(self) -> Table:
        """Return every task that runs, and the last ones that ended."""
        rows = self.environment.rows()
        ended = [row for row in rows if row.status == "STOPPED"][-STOPPED_SHOWN:]
        shown = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
        for heading in COLUMNS:
            shown.add_column(heading, no_wrap=True)
        shown.add_column("Why")
        for row in rows:
            if row.status != "STOPPED" or row in ended:
                # What has ended is not healthy any more.
                health = "" if row in ended else row.health
                shown.add_row(
                    self.name(row),
                    row.task_id[:8],
                    row.status,
                    Text(health, style=STYLES.get(health, "dim")),
                    f"{row.seconds:.0f} s",
                    Text(
                        self._why(row), style="dim", no_wrap=True, overflow="ellipsis"
                    ),
                )
        return shown

    def name(self, row: TaskRow) -> str:
        """Return a task's name without what CloudFormation puts around it."""
        words = row.name.removeprefix(f"airflow-{self.environment.name}-").split("-")
        return f"{words[0]}/{words[-1]}"

    def _why(self, row: TaskRow) -> str:
        codes = ", ".join(f"exit code {code}" for code in row.exit_codes)
        return " ".join(text for text in (row.reason, codes) if text)

    def _print(self, over: threading.Event) -> None:
        while not over.wait(LOOK_SECONDS):
            for row in self.environment.rows():
                now = f"{row.status:<14}{row.health:<10}"
                if self._seen.get(row.task_id) != now:
                    self._seen[row.task_id] = now
                    line = (
                        f"{time.strftime('%H:%M:%S')}  {self.name(row):<32}"
                        f"{row.task_id[:8]}  {now}{self._why(row)}"
                    )
                    self.console.print(Text(line.rstrip()), soft_wrap=True)

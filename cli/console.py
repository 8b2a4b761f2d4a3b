"""Console output of every command: results on stdout, messages on stderr.

With --json one document is on stdout, and everything else on stderr. Colours and live
displays only at a terminal (``NO_COLOR`` turns colours off); in a pipe every line stays
one line. Every package may import this module; of the project it imports
``cli.errors`` alone.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import Problem

PIPED_WIDTH = 10_000
"""A program that reads from a pipe needs whole lines, not a guessed screen width."""

_arguments: ContextVar[str] = ContextVar("arguments", default="ENV")

COMMAND = re.compile(r"(?<![\w/.])build\.py (?=[a-z-]+)((?:dags )?[a-z]+ ENV\b)?")
"""Commands that messages name; printed as they have to be typed."""

ON_THIS_MACHINE = ("local", "parameters", "verify")
"""Commands that take an environment, and no account, stack or emulator."""

PROGRAM = Path(__file__).resolve().parents[1] / "build.py"

WAIT_SECONDS = 5.0
"""After this time a command says what it waits for."""
WAIT_AGAIN_SECONDS = 8.0

_members: ContextVar[dict[str, Any] | None] = ContextVar("members", default=None)
"""What the JSON document of the command holds so far; None without --json."""


@contextmanager
def commands_typed_as(arguments: str) -> Iterator[None]:
    """Set what replaces ENV in the commands that messages name."""
    token = _arguments.set(arguments)
    try:
        yield
    finally:
        _arguments.reset(token)


@contextmanager
def json_document(is_json: bool) -> Iterator[None]:  # noqa: FBT001 - the one choice
    """Print one JSON document at the end of the block, if so chosen.

    It holds what ``record`` was given, the problems among it.
    """
    token = _members.set({} if is_json else None)
    try:
        yield
        if members := _members.get():
            document(members)
    finally:
        _members.reset(token)


def record(**members: Any) -> None:
    """Add members to the JSON document of the command; nothing without --json."""
    recorded = _members.get()
    if recorded is not None:
        recorded.update(members)


def has_record() -> bool:
    """Whether the JSON document of the command has members."""
    return bool(_members.get())


def document(value: Any) -> None:
    """Print a JSON document on stdout."""
    text = json.dumps(_typed(value), indent=2)
    print_line(_console(stderr=False), Text(text))


def _typed(value: Any) -> Any:
    """Return a value of JSON with its commands as they have to be typed."""
    if isinstance(value, str):
        return with_arguments(value)
    if isinstance(value, Mapping):
        return {name: _typed(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_typed(item) for item in value]
    return value


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Say what a block waits for after ``WAIT_SECONDS``, and again every so often."""
    with _saying(f"Waiting for {what}"):
        yield


@contextmanager
def _saying(text: str) -> Iterator[None]:
    ended = threading.Event()

    def tell() -> None:
        begun, seconds = time.monotonic(), WAIT_SECONDS
        while not ended.wait(seconds):
            waited = time.monotonic() - begun
            message(f"{text} ({waited:.0f} s) ...")
            seconds = WAIT_AGAIN_SECONDS

    # The thread prints as the command does: its arguments, JSON or not.
    context = copy_context()
    teller = threading.Thread(target=context.run, args=(tell,), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()


def launcher() -> str:
    """Return the program as it can be pasted into the shell that runs it."""
    try:
        relative = os.path.relpath(PROGRAM)
    except (OSError, ValueError):  # the folder of the shell is deleted
        return str(PROGRAM)
    path = relative if os.sep in relative else f"./{relative}"
    return path if len(path) < len(str(PROGRAM)) else str(PROGRAM)


def with_arguments(text: str) -> str:
    """Return a text with its commands as they have to be typed."""

    def typed(match: re.Match[str]) -> str:
        name = (match[1] or "").partition(" ")[0]
        arguments = _arguments.get()
        if name in ON_THIS_MACHINE:
            arguments = arguments.partition(" ")[0]
        words = (match[1] or "").replace("ENV", arguments)
        return f"{launcher()} {words}"

    return COMMAND.sub(typed, text)


def stdout() -> Console:
    """Return the console for results; with --json they are messages."""
    return _console(stderr=_members.get() is not None)


def stderr() -> Console:
    """Return the console for progress, prompts and problems."""
    return _console(stderr=True)


def result(text: str = "", style: str = "") -> None:
    """Print a line of the result on stdout."""
    print_line(stdout(), Text(with_arguments(text), style=style))


def output(text: str) -> None:
    """Print what another program wrote: as it is, its colours at a terminal only."""
    print_line(stdout(), Text.from_ansi(text))


def message(text: str = "", style: str = "") -> None:
    """Print a line about the command's progress on stderr."""
    print_line(stderr(), Text(with_arguments(text), style=style))


def note(text: str) -> None:
    """Print a remark on stderr."""
    _labelled("note", "yellow", text)


def problems(items: Sequence[Problem], *notes: str, exit_code: int = 1) -> None:
    """Print each problem as a paragraph on stderr, then the notes.

    With --json they are members of the document instead.
    """
    if _members.get() is not None:
        errors = [
            {
                "Where": problem.where,
                "What": problem.what,
                "Why": problem.why,
                "Do": problem.remedy,
            }
            for problem in items
        ]
        record(Errors=errors, Notes=list(notes), ExitCode=int(exit_code))
        return
    for problem in items:
        _labelled("error", "bold red", problem.where, "bold")
        _labelled("", "", problem.what)
        if problem.why:
            _labelled("why", "dim", problem.why)
        if problem.remedy:
            _labelled("do", "green", problem.remedy)
        message()
    count = [f"{len(items)} problems."] if len(items) > 1 else []
    if count or notes:
        message(" ".join([*count, *notes]))


def print_line(console: Console, line: Text) -> None:
    """Print one line, however long; a terminal wraps it, a pipe does not."""
    console.print(line, soft_wrap=True)


def shortened(texts: Sequence[str], most: int, joint: str = ", ") -> str:
    """Return the first texts in a line, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return joint.join(texts[:most]) + more


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print a table on stdout."""
    console = stdout()
    grid = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    for name in header:
        grid.add_column(name, no_wrap=not console.is_terminal, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a spinner during the block; a pipe gets a line as of ``waiting_for``."""
    console = stderr()
    with console.status(text) if console.is_terminal else _saying(text.rstrip(" .")):
        yield


def _labelled(label: str, label_style: str, text: str, style: str = "") -> None:
    line = Text(f"{label:<7}", style=label_style)
    print_line(stderr(), line.append(with_arguments(text), style=style))


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        emoji=False,  # ":secret:" in an ARN is the code of an emoji
        width=None if stream.isatty() else PIPED_WIDTH,
    )

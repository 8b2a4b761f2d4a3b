r"""The class of every command: help, exit codes, and what an error becomes.

A command raises :class:`cli.errors.Failure`, or returns an :class:`ExitCode` (None is
OK). Its help lists the exit codes that it can end with, and no others. A paragraph
of its docstring that begins with ``\b`` keeps its lines.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, NoReturn

import click

from cli import console
from cli.errors import ExitCode, Failure, Problem

MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed: correct what the messages name",
    ExitCode.USAGE: "wrong usage: an unknown command, option, environment or name",
    ExitCode.UNABLE: "prevented by AWS or this machine: credentials, network, disk",
    ExitCode.UNCHANGED: "nothing to change",
    ExitCode.REFUSED: "refused: not confirmed, or it would harm what exists",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}

ALWAYS = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.UNABLE,
    ExitCode.INTERRUPTED,
)
"""Exit codes that every command can end with."""

REPEATED_OPTIONS = ("profile", "region", "stack_name")
"""Options with a value that the next command needs as well."""


class Command(click.Command):
    """A command of ``build.py``."""

    def __init__(
        self,
        *arguments: Any,
        exit_codes: Iterable[ExitCode] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        interrupted: str = "Interrupted.",
        **options: Any,
    ) -> None:
        """Define a command; ``exit_codes`` are those beside ``ALWAYS``.

        ``meanings`` says what a code means for this command, where that is more than
        its general meaning; ``interrupted`` is what Ctrl-C leaves behind.
        """
        super().__init__(*arguments, **options)
        self.exit_codes = sorted({*ALWAYS, *exit_codes})
        self.interrupted = interrupted
        # click marks such a paragraph with a backspace, which no raw docstring holds.
        self.help = (self.help or "").replace("\\b\n", "\b\n")
        texts = {**MEANINGS, **(meanings or {})}
        lines = (f"  {code:<4} {texts[code]}" for code in self.exit_codes)
        self.epilog = "\n".join(["\b", "Exit codes", *lines])

    def invoke(self, context: click.Context) -> Any:
        """Run the command; turn what it raises into messages and an exit code."""
        with console.commands_typed_as(_arguments(context.params)):
            code = self._run(context)
        # Not in an except block: what an error still holds is released after it.
        context.exit(int(code))

    def _run(self, context: click.Context) -> ExitCode:
        try:
            return super().invoke(context) or ExitCode.OK
        except Failure as failure:
            console.problems(failure.problems, *_notes(failure))
            return failure.exit_code
        except OSError as error:
            console.problems((_of_this_machine(error),), *_notes(error))
            return ExitCode.UNABLE
        except (KeyboardInterrupt, click.Abort) as error:
            console.message(" ".join([f"\n{self.interrupted}", *_notes(error)]))
            return ExitCode.INTERRUPTED


class CommandGroup(click.Group):
    """The commands of ``build.py``."""

    command_class = Command

    def invoke(self, context: click.Context) -> Any:
        """Run a command; SIGTERM ends it as Ctrl-C does."""
        signal.signal(signal.SIGTERM, _raise_interrupt)
        return super().invoke(context)


def _arguments(parameters: Mapping[str, Any]) -> str:
    """Return the arguments with which a following command is about the same stack."""
    environment = parameters.get("environment")
    words = [environment if isinstance(environment, str) else "ENV"]
    for name in REPEATED_OPTIONS:
        if parameters.get(name):
            words += [f"--{name.replace('_', '-')}", str(parameters[name])]
    return " ".join([*words, *(["--emulator"] if parameters.get("emulator") else [])])


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _of_this_machine(error: OSError) -> Problem:
    return Problem(
        where=str(error.filename or "this machine"),
        what=f"{error.strerror or error}.",
        remedy="Free some space, or correct the permissions; then run this again.",
    )


def _raise_interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

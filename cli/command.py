r"""The class of every command: help, exit codes, and what an error becomes.

A command raises :class:`cli.errors.Failure`, or returns an :class:`ExitCode` (None is
OK) or the exit code of a program that it ran. Its help lists the exit codes that it can
end with, and no others. A paragraph of its docstring that begins with ``\b`` keeps its
lines.

What any command raises, an unexpected error and a usage error of click among them,
becomes a problem with an exit code here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from cli import console, own_environment
from cli.errors import ExitCode, Failure, Problem, Unable, UsageError
from compiler.suggestions import closest

MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed: correct what the messages name",
    ExitCode.USAGE: "wrong usage: an unknown command, option, environment or name",
    ExitCode.UNABLE: "prevented by AWS or this machine: credentials, network, disk",
    ExitCode.UNCHANGED: "nothing to change",
    ExitCode.REFUSED: "refused: not confirmed, or it would harm what exists",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}

USUAL = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.UNABLE,
    ExitCode.INTERRUPTED,
)
"""Exit codes that nearly every command can end with."""

REPEATED_OPTIONS = ("profile", "region", "stack_name")
"""Options with a value that the next command needs as well."""

REPEATED_FLAGS = ("emulator", "running")
"""Flags that say, as well, which stack is meant."""

SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("apply", "create", "deploy", "provision"), "launch"),
    **dict.fromkeys(("up", "update", "upgrade"), "launch"),
    **dict.fromkeys(("delete", "down", "remove", "rm", "teardown"), "destroy"),
    **dict.fromkeys(("changes", "diff", "preview"), "plan"),
    **dict.fromkeys(("build", "compile", "synth"), "templates"),
    **dict.fromkeys(("check", "lint", "validate"), "parameters"),
    **dict.fromkeys(("package", "upload"), "publish"),
    **dict.fromkeys(("describe", "info", "show"), "status"),
    **dict.fromkeys(("environments", "envs", "list"), "ls"),
    **dict.fromkeys(("add", "new", "scaffold"), "init"),
    **dict.fromkeys(("cancel", "rollback", "repair"), "recover"),
    **dict.fromkeys(("explain", "why"), "diagnose"),
    **dict.fromkeys(("run", "serve", "start"), "local"),
    **dict.fromkeys(("acceptance", "test"), "verify"),
    **dict.fromkeys(("console", "url"), "link"),
    **dict.fromkeys(("log", "tail"), "logs"),
    "watch": "events",
    **dict.fromkeys(("bill", "costs", "estimate", "price", "pricing"), "cost"),
    **dict.fromkeys(("autocomplete", "complete"), "completion"),
}
"""Words of other tools, and the command that does the same here."""

WHOLE = 200
"""Characters of a sentence that is not cut."""

NO_COLOR = "--no-color"
"""Taken anywhere on the command line, as the variable NO_COLOR."""

WRONG_PATH = "Correct the path or its permissions"

REMEDIES: Mapping[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space"),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE), "Allow more open files (ulimit -n 1024)"
    ),
    **dict.fromkeys(
        (errno.ENOMEM, errno.EAGAIN), "Close other programs, or raise the limits"
    ),
    errno.EROFS: "Make the file system writable, or use a copy on another one",
    errno.EIO: "Check the disk",
    errno.EFBIG: "Raise the limit of the size of a file (ulimit -f unlimited)",
}
"""What to do about an error of this machine that is not about a path."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(click.Command):
    """A command of ``build.py``."""

    def __init__(
        self,
        *arguments: Any,
        exit_codes: Iterable[ExitCode] = (),
        never: Iterable[ExitCode] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        interrupted: str = "Interrupted.",
        exclusive: Iterable[tuple[str, str]] = (),
        **options: Any,
    ) -> None:
        """Define a command; ``exit_codes`` are those beside ``USUAL``.

        ``never`` are usual ones that cannot happen here; ``meanings`` says what a code
        means for this command, where that is more than its general meaning;
        ``interrupted`` is what Ctrl-C leaves behind; ``exclusive`` are pairs
        of options that exclude each other.
        """
        super().__init__(*arguments, **options)
        self.exit_codes = sorted({*USUAL, *exit_codes} - {*never})
        self.interrupted = interrupted
        self.exclusive = tuple(exclusive)
        # click marks such a paragraph with a backspace, which no raw docstring holds.
        self.help = (self.help or "").replace("\\b\n", "\b\n")
        texts = {**MEANINGS, **(meanings or {})}
        lines = (f"  {code:<4} {texts[code]}" for code in self.exit_codes)
        self.epilog = "\n".join(["\b", "Exit codes", *lines])

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Refuse what is empty, given twice, or excluded by another option."""
        self._refuse_empty(context, arguments)
        try:
            if not context.resilient_parsing:
                self._refuse_repeated(context, arguments)
            rest = super().parse_args(context, arguments)
        except click.UsageError as error:
            # click does not say which command an option without its value is of.
            error.ctx = error.ctx or context
            raise
        for first, second in self.exclusive:
            if _is_given(context, first) and _is_given(context, second):
                raise click.UsageError(
                    f"{_name(self, first)} and {_name(self, second)} exclude each "
                    "other.",
                    context,
                )
        return rest

    def _refuse_empty(self, context: click.Context, arguments: Sequence[str]) -> None:
        """Refuse an empty value: an unset variable of a script, most often."""
        for before, argument in zip(["", *arguments], arguments, strict=False):
            name, equals, value = argument.partition("=")
            is_option = name.startswith("--") and bool(equals)
            if not (value if is_option else argument).strip():
                place = name if is_option else before
                of = f"of {place} " if place.startswith("--") else ""
                raise click.UsageError(
                    f"A value {of}is empty. Is a variable not set?", context
                )

    def _refuse_repeated(
        self, context: click.Context, arguments: Sequence[str]
    ) -> None:
        """Refuse an option that is given twice; else the last one would win."""
        _, _, order = self.make_parser(context).parse_args(list(arguments))
        single = [
            parameter
            for parameter in order
            if isinstance(parameter, click.Option)
            and not parameter.multiple
            and (not parameter.is_flag or parameter.secondary_opts)
        ]
        for parameter in single:
            if single.count(parameter) > 1:
                names = " or ".join((*parameter.opts, *parameter.secondary_opts))
                raise click.UsageError(f"{names} is given more than once.", context)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; turn what it raises into messages and an exit code."""
        has_json = bool(context.params.get("as_json"))
        with (
            console.commands_typed_as(_arguments(context.params)),
            console.json_document(has_json),
        ):
            code = self._run(context)
            if console.has_record():
                console.record(ExitCode=int(code))
        # Not in an except block: what an error still holds is released after it.
        context.exit(int(code))

    def _run(self, context: click.Context) -> int:
        try:
            with _signals_that_interrupt():
                return super().invoke(context) or ExitCode.OK
        except (KeyboardInterrupt, click.Abort) as error:
            text = " ".join([self.interrupted, *_notes(error)])
            console.message(f"\n{text}")
            console.record(Interrupted=text)
            return ExitCode.INTERRUPTED
        except click.ClickException as error:
            return report(UsageError(_of_usage(error)), *_notes(error))
        except (click.exceptions.Exit, SystemExit):
            raise
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            return report(error, *_notes(error))


PURPOSES: Mapping[str, tuple[str, ...]] = {
    "Begin": ("doctor", "init", "ls", "completion"),
    "Build, offline": ("templates", "parameters", "reference"),
    "Try on this machine": ("local", "emulator"),
    "Deploy": (
        *("preflight", "image", "plan", "launch", "publish", "link", "catalog"),
        "role",
    ),
    "Release DAGs": ("dags", "connections"),
    "Look at what runs": ("status", "outputs", "events", "logs", "verify"),
    "Operate": ("airflow", "cost"),
    "Repair and delete": ("diagnose", "recover", "destroy"),
}
"""The commands by purpose, in the order in which they are needed."""

OTHER = "Other"


class CommandGroup(click.Group):
    """The commands of ``build.py``."""

    command_class = Command

    def format_commands(
        self, _context: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the commands by purpose, each with its whole first sentence."""
        known = {name for names in PURPOSES.values() for name in names}
        others = tuple(sorted(self.commands.keys() - known))
        for purpose, names in {**PURPOSES, OTHER: others}.items():
            rows = [
                (name, self.commands[name].get_short_help_str(limit=WHOLE))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(purpose):
                    formatter.write_dl(rows)

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run a command; report a wrong command line as any other problem."""
        args = arguments[0] if arguments else options.pop("args", None)
        options["standalone_mode"] = False
        words = list(sys.argv[1:] if args is None else args)
        if NO_COLOR in words:
            os.environ["NO_COLOR"] = "1"
            words = [word for word in words if word != NO_COLOR]
        try:
            code = super().main(words, **options)
        except click.exceptions.NoArgsIsHelpError as error:
            console.message(error.format_message())
            code = ExitCode.USAGE
        except click.ClickException as error:
            with console.json_document("--json" in words):
                code = report(UsageError(_of_usage(error)))
        except (KeyboardInterrupt, click.Abort):
            code = ExitCode.INTERRUPTED
        sys.exit(code)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command; name ours for a word of another tool."""
        word = arguments[0] if arguments else ""
        if word in SYNONYMS and word not in self.commands:
            raise click.UsageError(
                f"No such command '{word}'. Here it is called {SYNONYMS[word]}.",
                context,
            )
        if word not in self.commands and not word.startswith("-"):
            close = closest(word, [*self.commands, *SYNONYMS])
            command = SYNONYMS.get(close, close)
            raise click.UsageError(
                f"No such command '{word}'."
                + (f" Did you mean {command}?" if command else ""),
                context,
            )
        return super().resolve_command(context, arguments)


def report(error: Exception, *notes: str) -> ExitCode:
    """Print the problems of an error, and return its exit code."""
    if isinstance(error, Failure):
        failure: Failure = error
    elif isinstance(error, OSError):
        failure = Unable(_of_this_machine(error))
    elif isinstance(error, MemoryError):
        failure = Unable(
            Problem(
                where="this machine",
                what="Its memory is used up.",
                remedy="Close other programs, then run this again.",
            )
        )
    else:
        own_environment.repair(error)
        failure = Unable(own_environment.unexpected(error))
    console.problems(failure.problems, *notes, exit_code=failure.exit_code)
    return failure.exit_code


def assigned(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return the values of a repeatable option NAME=VALUE, each name once."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(
                f"{option} {text} has no name or no value. Write NAME=VALUE."
            )
        if name in values:
            raise click.UsageError(f"{option} names {name} more than once.")
        values[name] = value
    return values


def _of_usage(error: click.ClickException) -> Problem:
    context = getattr(error, "ctx", None)
    words = context.command_path.split()[1:] if context else []
    command = " ".join(["build.py", *words])
    return Problem(
        where=command,
        what=error.format_message(),
        remedy=f"`{command} --help` lists what it takes.",
    )


def _is_given(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source not in (None, ParameterSource.DEFAULT)


def _name(command: click.Command, name: str) -> str:
    parameter = next(p for p in command.params if p.name == name)
    return max(parameter.opts, key=len)


def _arguments(parameters: Mapping[str, Any]) -> str:
    """Return the arguments with which a following command is about the same stack."""
    environment = parameters.get("environment")
    words = [shlex.quote(environment) if isinstance(environment, str) else "ENV"]
    for name in REPEATED_OPTIONS:
        if parameters.get(name):
            value = shlex.quote(str(parameters[name]))
            words += [f"--{name.replace('_', '-')}", value]
    words += [f"--{name}" for name in REPEATED_FLAGS if parameters.get(name)]
    return " ".join(words)


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _of_this_machine(error: OSError) -> Problem:
    return Problem(
        where=str(error.filename or "this machine"),
        what=f"{error.strerror or error}".rstrip(".") + ".",
        remedy=f"{REMEDIES.get(error.errno or 0, WRONG_PATH)}; then run this again.",
    )


@contextmanager
def _signals_that_interrupt() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt during a command.

    A signal that was ignored, as by nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, _raise_interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

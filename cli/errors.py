"""Errors and exit codes of every command.

Every package may import this module; it imports nothing of the project.

::

    Failure                the command did not do what was asked
    ├── Refused            not done on purpose, or not without confirmation
    ├── NotStarted         interrupted before anything was changed
    ├── Unable             AWS or this machine prevents it
    │   ├── Denied         the credentials do not allow an action
    │   ├── Throttled      AWS still limits the rate of calls after all retries
    │   └── Unreachable    no answer: network, region, or an emulator that died
    ├── UsageError         the command line names what does not exist
    └── AwsError           any other answer of AWS; ``code`` says which
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts; the help of every command documents it."""

    OK = 0
    FAILED = 1
    """Templates, parameters, a stack or a check need correcting."""
    USAGE = 2
    """The command line: an unknown command, option, environment, stack or bucket."""
    UNABLE = 3
    """AWS or this machine prevents it: credentials, permissions, network, disk."""
    UNCHANGED = 4
    REFUSED = 5
    """Not done: not confirmed, or it would have harmed what exists."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it; a stack operation that had started continues."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to correct: where it is, what it is, why, and what to do."""

    where: str
    """Template, logical ID and property; file and line; stack; or service."""
    what: str
    why: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        parts = (f"{self.where}:", self.what, self.why, self.remedy)
        return " ".join(part for part in parts if part)


class Failure(Exception):  # noqa: N818 - it carries problems, it is not one more error
    """A command cannot continue; ``problems`` say why."""

    exit_code = ExitCode.FAILED

    def __init__(self, *problems: Problem, exit_code: ExitCode | None = None) -> None:
        self.problems = problems
        if exit_code is not None:
            self.exit_code = exit_code
        super().__init__("\n".join(map(str, problems)))


class Refused(Failure):
    """Not done, on purpose."""

    exit_code = ExitCode.REFUSED


class NotStarted(Failure):
    """Ctrl-C before anything was changed."""

    exit_code = ExitCode.INTERRUPTED


class UsageError(Failure):
    """The command line names what does not exist."""

    exit_code = ExitCode.USAGE


class Unable(Failure):
    """AWS or this machine prevents it."""

    exit_code = ExitCode.UNABLE


class Denied(Unable):
    """The credentials do not allow an action."""


class Throttled(Unable):
    """AWS still limits the rate of calls after all retries."""


class Unreachable(Unable):
    """No answer at all."""


class AwsError(Failure):
    """An answer of AWS that a caller may expect; ``code`` says which."""

    def __init__(self, problem: Problem, *, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(problem)

"""What went wrong, in the four parts that every message has.

::

    Failure                what was asked for did not happen
    ├── Refused            this tool will not do it, or not without a person's word
    ├── Unable             AWS or this machine is in the way
    │   ├── Denied         the credentials do not allow an action
    │   ├── Throttled      AWS asked for patience for longer than we had it
    │   └── Unreachable    no answer: network, region, or an emulator that died
    ├── WrongUse           the command line asks for what is not there
    └── AwsError           any other answer of AWS; ``code`` says which
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts; documented in the help of every command."""

    DONE = 0
    FAILED = 1
    """The stack, or the files that were to be delivered, are not as they should be."""
    WRONG_USE = 2
    UNABLE = 3
    """AWS or this machine is in the way: credentials, permissions, the network."""
    NOTHING_TO_CHANGE = 4
    REFUSED = 5
    """Not done: nobody agreed, or it would have harmed what is there."""
    DETACHED = 130
    """Ctrl-C, as shells report it; a stack operation that was started goes on."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to see to."""

    where: str
    what: str
    why: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return " ".join(
            part
            for part in (f"{self.where}:", self.what, self.why, self.remedy)
            if part
        )


class Failure(Exception):  # noqa: N818 - it carries problems, it is not one more error
    """A command cannot go on; ``problems`` say why."""

    exit_code = ExitCode.FAILED

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class Refused(Failure):
    """Not done, on purpose."""

    exit_code = ExitCode.REFUSED


class WrongUse(Failure):
    """The command line names what is not there."""

    exit_code = ExitCode.WRONG_USE


class Unable(Failure):
    """AWS or this machine is in the way."""

    exit_code = ExitCode.UNABLE


class Denied(Unable):
    """The credentials do not allow an action."""


class Throttled(Unable):
    """AWS asked for patience until we had none left."""


class Unreachable(Unable):
    """No answer at all."""


class AwsError(Failure):
    """An answer of AWS that whoever asked may expect; ``code`` says which."""

    def __init__(self, problem: Problem, *, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(problem)

"""What went wrong, in the four parts that every message of the compiler has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts; documented in ``build.py --help``."""

    OK = 0
    WRONG_INPUT = 1
    """Templates or parameters need correcting; ``dist/`` is as it was."""
    WRONG_USAGE = 2
    """The command line itself: an unknown command, option or environment."""
    UNABLE = 3
    """This machine is in the way: permissions, a full disk, another build."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it; ``dist/`` is as it was."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to correct."""

    where: str
    """Template, logical ID and property, or file and line."""
    what: str
    why: str = ""
    remedy: str

    def __str__(self) -> str:
        why = f" {self.why}" if self.why else ""
        return f"{self.where}: {self.what}{why} {self.remedy}"


class Failure(Exception):  # noqa: N818 - it carries problems, it is not one more error
    """A command cannot go on; ``problems`` say why."""

    def __init__(
        self, problems: Iterable[Problem], code: ExitCode = ExitCode.WRONG_INPUT
    ) -> None:
        self.problems = tuple(problems)
        self.code = code
        super().__init__("\n".join(map(str, self.problems)))

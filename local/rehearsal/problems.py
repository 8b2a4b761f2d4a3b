"""What stops a rehearsal, in the parts that every message of the project has."""

from __future__ import annotations

from delivery.problems import ExitCode, Failure, Problem


class StageError(Failure):
    """The stage is not as it should be; says what, why, and what to do."""

    exit_code = ExitCode.FAILED

    def __init__(
        self, what: str, why: str = "", remedy: str = "", *, where: str = "the stage"
    ) -> None:
        super().__init__(Problem(where=where, what=what, why=why, remedy=remedy))
        self.what, self.why, self.remedy = what, why, remedy

    @classmethod
    def of(cls, failure: Failure) -> StageError:
        """Return what delivery says as an error of the stage."""
        first, *others = failure.problems
        why = "\n".join(text for text in (first.why, *map(str, others)) if text)
        found = cls(first.what, why, first.remedy, where=first.where)
        found.exit_code = failure.exit_code
        return found


class OverError(Exception):
    """The stage stops; whoever waits for something in it gives up."""

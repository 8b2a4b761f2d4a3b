"""What stops a rehearsal, in the parts that every message of the project has."""

from __future__ import annotations

from delivery.problems import Failure


class StageError(Exception):
    """The stage cannot be brought up; says what, why, and what to do."""

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        super().__init__(" ".join(part for part in (what, why, remedy) if part))
        self.what, self.why, self.remedy = what, why, remedy

    @classmethod
    def of(cls, failure: Failure) -> StageError:
        """Return what delivery says as an error of the stage; the first one counts."""
        first = failure.problems[0]
        more = [str(problem) for problem in failure.problems[1:]]
        return cls(
            f"{first.where}: {first.what}",
            "\n".join(text for text in (first.why, *more) if text),
            first.remedy,
        )

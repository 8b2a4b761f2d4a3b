"""A stage that runs nothing, for proofs that look at little of one."""

from __future__ import annotations

from typing import Any, cast

from local.environment import Stage


class FakeStage:
    """Has what a test gives it, and nothing else."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


def stage(**given: Any) -> Stage:
    """Return one that passes for the real thing."""
    return cast(Stage, FakeStage(**given))

"""An environment that runs nothing, for checks that look at little of one."""

from __future__ import annotations

from typing import Any, cast

from local.environment import LocalEnvironment


class FakeEnvironment:
    """Has what a test gives it, and nothing else."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


def environment(**given: Any) -> LocalEnvironment:
    """Return one that passes for the real thing."""
    return cast(LocalEnvironment, FakeEnvironment(**given))

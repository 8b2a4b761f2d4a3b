"""Environments that run nothing, for checks that use little of one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from local.environment import LocalEnvironment


class FakeEnvironment(SimpleNamespace):
    """Has the attributes that a test gives it."""

    __hash__ = object.__hash__  # type: ignore[assignment] # a key of a weak dictionary

    def logs(self, *components: str) -> str:
        """Return a remedy that names the components."""
        return f"Read {', '.join(components)}."


def environment(**attributes: Any) -> LocalEnvironment:
    """Return a fake that passes for a local environment."""
    return cast(LocalEnvironment, FakeEnvironment(**attributes))


def raising(error: BaseException) -> Callable[[object], str]:
    """Return the function of a check that raises an error."""

    def run(_: object) -> str:
        raise error

    return run

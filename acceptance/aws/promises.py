"""Observed settings beside promised ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed
from cli.console import shortened

SHOWN = 6
"""Of the settings that differ; one cause often shows in many places."""


@dataclass(frozen=True)
class Promise:
    """A setting of a resource, and the value that the templates give it."""

    resource: str
    setting: str
    observed: Any
    promised: Any

    @classmethod
    def on(cls, resource: str, setting: str, observed: object) -> Promise:
        """Return the promise that a setting is on."""
        return cls(resource, setting, observed, promised=True)

    @property
    def is_kept(self) -> bool:
        """Whether both are the same."""
        return bool(self.observed == self.promised)

    def __str__(self) -> str:
        return (
            f"{self.resource}: {self.setting} is {self.observed!r}, "
            f"not {self.promised!r}"
        )


def kept(
    environment: AwsEnvironment, promises: Sequence[Promise], *, remedy: str
) -> str:
    """Return how many promises are kept; raise CheckFailed if one is broken.

    The emulator leaves some settings out of its answers; they are counted apart.
    """
    unanswered = [
        promise
        for promise in promises
        if environment.is_local and promise.observed in (None, "")
    ]
    broken = [
        promise
        for promise in promises
        if not promise.is_kept and promise not in unanswered
    ]
    if broken:
        shown = shortened([*map(str, broken)], SHOWN, "; ")
        raise CheckFailed(f"{shown}.", remedy)
    resources = {promise.resource for promise in promises}
    counted = len(promises) - len(unanswered)
    text = f"{counted} settings of {len(resources)} resources as promised"
    if unanswered:
        names = sorted({f"{p.resource} {p.setting}" for p in unanswered})
        text += f"; the emulator does not answer {', '.join(names)}"
    return text

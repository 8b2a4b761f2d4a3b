"""The answer to one question of the preflight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from deploy.preflight.context import LaunchContext


class Verdict(StrEnum):
    """What an answer means for the launch."""

    OK = "pass"
    WARNING = "warning"
    """The launch goes on; the operator should know."""
    REFUSED = "refused"
    """The launch would fail, or Airflow would not work after it."""
    UNKNOWN = "unknown"
    """Not asked, not allowed to ask, or no answer."""


@dataclass(frozen=True)
class Finding:
    """One answer."""

    verdict: Verdict
    text: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question about the account and region."""

    name: str
    run: Callable[[LaunchContext], Iterable[Finding]]
    """Yields no finding where the question does not apply to the environment."""
    asks: tuple[str, ...] = ()
    """Actions that the credentials need for the question; none if it is offline."""
    emulated: bool = False
    """Whether the emulator's answer means something."""
    is_mended_by_launch: bool = False
    """Whether ``launch`` itself does what a warning asks for."""


def passed(text: str) -> Finding:
    """Return the answer that nothing has to be done."""
    return Finding(Verdict.OK, text)


def warning(text: str, remedy: str) -> Finding:
    """Return an answer that the operator should know."""
    return Finding(Verdict.WARNING, text, remedy)


def refused(text: str, remedy: str) -> Finding:
    """Return an answer with which no launch should start."""
    return Finding(Verdict.REFUSED, text, remedy)


def unknown(text: str, remedy: str = "") -> Finding:
    """Return that there is no answer, and why."""
    return Finding(Verdict.UNKNOWN, text, remedy)

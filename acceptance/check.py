"""Checks of a running environment: how they run, and what becomes of each.

A check returns in a few words what it observed. It fails by any exception;
``CheckFailed`` also says what to do. ``Skipped`` says that there was nothing to
check. Nothing hangs: a check that outlasts its ``seconds`` has failed, and its thread
ends with the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from rich.table import Table
from rich.text import Text

Tell = Callable[[str], None]

MAXIMUM_SECONDS = 600.0
POLL_SECONDS = 0.5

E_contra = TypeVar("E_contra", contravariant=True)
"""The environment that a check needs."""


class CheckFailed(Exception):  # noqa: N818 - an outcome, not an error
    """The environment is not as it should be; says what was observed and what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(" ".join(part for part in (what, remedy) if part))
        self.what, self.remedy = what, remedy


class Skipped(Exception):  # noqa: N818 - as above
    """There is nothing to check here; the message says why."""


class Outcome(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.SKIPPED: "dim"}


@dataclass(frozen=True)
class Check(Generic[E_contra]):
    """A line of the report."""

    title: str
    run: Callable[[E_contra], str]
    is_alone: bool = True
    """Whether nothing else may run meanwhile. Neighbours that need not be alone run
    together."""
    seconds: float = MAXIMUM_SECONDS
    """After which it has failed, whatever it waits for."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check."""

    title: str
    outcome: Outcome
    seconds: float
    detail: str
    """What was observed, or why it failed or was skipped."""

    def __str__(self) -> str:
        """Return it as a line of a log."""
        outcome = f"{self.outcome.value:<8}"
        return f"{outcome} {self.seconds:6.1f} s  {self.title}: {self.detail}"


def run_checks(
    environment: E_contra, checks: Iterable[Check[E_contra]], tell: Tell
) -> list[CheckResult]:
    """Run checks in their order and return their results in the same order.

    ``tell`` gets a line as each one ends.
    """
    return [
        result
        for batch in _batches(checks)
        for result in _run_together(environment, batch, tell)
    ]


def count(results: Iterable[CheckResult], outcome: Outcome) -> int:
    """Return how many checks ended so."""
    return sum(result.outcome is outcome for result in results)


def exit_code(results: Iterable[CheckResult]) -> int:
    """Return 1 if a check failed, else 0."""
    return int(count(results, Outcome.FAILED) > 0)


def table(results: Iterable[CheckResult]) -> Table:
    """Return the results for a terminal or a file."""
    shown = Table(expand=False)
    shown.add_column("Check", overflow="fold", ratio=2)
    shown.add_column("", no_wrap=True)
    shown.add_column("Seconds", justify="right", no_wrap=True)
    shown.add_column("Observed", overflow="fold", ratio=3)
    for result in results:
        shown.add_row(
            Text(result.title),
            Text(result.outcome.value, style=STYLES[result.outcome]),
            f"{result.seconds:.1f}",
            Text(result.detail),
        )
    return shown


T = TypeVar("T")


@dataclass(frozen=True)
class Pending:
    """Not there yet; ``state`` is for the message of a wait that ends in vain."""

    state: str


def until(
    what: str,
    look: Callable[[], T | Pending],
    *,
    seconds: float,
    remedy: str,
    pause: float = POLL_SECONDS,
) -> T:
    """Return what ``look`` finds; raise CheckFailed when it is pending for too long.

    ``remedy`` names the log that would tell why.
    """
    deadline = time.monotonic() + seconds
    while isinstance(found := look(), Pending):
        if time.monotonic() > deadline:
            raise CheckFailed(
                f"Waited {seconds:.0f} s for {what}; last state: {found.state}.", remedy
            )
        time.sleep(pause)
    return found


def _batches(checks: Iterable[Check[E_contra]]) -> Iterator[list[Check[E_contra]]]:
    together: list[Check[E_contra]] = []
    for check in checks:
        if not check.is_alone:
            together.append(check)
            continue
        if together:
            yield together
            together = []
        yield [check]
    if together:
        yield together


def _run_together(
    environment: E_contra, checks: Sequence[Check[E_contra]], tell: Tell
) -> list[CheckResult]:
    results: dict[int, CheckResult] = {}
    lock = threading.Lock()
    started = time.monotonic()

    def finish(number: int, result: CheckResult) -> None:
        with lock:
            # The first result counts: a check that was given up may still end.
            if number in results:
                return
            results[number] = result
            tell(str(result))

    def run(number: int, check: Check[E_contra]) -> None:
        finish(number, _result(environment, check))

    threads = [
        threading.Thread(target=run, args=pair, name=pair[1].title, daemon=True)
        for pair in enumerate(checks)
    ]
    for thread in threads:
        thread.start()
    for number, (check, thread) in enumerate(zip(checks, threads, strict=True)):
        thread.join(max(0.0, started + check.seconds - time.monotonic()))
        if thread.is_alive():
            why = f"It was not over after {check.seconds:.0f} s and was given up."
            finish(number, CheckResult(check.title, Outcome.FAILED, check.seconds, why))
    return [results[number] for number in range(len(checks))]


def _result(environment: E_contra, check: Check[E_contra]) -> CheckResult:
    started = time.monotonic()
    try:
        detail, outcome = check.run(environment), Outcome.PASSED
    except Skipped as reason:
        detail, outcome = str(reason), Outcome.SKIPPED
    except CheckFailed as reason:
        detail, outcome = str(reason), Outcome.FAILED
    except Exception as error:  # noqa: BLE001 - any other error is a failure as well
        detail, outcome = f"{type(error).__name__}: {error}", Outcome.FAILED
    return CheckResult(check.title, outcome, time.monotonic() - started, detail)

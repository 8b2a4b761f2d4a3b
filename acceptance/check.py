"""Checks of a running environment: how they run, and what becomes of each.

A check returns in a few words what it observed. It fails by any exception;
``CheckFailed`` also says what to do. ``Skipped`` says that there was nothing to
check. Nothing hangs: a check that outlasts its ``seconds`` has failed, and its thread
ends with the process.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from rich.table import Table
from rich.text import Text

Tell = Callable[[str], None]

MAXIMUM_SECONDS = 600.0
POLL_SECONDS = 0.5

E = TypeVar("E")
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
    """Whether no neighbour may run meanwhile. Neighbours that need not be alone run
    together."""
    is_background: bool = False
    """Whether the next checks run while this one does."""
    needs: tuple[str, ...] = ()
    """Titles of the checks that this one goes on from. They run wherever it runs, and
    have ended before it starts."""
    after: tuple[str, ...] = ()
    """Titles of other checks that must have ended before this one starts."""
    seconds: float = MAXIMUM_SECONDS
    """After which it has failed, whatever it waits for."""
    option: str = ""
    """The option that leaves it out, if there is one."""
    skipped_by: str = ""
    """The option that has left it out."""


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


class CheckRunner(Generic[E]):
    """Runs checks in their order; ``tell`` gets a line as each one ends."""

    def __init__(self, environment: E, tell: Tell) -> None:
        self._environment, self._tell = environment, tell
        self._runs: list[_Run[E]] = []
        self._lock = threading.Lock()

    def run(self, checks: Iterable[Check[E]]) -> None:
        """Return when all of them have ended but those in the background."""
        for batch in _batches(checks):
            runs = [self._start(check) for check in batch]
            for run in runs:
                if not run.check.is_background:
                    self._wait(run)

    def results(self) -> list[CheckResult]:
        """Wait for those in the background; return all results in order."""
        return [self._wait(run) for run in self._runs]

    def _start(self, check: Check[E]) -> _Run[E]:
        titles = {*check.needs, *check.after}
        needed = [run for run in self._runs if run.check.title in titles]
        run = _Run(check)
        self._runs.append(run)

        def work() -> None:
            for other in needed:
                self._wait(other)
            run.started.set_result(time.monotonic())
            self._end(run, _result(self._environment, check))

        threading.Thread(target=work, name=check.title, daemon=True).start()
        return run

    def _wait(self, run: _Run[E]) -> CheckResult:
        seconds = run.check.seconds
        deadline = run.started.result() + seconds
        try:
            return run.result.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            why = f"It was not over after {seconds:.0f} s and was given up."
            late = CheckResult(run.check.title, Outcome.FAILED, seconds, why)
            return self._end(run, late)

    def _end(self, run: _Run[E], result: CheckResult) -> CheckResult:
        with self._lock:
            # The first result counts: a check that was given up may still end.
            if not run.result.done():
                run.result.set_result(result)
                if not run.check.skipped_by:
                    self._tell(str(result))
            return run.result.result()


@dataclass
class _Run(Generic[E]):
    check: Check[E]
    started: Future[float] = field(default_factory=Future)
    result: Future[CheckResult] = field(default_factory=Future)


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
    """Not there yet; ``state`` is for the message of a wait that ends in vain.

    A function is called for that message alone: it may cost more than a look.
    """

    state: str | Callable[[], str]

    def __str__(self) -> str:
        """Return the state."""
        return self.state if isinstance(self.state, str) else self.state()


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
    while isinstance(result := look(), Pending):
        if time.monotonic() > deadline:
            raise CheckFailed(
                f"Waited {seconds:.0f} s for {what}; last state: {result}.",
                remedy,
            )
        time.sleep(pause)
    return result


def _batches(checks: Iterable[Check[E]]) -> Iterator[list[Check[E]]]:
    """Yield neighbours that need not be alone together, and every other check alone."""
    for _, group in itertools.groupby(
        enumerate(checks),
        lambda pair: pair[0] if pair[1].is_alone or pair[1].is_background else -1,
    ):
        yield [check for _, check in group]


def _result(environment: E, check: Check[E]) -> CheckResult:
    if check.skipped_by:
        why = f"Not selected: {check.skipped_by} was given."
        return CheckResult(check.title, Outcome.SKIPPED, 0.0, why)
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

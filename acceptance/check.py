"""Proofs: one line each in the table of a rehearsal, and how they are run.

A proof looks at the running stage and returns in a few words what it saw. It fails by
any exception; ``NotProven`` says besides what to do. ``LeftOut`` says that there was
nothing to prove. Nothing hangs: a proof that outlasts its ``seconds`` has failed, and
its thread goes with the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from local.environment import Stage

Tell = Callable[[str], None]

LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.5


class NotProven(Exception):  # noqa: N818 - what became of a proof, not an error in it
    """What was to be proven is not so; says what was seen, and what to do."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(" ".join(part for part in (what, remedy) if part))
        self.what, self.remedy = what, remedy


class LeftOut(Exception):  # noqa: N818 - as above
    """There is nothing here to prove it by; the message says why."""


class Verdict(Enum):
    """How a proof ended."""

    PROVEN = "proven"
    FAILED = "FAILED"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Proof:
    """A line of the table."""

    title: str
    prove: Callable[[Stage], str]
    is_alone: bool = True
    """Whether nothing else may run meanwhile. Neighbours that need not be alone run
    together."""
    seconds: float = LONGEST_SECONDS
    """After which it has failed, whatever it waits for."""


@dataclass(frozen=True)
class Result:
    """What became of a proof."""

    title: str
    verdict: Verdict
    seconds: float
    seen: str
    """What was seen, or why it failed, or why it was left out."""

    @property
    def passed(self) -> bool:
        """Whether it was proven, or there was nothing to prove."""
        return self.verdict is not Verdict.FAILED


def run(stage: Stage, proofs: Iterable[Proof], tell: Tell) -> list[Result]:
    """Run proofs in their order and return what became of each, in the same order.

    ``tell`` gets a line as each one ends.
    """
    results: list[Result] = []
    for batch in _batches(proofs):
        results += _together(stage, batch, tell)
    return results


def exit_code(results: Iterable[Result]) -> int:
    """Return 0 if everything was proven or had nothing to prove, else 1."""
    return int(not all(result.passed for result in results))


def table(results: Iterable[Result]) -> Table:
    """Return the results for a terminal or a file."""
    shown = Table(expand=False)
    shown.add_column("What is proven", overflow="fold", ratio=2)
    shown.add_column("", no_wrap=True)
    shown.add_column("Seconds", justify="right", no_wrap=True)
    shown.add_column("What was seen", overflow="fold", ratio=3)
    styles = {Verdict.PROVEN: "green", Verdict.FAILED: "red", Verdict.LEFT_OUT: "dim"}
    for result in results:
        shown.add_row(
            Text(result.title),
            Text(result.verdict.value, style=styles[result.verdict]),
            f"{result.seconds:.1f}",
            Text(result.seen),
        )
    return shown


_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Pending:
    """Not there yet; ``seen`` is how it stands, for the message of a wait in vain."""

    seen: str


def until(
    what: str,
    look: Callable[[], _Found | Pending],
    *,
    seconds: float,
    remedy: str,
    pause: float = POLL_SECONDS,
) -> _Found:
    """Return what ``look`` finds; raise NotProven when it is pending for too long.

    ``remedy`` says where to read on: the log that would tell why.
    """
    deadline = time.monotonic() + seconds
    while isinstance(found := look(), Pending):
        if time.monotonic() > deadline:
            raise NotProven(
                f"Waited {seconds:.0f} s for {what}; last seen: {found.seen}.", remedy
            )
        time.sleep(pause)
    return found


def _batches(proofs: Iterable[Proof]) -> Iterator[list[Proof]]:
    together: list[Proof] = []
    for proof in proofs:
        if not proof.is_alone:
            together.append(proof)
            continue
        if together:
            yield together
            together = []
        yield [proof]
    if together:
        yield together


def _together(stage: Stage, proofs: Sequence[Proof], tell: Tell) -> list[Result]:
    results: dict[int, Result] = {}
    over = threading.Lock()
    begun = time.monotonic()

    def finish(number: int, result: Result) -> None:
        with over:
            # The first word counts: late is late.
            if number in results:
                return
            results[number] = result
            tell(line(result))

    def prove(number: int, proof: Proof) -> None:
        finish(number, _result(stage, proof))

    threads = [
        threading.Thread(target=prove, args=pair, name=pair[1].title, daemon=True)
        for pair in enumerate(proofs)
    ]
    for thread in threads:
        thread.start()
    for number, (proof, thread) in enumerate(zip(proofs, threads, strict=True)):
        thread.join(max(0.0, begun + proof.seconds - time.monotonic()))
        if thread.is_alive():
            why = f"It was not over after {proof.seconds:.0f} s and was given up."
            finish(number, Result(proof.title, Verdict.FAILED, proof.seconds, why))
    return [results[number] for number in range(len(proofs))]


def _result(stage: Stage, proof: Proof) -> Result:
    begun = time.monotonic()
    try:
        seen, verdict = proof.prove(stage), Verdict.PROVEN
    except LeftOut as reason:
        seen, verdict = str(reason), Verdict.LEFT_OUT
    except NotProven as reason:
        seen, verdict = str(reason), Verdict.FAILED
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no proof
        seen, verdict = f"{type(error).__name__}: {error}", Verdict.FAILED
    return Result(proof.title, verdict, time.monotonic() - begun, seen)


def line(result: Result) -> str:
    """Return a result on one line, for a log."""
    verdict = f"{result.verdict.value:<8}"
    return f"{verdict} {result.seconds:6.1f} s  {result.title}: {result.seen}"

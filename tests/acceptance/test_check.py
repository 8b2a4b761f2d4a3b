"""How proofs are run, told and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from acceptance import check
from acceptance.check import (
    LeftOut,
    NotProven,
    Pending,
    Proof,
    Result,
    Verdict,
    run,
    until,
)
from local.environment import Stage
from tests.acceptance.fakes import stage

STAGE = stage()


def raising(error: Exception) -> Callable[[Stage], str]:
    def prove(_: Stage) -> str:
        raise error

    return prove


def proven(*proofs: Proof) -> list[Result]:
    return run(STAGE, proofs, lambda _: None)


def test_each_verdict_comes_with_what_was_seen() -> None:
    results = proven(
        Proof("a", lambda _: "all of it"),
        Proof("b", raising(NotProven("it is not so.", "Read the log."))),
        Proof("c", raising(KeyError("hostname"))),
        Proof("d", raising(LeftOut("there is no Flower"))),
    )

    assert [(one.title, one.verdict.value, one.seen) for one in results] == [
        ("a", "proven", "all of it"),
        ("b", "FAILED", "it is not so. Read the log."),
        ("c", "FAILED", "KeyError: 'hostname'"),
        ("d", "left out", "there is no Flower"),
    ]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PROVEN, Verdict.LEFT_OUT], 0),
        ([Verdict.PROVEN, Verdict.FAILED], 1),
        ([], 0),
    ],
)
def test_one_failure_fails_all(verdicts: list[Verdict], code: int) -> None:
    results = [Result("a", verdict, 1, "") for verdict in verdicts]

    assert check.exit_code(results) == code


def test_proofs_that_need_not_be_alone_run_together() -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(_: Stage) -> str:
        both.wait()
        return "met"

    results = proven(Proof("a", meet, is_alone=False), Proof("b", meet, is_alone=False))

    assert [one.seen for one in results] == ["met", "met"]


def test_one_that_is_alone_waits_for_those_before_it_and_is_waited_for() -> None:
    order: list[str] = []

    def slowly(_: Stage) -> str:
        time.sleep(0.05)
        order.append("together")
        return ""

    def alone(_: Stage) -> str:
        order.append("alone")
        return ""

    together = Proof("t", slowly, is_alone=False)
    proven(together, together, Proof("a", alone), together)

    assert order == ["together", "together", "alone", "together"]


def test_a_proof_that_hangs_is_given_up_and_the_next_one_runs() -> None:
    release = threading.Event()

    def hang(_: Stage) -> str:
        release.wait(10)
        return "too late"

    told: list[str] = []
    begun = time.monotonic()
    results = run(
        STAGE,
        [Proof("a", hang, seconds=0.05), Proof("b", lambda _: "seen")],
        told.append,
    )
    release.set()

    assert time.monotonic() - begun < 5
    assert [one.verdict for one in results] == [Verdict.FAILED, Verdict.PROVEN]
    assert "was given up" in results[0].seen
    assert len(told) == 2


def test_every_result_is_told_as_it_comes() -> None:
    told: list[str] = []

    run(STAGE, [Proof("The web page", lambda _: "200")], told.append)

    assert [line.split() for line in told] == [
        ["proven", "0.0", "s", "The", "web", "page:", "200"]
    ]


def test_the_table_has_a_line_each() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(
        check.table(
            [
                Result("The web page", Verdict.PROVEN, 1.25, "200"),
                Result("Flower", Verdict.LEFT_OUT, 0, "[not] enabled"),
            ]
        )
    )

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "The web page" in shown
    assert "1.2" in shown
    assert "left out" in shown
    assert "[not] enabled" in shown


def test_a_wait_returns_what_was_found() -> None:
    answers = iter([Pending("queued"), Pending("running"), 42])

    assert until("it", lambda: next(answers), seconds=5, remedy="", pause=0) == 42


def test_a_wait_in_vain_says_what_it_saw_and_where_to_read_on() -> None:
    with pytest.raises(
        NotProven, match=r"Waited 0 s for the run; last seen: queued\. Read x\.log\."
    ):
        until(
            "the run",
            lambda: Pending("queued"),
            seconds=0.02,
            remedy="Read x.log.",
            pause=0.01,
        )

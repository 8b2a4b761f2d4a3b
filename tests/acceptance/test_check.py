"""How checks are run, told and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from acceptance import check
from acceptance.check import (
    Skipped,
    CheckFailed,
    Pending,
    Check,
    Result,
    Outcome,
    run,
    until,
)
from local.environment import LocalEnvironment
from tests.acceptance.fakes import environment

ENVIRONMENT = environment()


def raising(error: Exception) -> Callable[[LocalEnvironment], str]:
    def prove(_: LocalEnvironment) -> str:
        raise error

    return prove


def proven(*checks: Check) -> list[Result]:
    return run(ENVIRONMENT, checks, lambda _: None)


def test_each_verdict_comes_with_what_was_seen() -> None:
    results = proven(
        Check("a", lambda _: "all of it"),
        Check("b", raising(CheckFailed("it is not so.", "Read the log."))),
        Check("c", raising(KeyError("hostname"))),
        Check("d", raising(Skipped("there is no Flower"))),
    )

    assert [(one.title, one.outcome.value, one.seen) for one in results] == [
        ("a", "proven", "all of it"),
        ("b", "FAILED", "it is not so. Read the log."),
        ("c", "FAILED", "KeyError: 'hostname'"),
        ("d", "skipped", "there is no Flower"),
    ]


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([Outcome.PASSED, Outcome.SKIPPED], 0),
        ([Outcome.PASSED, Outcome.FAILED], 1),
        ([], 0),
    ],
)
def test_one_failure_fails_all(outcomes: list[Outcome], code: int) -> None:
    results = [Result("a", outcome, 1, "") for outcome in outcomes]

    assert check.exit_code(results) == code


def test_proofs_that_need_not_be_alone_run_together() -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(_: LocalEnvironment) -> str:
        both.wait()
        return "met"

    results = proven(Check("a", meet, is_alone=False), Check("b", meet, is_alone=False))

    assert [one.seen for one in results] == ["met", "met"]


def test_one_that_is_alone_waits_for_those_before_it_and_is_waited_for() -> None:
    order: list[str] = []

    def slowly(_: LocalEnvironment) -> str:
        time.sleep(0.05)
        order.append("together")
        return ""

    def alone(_: LocalEnvironment) -> str:
        order.append("alone")
        return ""

    together = Check("t", slowly, is_alone=False)
    proven(together, together, Check("a", alone), together)

    assert order == ["together", "together", "alone", "together"]


def test_a_proof_that_hangs_is_given_up_and_the_next_one_runs() -> None:
    release = threading.Event()

    def hang(_: LocalEnvironment) -> str:
        release.wait(10)
        return "too late"

    told: list[str] = []
    begun = time.monotonic()
    results = run(
        ENVIRONMENT,
        [Check("a", hang, seconds=0.05), Check("b", lambda _: "seen")],
        told.append,
    )
    release.set()

    assert time.monotonic() - begun < 5
    assert [one.outcome for one in results] == [Outcome.FAILED, Outcome.PASSED]
    assert "was given up" in results[0].seen
    assert len(told) == 2


def test_every_result_is_told_as_it_comes() -> None:
    told: list[str] = []

    run(ENVIRONMENT, [Check("The web page", lambda _: "200")], told.append)

    assert [line.split() for line in told] == [
        ["proven", "0.0", "s", "The", "web", "page:", "200"]
    ]


def test_the_table_has_a_line_each() -> None:
    console = Console(file=StringIO(), width=100)
    console.print(
        check.table(
            [
                Result("The web page", Outcome.PASSED, 1.25, "200"),
                Result("Flower", Outcome.SKIPPED, 0, "[not] enabled"),
            ]
        )
    )

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "The web page" in shown
    assert "1.2" in shown
    assert "skipped" in shown
    assert "[not] enabled" in shown


def test_a_wait_returns_what_was_found() -> None:
    answers = iter([Pending("queued"), Pending("running"), 42])

    assert until("it", lambda: next(answers), seconds=5, remedy="", pause=0) == 42


def test_a_wait_in_vain_says_what_it_saw_and_where_to_read_on() -> None:
    with pytest.raises(
        CheckFailed, match=r"Waited 0 s for the run; last seen: queued\. Read x\.log\."
    ):
        until(
            "the run",
            lambda: Pending("queued"),
            seconds=0.02,
            remedy="Read x.log.",
            pause=0.01,
        )

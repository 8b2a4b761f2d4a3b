"""Checks are run, reported and counted."""

from __future__ import annotations

import threading
import time
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from acceptance import check
from acceptance.check import (
    Check,
    CheckFailed,
    CheckResult,
    CheckRunner,
    Outcome,
    Pending,
    Skipped,
    until,
)
from tests.acceptance.fakes import raising


def run(*checks: Check[Any]) -> list[CheckResult]:
    runner = CheckRunner(None, lambda _: None)
    runner.run(checks)
    return runner.results()


def test_outcome_comes_with_detail() -> None:
    results = run(
        Check("a", lambda _: "all of it"),
        Check("b", raising(CheckFailed("it is not so.", "Read the log."))),
        Check("c", raising(KeyError("hostname"))),
        Check("d", raising(Skipped("there is no Flower"))),
    )

    assert [
        (result.title, result.outcome.value, result.detail) for result in results
    ] == [
        ("a", "passed", "all of it"),
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
def test_exit_code_is_one_after_a_failure(outcomes: list[Outcome], code: int) -> None:
    results = [CheckResult("a", outcome, 1, "") for outcome in outcomes]

    assert check.exit_code(results) == code


def test_neighbours_that_need_not_be_alone_run_together() -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(_: object) -> str:
        both.wait()
        return "met"

    results = run(Check("a", meet, is_alone=False), Check("b", meet, is_alone=False))

    assert [result.detail for result in results] == ["met", "met"]


def test_check_that_is_alone_waits_for_its_neighbours() -> None:
    order: list[str] = []
    both = threading.Barrier(2, timeout=5)

    def together(_: object) -> str:
        both.wait()
        order.append("together")
        return ""

    def alone(_: object) -> str:
        order.append("alone")
        return ""

    pair = [Check("t", together, is_alone=False)] * 2
    run(*pair, Check("a", alone), *pair)

    assert order == [*["together"] * 2, "alone", *["together"] * 2]


def test_background_check_ends_before_the_check_that_needs_it() -> None:
    order: list[str] = []
    other = threading.Event()

    def background(_: object) -> str:
        assert other.wait(5)
        order.append("background")
        return ""

    def foreground(_: object) -> str:
        order.append("other")
        other.set()
        return ""

    def last(_: object) -> str:
        order.append("last")
        return ""

    results = run(
        Check("b", background, is_background=True),
        Check("o", foreground),
        Check("l", last, needs=("b",)),
    )

    assert order == ["other", "background", "last"]
    assert [result.title for result in results] == ["b", "o", "l"]


def test_background_check_ends_before_the_results() -> None:
    release = threading.Event()

    def background(_: object) -> str:
        assert release.wait(5)
        return "ended"

    checks = [Check("b", background, is_background=True)]
    runner = CheckRunner(None, lambda _: None)
    runner.run(checks)
    release.set()

    assert [result.detail for result in runner.results()] == ["ended"]


def test_skipped_check_names_the_option() -> None:
    (result,) = run(Check("a", raising(KeyError()), skipped_by="--no-faults"))

    assert result.outcome is Outcome.SKIPPED
    assert result.detail == "Not selected: --no-faults was given."


def test_check_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def hang(_: object) -> str:
        release.wait(10)
        return "too late"

    lines: list[str] = []
    started = time.monotonic()
    checks = [Check("a", hang, seconds=0.05), Check("b", lambda _: "next")]
    runner = CheckRunner(None, lines.append)
    runner.run(checks)
    results = runner.results()
    release.set()

    assert time.monotonic() - started < 5
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.PASSED]
    assert "was given up" in results[0].detail
    assert len(lines) == 2


def test_each_result_is_a_line_when_it_ends() -> None:
    lines: list[str] = []

    CheckRunner(None, lines.append).run([Check("The web page", lambda _: "200")])

    assert [line.split() for line in lines] == [
        ["passed", "0.0", "s", "The", "web", "page:", "200"]
    ]


def test_table_shows_text_as_it_is() -> None:
    console = Console(file=StringIO(), width=100)
    results = [
        CheckResult("The web page", Outcome.PASSED, 1.25, "200"),
        CheckResult("Flower", Outcome.SKIPPED, 0, "[not] enabled"),
    ]
    console.print(check.table(results))

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for words in ("The web page", "1.2", "skipped", "[not] enabled"):
        assert words in shown


def test_until_returns_the_first_value_that_is_not_pending() -> None:
    answers = iter([Pending("queued"), Pending("running"), 42])

    assert until("it", lambda: next(answers), seconds=5, remedy="", pause=0) == 42


def test_until_names_the_last_state_and_the_remedy() -> None:
    with pytest.raises(
        CheckFailed, match=r"Waited 0 s for the run; last state: queued\. Read x\.log\."
    ):
        until(
            "the run",
            lambda: Pending("queued"),
            seconds=0.02,
            remedy="Read x.log.",
            pause=0.01,
        )

"""Suites: their checks, what they skip, and the parameters that they need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from acceptance import suites
from acceptance.check import Check, Outcome
from deploy.dist import Environment


@pytest.mark.parametrize(
    ("own", "overrides"),
    [
        (
            {"DefaultWorkersMinimum": "0"},
            {"DefaultWorkersMinimum": "1", "EnableFlower": "true"},
        ),
        ({"DefaultWorkersMinimum": "2"}, {"EnableFlower": "true"}),
        ({"DefaultWorkersMinimum": "2", "EnableFlower": "true"}, {}),
    ],
)
def test_only_parameters_that_prevent_a_check_are_overridden(
    own: dict[str, str], overrides: dict[str, str]
) -> None:
    environment = Environment("dev", "airflow-dev", own)

    assert suites.overrides(environment) == overrides


def test_titles_are_unique() -> None:
    selected = suites.select(has_faults=True, has_scaling=True)
    titles = [check.title for suite in selected.suites for check in suite.checks]

    assert len(set(titles)) == len(titles) > 30


def test_skipped_suite_has_a_result_for_each_check() -> None:
    selected = suites.select(has_faults=False, has_scaling=True)
    passes = [Check[object]("a", lambda _: "")]
    selected = replace(
        selected,
        suites=[
            suite if suite.skipped_by else replace(suite, checks=passes)
            for suite in selected.suites
        ],
    )
    results, ends = selected.run(None, lambda _: None, 0)  # type: ignore[arg-type] # not used

    skipped = [result for result in results if result.outcome is Outcome.SKIPPED]
    assert {result.detail for result in skipped} == {"--no-faults was given."}
    assert len(skipped) == len(results) - 2 > 10
    assert list(ends) == [suites.WITHOUT_FAULTS, "scaling"]

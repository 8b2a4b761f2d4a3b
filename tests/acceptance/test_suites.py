"""The selection of checks, what it skips, and the parameters that it needs."""

from __future__ import annotations

import pytest

from acceptance import faults, scaling, suites
from acceptance.checks.dags import DAGS
from acceptance.faults.kills import HELD, KILLED_WORKER, kill_title
from acceptance.local_checks import (
    operator_settings,
    packages,
    secrets_manager,
    single_sign_on,
    team_permissions,
)
from cli.errors import UsageError
from deploy.dist import Environment

EGRESS = {"DagEgress": "5432 192.0.2.10/32"}


@pytest.mark.parametrize(
    ("own", "overrides"),
    [
        (
            {"DefaultWorkersMinimum": "0"},
            {"DefaultWorkersMinimum": "1", "EnableFlower": "true", **EGRESS},
        ),
        ({"DefaultWorkersMinimum": "2"}, {"EnableFlower": "true", **EGRESS}),
        ({"DefaultWorkersMinimum": "2", "EnableFlower": "true"}, EGRESS),
        (
            {"EnableFlower": "true", "DagEgress": "22 10.1.0.0/16"},
            {"DagEgress": "22 10.1.0.0/16, 5432 192.0.2.10/32"},
        ),
    ],
)
def test_only_parameters_that_prevent_a_check_are_overridden(
    own: dict[str, str], overrides: dict[str, str]
) -> None:
    environment = Environment("dev", "airflow-dev", own)
    selected = suites.select(has_faults=True, has_scaling=False)

    expected = {
        **overrides,
        **operator_settings.PARAMETERS,
        **team_permissions.PARAMETERS,
        **secrets_manager.PARAMETERS,
        **faults.PARAMETERS,
    }
    if selected.outside_servers:
        expected |= single_sign_on.PARAMETERS
    assert selected.overrides(environment) == expected
    assert suites.select().overrides(environment) == expected | scaling.PARAMETERS


def test_titles_are_unique_and_needs_are_earlier() -> None:
    titles: list[str] = []
    for checks in suites.select().suites.values():
        for check in checks:
            assert not check.skipped_by
            assert {*check.needs, *check.after} <= {*titles}
            titles.append(check.title)

    assert len(set(titles)) == len(titles) > 35


@pytest.mark.parametrize(
    ("has_faults", "has_scaling", "options"),
    [
        (False, True, {"", "--no-faults"}),
        (True, False, {"", "--no-scaling"}),
        (False, False, {"", "--no-faults", "--no-scaling"}),
    ],
)
def test_skipped_checks_name_their_option(
    *, has_faults: bool, has_scaling: bool, options: set[str]
) -> None:
    selected = suites.select(has_faults=has_faults, has_scaling=has_scaling)
    checks = [check for suite in selected.suites.values() for check in suite]

    assert {check.skipped_by for check in checks} == options
    assert selected.extra_environment == (faults.ENVIRONMENT if has_faults else {})
    assert (selected.dags == (DAGS, packages.DAGS)) is (
        options == {"", "--no-faults", "--no-scaling"}
    )


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("flower", {"Flower answers behind its login"}),
        ("N -> 0", {scaling.AT_REST, scaling.GROWTH, scaling.SHRINKAGE}),
        ("of the triggerer", {HELD, KILLED_WORKER, kill_title("triggerer")}),
        ("outlive their", {suites.FAN_OUT, "Logs outlive their worker"}),
    ],
)
def test_selected_check_runs_with_what_it_needs(text: str, titles: set[str]) -> None:
    selected = suites.select(only=[text])
    checks = [check for suite in selected.suites.values() for check in suite]

    assert {check.title for check in checks if not check.skipped_by} == titles
    assert {check.skipped_by for check in checks} == {"", "--only"}
    assert bool(selected.parameters) is (len(titles) > 2)
    assert bool(selected.extra_environment) is (KILLED_WORKER in titles)


def test_unknown_text_names_the_nearest_titles() -> None:
    with pytest.raises(UsageError, match='nearest titles are "Flower answers'):
        suites.select(only=["login", "flowr"])


def test_every_component_is_killed() -> None:
    # A component that joins the table must not be forgotten here.
    suite = suites.select().suites.values()
    titles = " ".join(check.title for checks in suite for check in checks)
    for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert f"kill -9 of the {component}" in titles
    assert "kill -9 of a worker" in titles

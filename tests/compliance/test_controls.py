"""Every control is held by a test, or its exception is written down with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.compliance import controls
from tests.compliance.controls import RELAXED, Relaxed
from tests.compliance.environments import Environments, Library, parameters

ALL = set(range(1, 136))


def failing(environments: Environments, numbers: set[int]) -> set[int]:
    """Return which of the controls a check sees broken."""
    broken = set()
    for _, check, held in controls.checks():
        if numbers & set(held):
            try:
                check(environments)
            except AssertionError:
                broken |= set(held)
    return broken


def test_every_control_is_tested_or_excepted() -> None:
    listed = [each.number for area in controls.AREAS for each in area.controls]
    assert listed == sorted(ALL)
    assert controls.held().keys() | controls.exceptions().keys() == ALL
    assert controls.held().keys() <= ALL


def test_controls_unknown_to_rule_packs_are_tested() -> None:
    # 110 alone has nothing to look at: decision 7 says why.
    assert controls.OURS_ALONE - controls.held().keys() == {110}


def test_exceptions_state_replacement_reason_and_owner() -> None:
    text = (controls.DOCS / controls.DECISION).read_text()
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == len(controls.exceptions())
    for number, rest in rows:
        instead, why, who = (cell.strip() for cell in rest.split(" | "))
        assert instead.endswith("."), number
        assert why.endswith("."), number
        assert who, number


@pytest.mark.parametrize("environment", RELAXED)
def test_environments_relax_only_what_is_listed(
    environment: str, library: Library
) -> None:
    listed = {number for row in RELAXED[environment] for number in row.numbers}
    assert failing(Environments(library, environment), ALL) == listed


@pytest.mark.parametrize(
    ("environment", "row"),
    [(name, row) for name, rows in RELAXED.items() for row in rows],
    ids=lambda value: "+".join(value.by) if isinstance(value, Relaxed) else value,
)
def test_listed_parameters_restore_the_controls(
    environment: str, row: Relaxed, library: Library
) -> None:
    # As in production, these parameters alone make the controls hold again.
    declared = library["parent.template.json"]["Parameters"]
    chosen = {
        name: parameters("prod").get(name, str(declared[name].get("Default")))
        for name in row.by
    }
    numbers = set(row.numbers)
    assert not failing(Environments(library, environment, **chosen), numbers) & numbers


def test_additional_controls_name_existing_tests() -> None:
    text = "".join(path.read_text() for path in controls.TESTS.rglob("test_*.py"))
    for further in controls.FURTHER:
        assert f"def {further.held_by}(" in text, further.what


def test_the_reference_is_up_to_date() -> None:
    how = "run python -m tests.compliance.controls > docs/controls.md"
    assert controls.REFERENCE.read_text() == controls.reference(), how


def test_templates_in_the_reference_exist() -> None:
    pages = {
        path.stem for path in Path(controls.TESTS.parent, "templates").rglob("*.py")
    }
    for area in controls.AREAS:
        for each in area.controls:
            if not each.page.startswith("every page"):
                assert set(each.page.split(", ")) <= pages, each.number

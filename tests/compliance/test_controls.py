"""Every control has a test, or an exception with a reason in decision 7."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.compliance import controls
from tests.compliance.controls import RELAXED, Relaxation
from tests.compliance.environments import Environments, Library, parameters

ALL = set(range(1, 136))


def failing(environments: Environments, numbers: set[int]) -> set[int]:
    """Return the controls whose tests fail."""
    numbers_that_fail = set()
    for _, check, held in controls.checks():
        if numbers & set(held):
            try:
                check(environments)
            except AssertionError:
                numbers_that_fail |= set(held)
    return numbers_that_fail


def test_every_control_is_tested_or_excepted() -> None:
    listed = [each.number for area in controls.AREAS for each in area.controls]
    assert listed == sorted(ALL)
    assert controls.held().keys() | controls.exceptions().keys() == ALL
    assert controls.held().keys() <= ALL


def test_controls_unknown_to_rule_packs_are_tested() -> None:
    # 110 alone has nothing to look at: decision 7 says why.
    assert controls.NOT_IN_RULE_PACKS - controls.held().keys() == {110}


def test_variants_make_every_resource(environments: Environments) -> None:
    # So a test of all variants has checked all templates.
    resources = {
        (id(stack.document), name)
        for environment in environments.every_root
        for stack in environment.root.walk()
        for name, resource in stack.document["Resources"].items()
        if stack.exists(resource)
    }
    missing = [
        f"{path}.{name}"
        for path, template in environments.library.items()
        for name in template["Resources"]
        if (id(template), name) not in resources
    ]
    assert not missing


def test_exceptions_state_replacement_reason_and_owner() -> None:
    text = (controls.DOCS / controls.DECISION).read_text()
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == len(controls.exceptions())
    for number, rest in rows:
        replacement, reason, owner = (cell.strip() for cell in rest.split(" | "))
        assert replacement.endswith("."), number
        assert reason.endswith("."), number
        assert owner, number


@pytest.mark.parametrize("environment", RELAXED)
def test_environments_relax_only_what_is_listed(
    environment: str, library: Library
) -> None:
    listed = {number for row in RELAXED[environment] for number in row.numbers}
    assert failing(Environments(library, environment), ALL) == listed


@pytest.mark.parametrize(
    ("environment", "row"),
    [(name, row) for name, rows in RELAXED.items() for row in rows],
    ids=lambda value: (
        "+".join(value.parameters) if isinstance(value, Relaxation) else value
    ),
)
def test_listed_parameters_restore_the_controls(
    environment: str, row: Relaxation, library: Library
) -> None:
    # As in production, these parameters alone make the controls hold again.
    declared = library["parent.template.json"]["Parameters"]
    production = {
        name: parameters("prod").get(name, str(declared[name].get("Default")))
        for name in row.parameters
    }
    numbers = set(row.numbers)
    assert (
        not failing(Environments(library, environment, **production), numbers) & numbers
    )


def test_additional_controls_name_existing_tests() -> None:
    text = "".join(path.read_text() for path in controls.TESTS.rglob("test_*.py"))
    for requirement, test in controls.ADDITIONAL.items():
        assert f"def {test}(" in text, requirement


def test_the_reference_is_up_to_date() -> None:
    command = "run python -m tests.compliance.controls > docs/controls.md"
    assert controls.REFERENCE.read_text() == controls.reference(), command


def test_templates_in_the_reference_exist() -> None:
    modules = {
        path.stem for path in Path(controls.TESTS.parent, "templates").rglob("*.py")
    }
    for area in controls.AREAS:
        for each in area.controls:
            if not each.template.startswith("every template"):
                assert set(each.template.split(", ")) <= modules, each.number

"""The test of every control fails when a mutation breaks the control.

A test that passes a mutated template checks nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compliance import controls
from tests.compliance.environments import Environments, Library
from tests.compliance.mutations import MUTATIONS, REMOVED, Mutation


def mutated(library: Library, mutation: Mutation) -> Library:
    """Return the templates with one value changed."""
    name = f"{mutation.template}.template.json"
    document = json.loads(json.dumps(library[name]))
    *steps, last = mutation.path.split("/")
    place: Any = document if steps[:1] == ["Parameters"] else document["Resources"]
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    if last == "+":
        place.append(mutation.value)
    else:
        key: Any = int(last) if isinstance(place, list) else last
        if mutation.value is REMOVED:
            del place[key]
        else:
            has_key = isinstance(place, list) or key in place
            assert not has_key or place[key] != mutation.value, (
                "the mutation changes nothing"
            )
            place[key] = mutation.value
    return {**library, name: document}


@pytest.mark.parametrize(("number", "mutation"), MUTATIONS, ids=str)
def test_mutation_is_noticed(number: int, mutation: Mutation, library: Library) -> None:
    environments = Environments(mutated(library, mutation))
    is_noticed = False
    for _, check, numbers in controls.checks():
        if number in numbers:
            try:
                check(environments)
            except (AssertionError, KeyError):
                is_noticed = True
    assert is_noticed, f"control {number} is broken, and no test fails"


def test_every_tested_control_has_a_mutation() -> None:
    assert {number for number, _ in MUTATIONS} == controls.held().keys()

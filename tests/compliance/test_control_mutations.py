"""Every check of a control is seen to fail when what it holds is broken.

A check that lets its row of ``mutations.py`` pass looks at nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compliance import controls
from tests.compliance.environments import Environments, Library
from tests.compliance.mutations import MUTATIONS, REMOVED, Mutation


def broken(library: Library, row: Mutation) -> Library:
    """Return the templates with one value broken."""
    name = f"{row.template}.template.json"
    document = json.loads(json.dumps(library[name]))
    *steps, last = row.path.split("/")
    place: Any = document if steps[:1] == ["Parameters"] else document["Resources"]
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    if last == "+":
        place.append(row.value)
    else:
        key: Any = int(last) if isinstance(place, list) else last
        if row.value is REMOVED:
            del place[key]
        else:
            has_key = isinstance(place, list) or key in place
            assert not has_key or place[key] != row.value, "nothing is broken"
            place[key] = row.value
    return {**library, name: document}


@pytest.mark.parametrize("row", MUTATIONS, ids=str)
def test_mutation_is_noticed(row: Mutation, library: Library) -> None:
    environments = Environments(broken(library, row))
    for number in row.numbers:
        noticed = False
        for _, check, held in controls.checks():
            if number in held:
                try:
                    check(environments)
                except (AssertionError, KeyError):
                    noticed = True
        assert noticed, f"control {number} is broken, and no test notices"


def test_every_tested_control_has_a_mutation() -> None:
    tried = {number for row in MUTATIONS for number in row.numbers}
    assert tried == controls.held().keys()

"""The emulator refuses, at the same resource, what the services refuse."""

from __future__ import annotations

import pytest

from cloudformation.transitions import FAILING, TRANSITIONS, Transition
from tests.cloudformation.refused_examples import EXAMPLES
from tests.local.emulator.cloud import Cloud

pytestmark = pytest.mark.slow
"""They need an emulator."""

REFUSED = [row for row in TRANSITIONS if row.moment in FAILING]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_refused_update_rolls_back(cloud: Cloud, row: Transition) -> None:
    example = EXAMPLES[row.name]
    created = cloud.create({"Resources": example.before})
    assert created.status == "CREATE_COMPLETE", cloud.failures(created.id)

    updated = cloud.update(created, {"Resources": example.after})
    assert updated.status == "UPDATE_ROLLBACK_COMPLETE"
    assert example.answer in cloud.failures(created.id)[example.at]

    permitted = cloud.update(created, {"Resources": example.permitted})
    assert permitted.status == "UPDATE_COMPLETE", cloud.failures(created.id)

"""What a rehearsal launches otherwise than the environment says."""

from __future__ import annotations

from typing import cast

import pytest

from delivery.dist import Environment
from local.rehearsal.parts import overrides
from tests.local_rehearsal_proofs.fakes import FakeStage


@pytest.mark.parametrize(
    ("own", "changed"),
    [
        (
            {"DefaultWorkersMinimum": "0"},
            {"DefaultWorkersMinimum": "1", "HasFlower": "true"},
        ),
        ({"DefaultWorkersMinimum": "2"}, {"HasFlower": "true"}),
        ({"DefaultWorkersMinimum": "2", "HasFlower": "true"}, {}),
    ],
)
def test_only_what_could_not_be_proven_is_launched_otherwise(
    own: dict[str, str], changed: dict[str, str]
) -> None:
    environment = cast(Environment, FakeStage(parameters=own))

    assert overrides(environment) == changed

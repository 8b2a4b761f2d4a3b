"""What a rehearsal launches otherwise than the environment says."""

from __future__ import annotations

from typing import cast

import pytest

from acceptance.suites import overrides
from deploy.dist import Environment
from tests.acceptance.fakes import FakeEnvironment


@pytest.mark.parametrize(
    ("own", "changed"),
    [
        (
            {"DefaultWorkersMinimum": "0"},
            {"DefaultWorkersMinimum": "1", "EnableFlower": "true"},
        ),
        ({"DefaultWorkersMinimum": "2"}, {"EnableFlower": "true"}),
        ({"DefaultWorkersMinimum": "2", "EnableFlower": "true"}, {}),
    ],
)
def test_only_what_could_not_be_proven_is_launched_otherwise(
    own: dict[str, str], changed: dict[str, str]
) -> None:
    environment = cast(Environment, FakeEnvironment(parameters=own))

    assert overrides(environment) == changed

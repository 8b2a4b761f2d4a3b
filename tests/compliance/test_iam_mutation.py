"""Every permission of the launching roles is needed, and every needed one is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli import product
from local.emulator.process import EmulatorProcess
from tests.compliance import iam_life, iam_mutation
from tests.compliance.iam_life import EnvironmentRun, LifeRecord

pytestmark = pytest.mark.slow
"""It launches, updates and destroys the product: half a minute."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvironmentRun]:
    folder = tmp_path_factory.mktemp("life")
    emulator = EmulatorProcess(product.ROOT, folder / "emulator")
    with emulator:
        yield EnvironmentRun(folder, emulator)
    emulator.erase()


@pytest.fixture(scope="module")
def record(life: EnvironmentRun) -> LifeRecord:
    return iam_life.live(life)


@pytest.mark.parametrize("role", sorted(iam_mutation.UNTESTABLE))
def test_removed_action_is_missed(record: LifeRecord, role: str) -> None:
    assert set(iam_mutation.survivors(record, role)) == set(
        iam_mutation.UNTESTABLE[role]
    )


def test_life_was_refused_nothing(record: LifeRecord) -> None:
    assert all(decision.is_allowed for decision in record.decisions)
    roles = {decision.role for decision in record.decisions}
    assert roles == {*iam_mutation.UNTESTABLE}


def test_roles_of_the_stack_keep_their_rights_under_the_boundary(
    record: LifeRecord,
) -> None:
    boundary = record.permissions("boundary")
    assert len(record.granted) > 100
    assert not [str(call) for call in record.granted if not boundary.allows(call)]


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("action", iam_mutation.SAMPLE)
def test_launch_fails_without_an_action(life: EnvironmentRun, action: str) -> None:
    iam_life.fails_without(life, action)

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ecs import EcsAgent
from tests.local.ecs.fakes import FakeEmulator, settings


@pytest.fixture
def emulator() -> FakeEmulator:
    return FakeEmulator()


@pytest.fixture
def agent(emulator: FakeEmulator, tmp_path: Path) -> Iterator[EcsAgent]:
    agent = EcsAgent(settings(tmp_path), emulator=emulator)
    agent.start()
    yield agent
    agent.stop(0.3)
    assert agent.problems == []

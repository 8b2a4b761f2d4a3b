"""Emulators for tests: one per test process, and fresh ones on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cli import product
from local.emulator import control_client
from local.emulator.process import EmulatorProcess
from tests.local.emulator.cloud import Cloud

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_emulator(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EmulatorProcess]:
    """Start an emulator; leave no process behind."""
    emulator = EmulatorProcess(ROOT, tmp_path_factory.mktemp("emulator"))
    with emulator:
        yield emulator
    emulator.erase()


@pytest.fixture
def cloud(shared_emulator: EmulatorProcess) -> Iterator[Cloud]:
    """Give the shared emulator, with nothing planted before or after."""
    yield Cloud(shared_emulator)
    control_client.inject_faults(shared_emulator.endpoint_url)


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[EmulatorProcess]:
    """Give an emulator that a test may kill; it is not started yet."""
    emulator = EmulatorProcess(ROOT, tmp_path / "emulator")
    yield emulator
    emulator.erase()


@pytest.fixture(scope="session")
def compiled() -> Mapping[str, str]:
    """Every template, by file name, a nested one before those that nest it."""
    return {template.path: template.text() for template in product.compile_templates()}

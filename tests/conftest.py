"""The order and number of parallel tests; checkouts of the fixture project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.checkout import Checkout


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers per processor: slow tests wait for half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that no worker ends with one alone."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Return a new checkout."""
    return Checkout(tmp_path)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a checkout once, for the tests that start from a built one."""
    checkout = Checkout(tmp_path_factory.mktemp("built"))
    done = checkout.run("templates", PYTHONHASHSEED="0")
    assert done.returncode == 0, done.stderr
    return checkout.root


@pytest.fixture
def built(checkout: Checkout, built_once: Path) -> Checkout:
    """Return a checkout whose dist/ is up to date."""
    shutil.copytree(built_once / "dist", checkout.dist)
    return checkout

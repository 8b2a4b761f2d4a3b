"""The order and number of parallel tests; checkouts of the fixture project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.checkout import Checkout

PARTS = 4
"""Of the tests, each of which has as many slow ones."""


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers per processor: slow tests wait for half of their time."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the modules with slow tests out in front of equal parts of the others.

    Each parallel worker begins with one part (``--dist worksteal``), so that none has
    all the slow tests, and a module's fixtures are made once.
    """
    slow: dict[Path, list[pytest.Item]] = {}
    fast: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("slow"):
            slow.setdefault(item.path, []).append(item)
        else:
            fast.append(item)
    parts: list[list[pytest.Item]] = [[] for _ in range(PARTS)]
    for module in sorted(slow.values(), key=len, reverse=True):
        min(parts, key=len).extend(module)
    size = -(-len(fast) // PARTS)
    for number, part in enumerate(parts):
        part.extend(fast[number * size : (number + 1) * size])
    items[:] = [item for part in parts for item in part]


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

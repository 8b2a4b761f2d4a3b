"""Fixtures of several test folders: checkouts of the fixture project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checkout import Checkout


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

"""What tests of several folders start from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Give a toy checkout of its own."""
    return Checkout(tmp_path)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the toy checkout once, for the tests that start from a built one."""
    toy = Checkout(tmp_path_factory.mktemp("built"))
    done = toy.run("templates")
    assert done.returncode == 0, done.stderr
    return toy.root


@pytest.fixture
def built(checkout: Checkout, built_once: Path) -> Checkout:
    """Give a toy checkout whose dist/ is up to date."""
    shutil.copytree(built_once / "dist", checkout.dist)
    return checkout

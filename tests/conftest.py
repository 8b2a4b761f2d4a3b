"""The order and number of parallel tests; checkouts of the fixture project."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path

import botocore.session
import pytest
from hypothesis import HealthCheck, settings

from tests.checkout import Checkout

settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")  # a busy machine is no fault of a strategy

botocore.session.create_loader = functools.cache(botocore.session.create_loader)
"""Each session of boto3 would read the data of endpoints and services again."""

LONGEST = ("test_worker.py", "test_process.py", "test_airflow_worker.py")
"""Modules that wait for real workers and autoscalers for minutes."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return three workers per processor: slow tests wait for most of their time.

    On two processors six workers took 223 s, and four 248 s. Fast tests wait less, and
    each further worker collects all of them again: for them it is half as many.
    """
    workers = 3 * (os.cpu_count() or 1)
    return workers // 2 if config.option.markexpr == "not slow" else workers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest modules first, then those with slow tests, each in its order.

    A parallel worker takes whole modules (``--dist loadfile``): a fixture is made once,
    and no test depends on what another worker has run.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.path not in slow))


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

"""Secrets are found in the environment and the arguments of a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from acceptance.containers import process_environ
from acceptance.local_checks.secret_matrix import _leaks

OWN, FOREIGN = "of-this-process", "of-another-process"
WAIT = "input()"


@pytest.fixture(scope="module")
def process() -> Iterator[int]:
    """Run a process that holds both secrets, one of them inside a URL."""
    with subprocess.Popen(  # noqa: S603 - our own text
        [sys.executable, "-S", "-c", WAIT],
        env={"OWN": OWN, "URL": f"db://u:{FOREIGN}@host"},
        stdin=subprocess.PIPE,
    ) as running:
        yield running.pid
        running.kill()


def test_environ_is_what_the_process_was_started_with(process: int) -> None:
    assert process_environ(process)["OWN"] == OWN


def test_foreign_secret_is_found_inside_a_value(process: int) -> None:
    assert _leaks(process, {FOREIGN: "Flower"}, [OWN, FOREIGN]) == ["URL holds Flower"]


def test_secret_among_the_arguments_is_found(process: int) -> None:
    assert _leaks(process, {}, [WAIT]) == ["a secret among its arguments"]


def test_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        ended.wait()

    assert _leaks(ended.pid, {FOREIGN: "Flower"}, [FOREIGN]) == []

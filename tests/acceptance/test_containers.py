"""What is seen of a running process from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from acceptance import containers
from acceptance.checks.secret_matrix import _strays
from local.processes import descendants
from tests.acceptance.fakes import environment

SECRET, OTHER = "kept-by-this-one", "kept-by-another"
WAIT = "input()"


@pytest.fixture
def process() -> Iterator[int]:
    """Run something that holds both secrets, one of them inside a URL."""
    with subprocess.Popen(  # noqa: S603 - our own text
        [sys.executable, "-c", WAIT],
        env={"OWN": SECRET, "URL": f"db://u:{OTHER}@host"},
        stdin=subprocess.PIPE,
    ) as running:
        yield running.pid
        running.kill()


def test_the_environment_of_a_process_is_what_it_was_started_with(
    process: int,
) -> None:
    assert containers.process_environ(process)["OWN"] == SECRET


def test_somebody_elses_secret_is_found_wherever_it_hides(process: int) -> None:
    strays = _strays(process, {OTHER: "Flower"}, [SECRET, OTHER])

    assert strays == ["URL holds Flower"]


def test_a_secret_among_the_arguments_is_found(process: int) -> None:
    assert _strays(process, {}, [WAIT]) == ["a secret among its arguments"]


def test_a_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()

    assert _strays(gone.pid, {OTHER: "Flower"}, [OTHER]) == []


def test_descendants_of_a_process() -> None:
    text = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(  # noqa: S603 - as above
        [sys.executable, "-c", text], stdin=subprocess.PIPE
    ) as parent:
        try:
            while not (found := descendants(parent.pid)):
                assert parent.poll() is None
        finally:
            parent.stdin and parent.stdin.close()

    assert parent.pid not in found
    assert os.getpid() not in found


def test_a_remedy_names_the_logs_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "worker-12345678.log"
    log.touch()
    agent = SimpleNamespace(settings=SimpleNamespace(folder=tmp_path))

    assert containers.logs(environment(agent=agent), "worker") == f"Read {log}."
    assert containers.logs(environment(agent=agent), "flower") == f"Read {log.parent}."

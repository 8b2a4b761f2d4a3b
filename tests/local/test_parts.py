"""Parts of a local environment: waits, signals, connections, the image and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import airflow_image, interrupts, memory, stores
from local.errors import EnvironmentStopped, LocalEnvironmentError
from local.processes import descendants
from local.waiting import Waiting, in_thread
from templates.checks import aurora

ROOT = Path(__file__).parents[2]


def test_wait_is_bounded_and_names_what_it_waited_for() -> None:
    with pytest.raises(LocalEnvironmentError) as caught:
        Waiting().until(lambda: None, -1, "the moon", lambda: "It is behind a cloud.")
    assert "Waited -1 s for the moon." in str(caught.value)
    assert caught.value.problems[0].why == "It is behind a cloud."
    assert caught.value.problems[0].remedy


def test_wait_ends_when_the_environment_stops() -> None:
    waiting = Waiting()

    def look() -> None:
        waiting.end()

    with pytest.raises(EnvironmentStopped):
        waiting.until(look, 60, "the moon")


def test_error_in_a_thread_is_raised_by_its_result() -> None:
    def work() -> int:
        raise LocalEnvironmentError("No room.")

    with pytest.raises(LocalEnvironmentError, match="No room"):
        in_thread(work, "work").result(timeout=5)


def test_signals_do_not_interrupt_a_stop() -> None:
    before = {number: signal.getsignal(number) for number in interrupts.ENDS}
    interrupts.raise_on_all()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with interrupts.none():
            for number in interrupts.ENDS:
                signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("low", "high"), [("0.5", "2"), ("1", "4"), ("2", "16"), ("8", "64"), ("0", "256")]
)
def test_database_admits_as_many_connections_as_aurora(low: str, high: str) -> None:
    parameters = {"DatabaseMinCapacity": low, "DatabaseMaxCapacity": high}
    assert stores.max_connections(parameters) == aurora.max_connections(
        float(low), float(high)
    )


@pytest.mark.parametrize(
    "image",
    [
        "apache/airflow:3.4.0",
        "apache/airflow:2.10.5-python3.12",
        "ghcr.io/apache/airflow:3.3.1",
    ],
)
def test_image_of_another_airflow_is_refused(image: str) -> None:
    with pytest.raises(LocalEnvironmentError, match=r"runs Airflow 3\.3\.2"):
        airflow_image.check(image, "3.3.2")


@pytest.mark.parametrize(
    "image", ["apache/airflow:3.3.2-python3.12", "123.dkr.ecr/our-airflow:7"]
)
def test_image_that_may_hold_the_same_airflow_is_a_deviation(
    image: str,
) -> None:
    airflow_image.check(image, "3.3.2")
    assert image in airflow_image.deviation(image, "3.3.2")


def test_airflow_version_is_the_pinned_one() -> None:
    assert (
        f"apache-airflow-core=={airflow_image.airflow_version(ROOT)}"
        in (ROOT / "requirements" / "image.in").read_text()
    )


MEBIBYTES = 64
CHILD = f"""held = bytearray({MEBIBYTES} * 1024 * 1024)
print(1, flush=True); input()"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_memory_includes_descendants() -> None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-S", "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            total = memory.mebibytes([process.pid])
            children = list(descendants(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert len(children) == 1
    assert process.pid not in children
    assert MEBIBYTES < total < MEBIBYTES + 60
    assert memory.mebibytes([process.pid]) == 0

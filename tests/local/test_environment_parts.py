"""What an environment is made of, each alone and without Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local import airflow_image, interrupts, memory, stores
from local.errors import EnvironmentStopped, LocalEnvironmentError
from local.waiting import Waiting, begun
from templates.checks import aurora

ROOT = Path(__file__).parents[2]


def test_a_wait_has_a_bound_and_says_what_it_waited_for() -> None:
    with pytest.raises(LocalEnvironmentError) as caught:
        Waiting().until(lambda: None, 0.2, "the moon", lambda: "It is behind a cloud.")
    assert "Waited 0 s for the moon." in str(caught.value)
    assert caught.value.problems[0].why == "It is behind a cloud."
    assert caught.value.problems[0].remedy


def test_whoever_waits_gives_up_when_the_stage_stops() -> None:
    waiting = Waiting()
    threading.Timer(0.1, waiting.end).start()
    started = time.monotonic()
    with pytest.raises(EnvironmentStopped):
        waiting.until(lambda: None, 60, "the moon")
    assert time.monotonic() - started < 5


def test_what_fails_in_a_thread_is_raised_where_its_result_is_asked_for() -> None:
    def work() -> int:
        raise LocalEnvironmentError("No room.")

    with pytest.raises(LocalEnvironmentError, match="No room"):
        begun(work, "work").result(timeout=5)


def test_nothing_interrupts_the_ending() -> None:
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
def test_the_database_admits_what_aurora_would(low: str, high: str) -> None:
    found = stores.max_connections(
        {"DatabaseMinCapacity": low, "DatabaseMaxCapacity": high}
    )
    assert found == aurora.max_connections(float(low), float(high))


@pytest.mark.parametrize(
    "image",
    [
        "apache/airflow:3.4.0",
        "apache/airflow:2.10.5-python3.12",
        "ghcr.io/apache/airflow:3.3.1",
    ],
)
def test_an_image_of_another_airflow_is_refused(image: str) -> None:
    with pytest.raises(LocalEnvironmentError, match=r"runs Airflow 3\.3\.2"):
        airflow_image.check(image, "3.3.2")


@pytest.mark.parametrize(
    "image", ["apache/airflow:3.3.2-python3.12", "123.dkr.ecr/our-airflow:7"]
)
def test_an_image_that_may_hold_the_same_airflow_is_named_as_a_deviation(
    image: str,
) -> None:
    airflow_image.check(image, "3.3.2")
    assert image in airflow_image.deviation(image, "3.3.2")


def test_the_version_of_airflow_is_the_pinned_one() -> None:
    assert (
        f"apache-airflow-core=={airflow_image.airflow_version(ROOT)}"
        in (ROOT / "requirements" / "airflow.in").read_text()
    )


def test_memory_is_that_of_a_process_and_of_all_below_it() -> None:
    held = 64
    fills = f"import time; held = bytearray({held} * 1024 * 1024)\n"
    fills += "print(1, flush=True); time.sleep(60)"
    above = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {fills!r}])"
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", above], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            found = memory.mebibytes([process.pid])
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert held < found < held + 60
    assert memory.mebibytes([process.pid]) == 0

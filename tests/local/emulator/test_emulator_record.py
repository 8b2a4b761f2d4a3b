"""The record, lock and state of an emulator that does not run."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from local import processes
from local.emulator import process
from local.emulator.process import MODULE, EmulatorProcess
from local.errors import EmulatorError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def emulator(tmp_path: Path) -> EmulatorProcess:
    return EmulatorProcess(ROOT, tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose command line names the emulator, in another folder."""
    (tmp_path / "elsewhere").mkdir()
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", "input()", MODULE],
        cwd=tmp_path / "elsewhere",
        stdin=subprocess.PIPE,
    ) as running:
        yield running
        assert running.poll() is None
        running.kill()


def record(emulator: EmulatorProcess, **members: object) -> None:
    document = {"pid": 1, "started": "0", "port": 1, **members}
    (emulator.folder / "process.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "members",
    [
        *({"pid": pid} for pid in ("1", None, 0, -1, 10**30, 1.5, True, [1])),
        *({"port": port} for port in ("1", None, 0, 70_000)),
        *({"started": started} for started in (None, 1)),
        {"more": 1},
    ],
    ids=str,
)
def test_damaged_record_names_no_process(
    members: dict[str, object], emulator: EmulatorProcess
) -> None:
    record(emulator, **members)
    assert emulator.running() is None
    assert not emulator.stop()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_record_that_is_no_record_names_no_process(
    text: str, emulator: EmulatorProcess
) -> None:
    (emulator.folder / "process.json").write_text(text)
    assert emulator.running() is None


def test_process_that_works_in_another_folder_is_not_ended(
    emulator: EmulatorProcess, other: subprocess.Popen[bytes]
) -> None:
    """A copied checkout has the record of the original's emulator."""
    record(emulator, pid=other.pid, started=processes.started(other.pid))
    assert not emulator.stop()
    assert other.poll() is None


def test_lock_that_another_process_holds_is_reported(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS_TO_LOCK", 0.05)
    with (emulator.folder / "lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EmulatorError, match=r"process 4711.*fg"):
            emulator.stop()


def test_full_disk_is_reported_before_the_start(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
    with pytest.raises(EmulatorError, match="is full"):
        emulator.start()


def test_damaged_state_is_set_aside(tmp_path: Path) -> None:
    said: list[str] = []
    emulator = EmulatorProcess(ROOT, tmp_path, tell=said.append)
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "s3.json").write_text("{")
    emulator._set_damaged_state_aside()
    assert "s3.json of the saved state is damaged" in said[0]
    assert (tmp_path / "services.damaged" / "s3.json").read_text() == "{"

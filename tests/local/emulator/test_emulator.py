"""The emulator as a process: start, identification, stop and crash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import processes
from local.emulator import venv
from local.emulator.process import HOST, EmulatorProcess
from local.errors import EmulatorError
from tests.local.emulator.cloud import Cloud

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
TOPIC = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}

ELSEWHERE = """
import sys
from pathlib import Path
from local.emulator.process import EmulatorProcess
print(EmulatorProcess(Path(sys.argv[1]), Path(sys.argv[2])).start().pid)
"""


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Start the emulator of a folder from another process."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ELSEWHERE, str(ROOT), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(emulator: EmulatorProcess) -> None:
    record = emulator.running()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    while processes.is_alive(record.pid, record.started):
        time.sleep(0.01)


def test_emulator_listens_on_the_loopback_alone(own_emulator: EmulatorProcess) -> None:
    """MiniStack's default is every interface, without authentication."""
    running = own_emulator.start()
    table = Path("/proc/net/tcp")
    if table.exists():
        listening = "0A"
        addresses = {
            fields[1].split(":")[0]
            for fields in map(str.split, table.read_text().splitlines()[1:])
            if int(fields[1].split(":")[1], 16) == running.port
            and fields[3] == listening
        }
        assert addresses == {"0100007F"}
    others = {
        info[4][0]
        for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    } - {HOST}
    for address in others:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((str(address), running.port), timeout=1)


def test_second_start_finds_the_running_process(own_emulator: EmulatorProcess) -> None:
    first = own_emulator.start()
    assert EmulatorProcess(ROOT, own_emulator.folder).start() == first


def test_other_processes_find_the_running_process(
    own_emulator: EmulatorProcess,
) -> None:
    with start_elsewhere(own_emulator.folder) as starter:
        pid, _ = starter.communicate()
    running = own_emulator.running()
    assert running is not None
    assert running.pid == int(pid)
    cloud = Cloud(own_emulator)
    assert cloud.create(TOPIC).status == "CREATE_COMPLETE"


def test_concurrent_starts_start_one_process(own_emulator: EmulatorProcess) -> None:
    starters = [start_elsewhere(own_emulator.folder) for _ in range(2)]
    pids = {starter.communicate()[0] for starter in starters}
    assert len(pids) == 1


def test_emulators_run_side_by_side(
    own_emulator: EmulatorProcess, tmp_path: Path
) -> None:
    with EmulatorProcess(ROOT, tmp_path / "other") as other:
        own_emulator.start()
        assert other.endpoint_url != own_emulator.endpoint_url
        Cloud(other).create(TOPIC, name="only-there")
        stacks = Cloud(own_emulator).cloudformation.describe_stacks()["Stacks"]
        assert stacks == []


def test_state_survives_a_stop(own_emulator: EmulatorProcess) -> None:
    own_emulator.start()
    stack = Cloud(own_emulator).create(TOPIC)
    own_emulator.stop()
    assert own_emulator.running() is None

    own_emulator.start()

    assert not own_emulator.was_lost
    cloud = Cloud(own_emulator)
    assert cloud.settled(stack.id).status == "CREATE_COMPLETE"
    assert cloud.delete(stack).status == "DELETE_COMPLETE"


def test_state_of_a_killed_process_is_reported_as_lost(
    own_emulator: EmulatorProcess,
) -> None:
    """State saved before would be out of date."""
    own_emulator.start()
    Cloud(own_emulator).create(TOPIC, name="before")
    own_emulator.stop()
    own_emulator.start()
    kill(own_emulator)

    again = EmulatorProcess(ROOT, own_emulator.folder)
    again.start()

    assert again.was_lost
    assert Cloud(again).cloudformation.describe_stacks()["Stacks"] == []


def test_death_is_a_clear_error(own_emulator: EmulatorProcess) -> None:
    own_emulator.start()
    kill(own_emulator)
    with pytest.raises(EmulatorError, match="The emulator died; its log ends") as died:
        own_emulator.resource_kinds()
    assert "Run the command again" in died.value.problems[0].remedy


def test_emulator_that_never_ran_is_another_error(
    own_emulator: EmulatorProcess,
) -> None:
    with pytest.raises(EmulatorError, match="does not run"):
        _ = own_emulator.endpoint_url


@pytest.mark.parametrize("has_same_start", [False, True])
def test_another_process_with_the_recorded_id_is_not_ended(
    own_emulator: EmulatorProcess, *, has_same_start: bool
) -> None:
    """IDs are reused, and start times count from the boot of the machine."""
    own_emulator.start()
    kill(own_emulator)
    record = own_emulator.folder / "process.json"
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
    ) as other:
        changed = {**json.loads(record.read_text()), "pid": other.pid}
        if has_same_start:
            changed["started"] = processes.started(other.pid)
        record.write_text(json.dumps(changed))
        assert own_emulator.running() is None
        assert own_emulator.stop() is False
        assert other.poll() is None
        other.communicate(b"\n")


def test_broken_record_is_ignored(own_emulator: EmulatorProcess) -> None:
    own_emulator.folder.mkdir(parents=True)
    (own_emulator.folder / "process.json").write_text("{")
    assert own_emulator.running() is None
    assert own_emulator.start().pid


def test_process_that_ignores_sigterm_is_killed(own_emulator: EmulatorProcess) -> None:
    running = own_emulator.start()
    os.kill(running.pid, signal.SIGSTOP)
    processes.end(running.pid, running.started, grace=0.2)
    assert not processes.is_alive(running.pid, running.started)


def test_failed_start_shows_the_log(
    own_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(venv, "schemas", lambda: tmp_path / "nowhere")
    with pytest.raises(
        EmulatorError, match=r"did not start; its log ends:(.|\n)*nowhere"
    ):
        own_emulator.start()
    assert own_emulator.running() is None


def test_callers_credentials_are_not_inherited(
    own_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    running = own_emulator.start()
    environ = Path(f"/proc/{running.pid}/environ")
    if environ.exists():
        assert b"of-the-caller" not in environ.read_bytes()


def test_failed_installation_shows_the_output(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("install.py", "uv.txt"):
        shutil.copy(ROOT / "requirements" / name, tmp_path / "requirements")
    (tmp_path / ".venv-uv").symlink_to(ROOT / ".venv-uv")
    (tmp_path / "requirements/emulator.txt").write_text("ministack==1.5.33\n")
    output: list[str] = []
    with pytest.raises(EmulatorError, match="could not be installed") as failure:
        venv.python(tmp_path, output.append)
    assert "hash" in failure.value.problems[0].what.lower()
    assert any("Installing 1 pinned" in line for line in output)


def test_installed_packages_are_not_installed_again() -> None:
    venv.python(ROOT, print)
    output: list[str] = []
    venv.python(ROOT, output.append)
    assert output == []

"""Tasks beyond the limit, and what killed supervisors leave; with real processes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from fargate_runtime import contract
from fargate_runtime.worker import processes
from fargate_runtime.worker.log_handover import LogHandover, upload
from fargate_runtime.worker.processes import Process
from fargate_runtime.worker.task_limits import TERMINATION_SECONDS, TaskLimits
from fargate_runtime.worker.task_records import RecordFolder, TaskRecord

LONGEST = 20
LIMIT = LONGEST * 60.0
END = LIMIT + contract.LONG_TASK_GRACE_MINUTES * 60.0
NAME = "etl.load of manual__1, try 1"
LOG = "dag_id=etl/run_id=manual__1/task_id=load/attempt=1.log"

LISTENING = "sleep 60 & wait; sleep 60"
HANGING = "trap '' TERM; sleep 60 & wait; sleep 60"
"""Supervisors of a task; a shell leaves a signal ignored in what it starts."""


@dataclass
class Setting:
    """One worker with a supervisor, its task and the task's log."""

    folder: Path
    supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.records = RecordFolder(self.folder / "records")
        self.collected, self.bucket = self.folder / "collected", self.folder / "bucket"
        for name in ("records", "collected", "bucket"):
            (self.folder / name).mkdir()
        self.upload = ["true"]
        self.log = self.folder / "logs" / LOG
        self.log.parent.mkdir(parents=True)
        self.log.write_text('{"event": "first"}\n')
        self.limits = TaskLimits(
            self.records,
            longest_minutes=LONGEST,
            log_folder=lambda: self.folder / "logs",
            handover=LogHandover(
                self.collected, logging.getLogger(), lambda _: self.upload
            ),
            log=logging.getLogger(),
        )

    def start(self, script: str) -> tuple[Process, Process]:
        """Start a supervisor and its task at time 0; return both."""
        supervisor = subprocess.Popen(["/bin/sh", "-c", script])  # noqa: S603
        self.supervisors.append(supervisor)
        own = processes.find(supervisor.pid)
        assert own
        record = TaskRecord(name=NAME, log_path=LOG, began=0.0, supervisor=own)
        path = self.folder / "records" / str(own.pid)
        path.write_text(json.dumps(asdict(record)))
        children = processes.children
        until(lambda: children(own.pid), "the task")
        return own, children(own.pid)[0]

    def events(self, path: Path) -> list[str]:
        return [json.loads(line)["event"] for line in path.read_text().splitlines()]

    def close(self) -> None:
        for supervisor in self.supervisors:
            process = processes.find(supervisor.pid)
            processes.send(processes.family([process] if process else []), 9)
            supervisor.wait()


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.close()


def until(is_so: object, what: str) -> None:
    assert callable(is_so)
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.005)


def test_overdue_tasks_are_announced_and_run_on(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    _, task = setting.start(LISTENING)
    setting.limits.look(LIMIT)
    assert (setting.limits.overdue, caplog.messages) == (0, [])
    setting.limits.look(LIMIT + 1)
    setting.limits.look(END)
    assert setting.limits.overdue == 1
    (message,) = caplog.messages
    assert message == (
        f"Task {NAME} has run for 20 minutes; LongestTaskMinutes is 20. It is ended "
        "after 5 more minutes. Raise LongestTaskMinutes if the task needs longer; "
        "otherwise give it an execution_timeout and look where it hangs."
    )
    assert processes.is_running(task)
    assert setting.events(setting.log) == ["first"]


def test_overdue_tasks_are_terminated_after_the_grace(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    _, task = setting.start(LISTENING)
    setting.limits.look(LIMIT)
    setting.limits.look(END + 1)
    until(lambda: not processes.is_running(task), "the task to end")
    event = setting.events(setting.log)[-1]
    assert event == caplog.messages[-1]
    assert event.startswith(f"Ending the task: {NAME} has run for 25 minutes; ")
    assert "Raise LongestTaskMinutes" in event


def test_tasks_that_ignore_sigterm_are_killed_with_their_supervisor(
    setting: Setting,
) -> None:
    supervisor, task = setting.start(HANGING)
    setting.limits.look(END + 1)
    setting.limits.look(END + TERMINATION_SECONDS)
    assert processes.is_running(task)
    assert processes.is_running(supervisor)
    setting.limits.look(END + 1 + TERMINATION_SECONDS)
    until(lambda: not processes.is_running(task), "the task to end")
    assert not processes.family([task])
    setting.supervisors[0].wait(10)
    setting.limits.look(END + 2 + TERMINATION_SECONDS)
    assert setting.limits.overdue == 0
    assert [*setting.records.read()] == []
    (taken,) = setting.collected.rglob("*.log")
    assert taken.as_posix().endswith(LOG)
    *_, killed = setting.events(taken)
    assert killed.startswith(f"Killed the task {NAME} with its supervisor: ")
    assert not setting.log.exists()


def test_processes_and_logs_of_killed_supervisors_are_cleared_up(
    setting: Setting,
) -> None:
    supervisor, task = setting.start(HANGING)
    setting.limits.look(1)
    setting.supervisors[0].kill()
    setting.supervisors[0].wait(10)
    setting.limits.look(2)
    until(lambda: not processes.family([task]), "the task to end")
    (taken,) = setting.collected.rglob("*.log")
    assert setting.events(taken)[-1].startswith(
        f"The supervisor of {NAME}, process {supervisor.pid}, was killed; "
    )
    assert [*setting.records.read()] == []


def test_a_worker_that_ends_uploads_the_last_logs(setting: Setting) -> None:
    setting.start(LISTENING)
    setting.supervisors[0].kill()
    setting.supervisors[0].wait(10)
    move = f"mv {setting.collected}/*/* {setting.bucket}; rmdir {setting.collected}/*"
    setting.upload = ["/bin/sh", "-c", move]
    setting.limits.close(1)
    assert "was killed" in (setting.bucket / LOG).read_text()
    assert [*setting.collected.iterdir()] == []


def test_workers_without_a_limit_end_no_task(setting: Setting) -> None:
    _, task = setting.start(LISTENING)
    unlimited = TaskLimits(
        setting.records,
        longest_minutes=None,
        log_folder=Path,
        handover=LogHandover(setting.collected, logging.getLogger()),
        log=logging.getLogger(),
    )
    unlimited.look(1e9)
    assert unlimited.overdue == 0
    assert processes.is_running(task)


def test_tasks_end_under_protection() -> None:
    grace = contract.LONG_TASK_GRACE_MINUTES + TERMINATION_SECONDS / 60
    # Half of the margin is lost to a renewal.
    assert grace < contract.PROTECTION_MARGIN_MINUTES


def test_records_name_the_task_and_hold_no_token(tmp_path: Path) -> None:
    instance = {
        "dag_id": "etl",
        "task_id": "load",
        "run_id": "manual__1",
        "try_number": 2,
        "map_index": 3,
    }
    workload = {
        "type": "ExecuteTask",
        "token": "secret",
        "ti": instance,
        "log_path": LOG,
    }
    records = RecordFolder(tmp_path)
    records.begin("execute_workload", (json.dumps(workload),), began=5.0)
    (record,) = records.read()
    assert record.name == "etl.load[3] of manual__1, try 2"
    assert (record.log_path, record.began) == (LOG, 5.0)
    assert record.supervisor == processes.find(os.getpid())
    assert "secret" not in (tmp_path / str(os.getpid())).read_text()
    records.end()
    assert [*records.read()] == []


@pytest.mark.parametrize("arguments", [(), ("no JSON",), ({},), ("[]",), ("{}",)])
def test_other_tasks_are_recorded_by_name(
    tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    records = RecordFolder(tmp_path)
    records.begin("tidy", arguments, began=0.0)
    assert [(record.name, record.log_path) for record in records.read()] == [
        ("tidy", "")
    ]


class Bucket:
    """Airflow's remote log handler: uploads a file, and deletes its folder."""

    def __init__(self, broken: str = "") -> None:
        self.base_log_folder, self.delete_local_copy = Path(), False
        self.broken = broken
        self.objects: dict[str, str] = {}

    def upload(self, path: str) -> None:
        if path != self.broken and self.delete_local_copy:
            local = self.base_log_folder / path
            self.objects[path] = self.objects.get(path, "") + local.read_text()
            local.unlink()


def test_logs_are_uploaded_under_airflows_key(tmp_path: Path) -> None:
    handover = LogHandover(tmp_path / "out", logging.getLogger())
    (tmp_path / "out").mkdir()
    for name in ("a/attempt=1.log", "b/attempt=1.log"):
        source = tmp_path / "logs" / name
        source.parent.mkdir(parents=True)
        source.write_text(f"{name}\n")
        handover.take(source, name)
    handover.take(tmp_path / "logs" / "gone.log", "gone.log")
    bucket = Bucket(broken="b/attempt=1.log")
    assert not upload(tmp_path / "out", bucket)
    assert bucket.objects == {"a/attempt=1.log": "a/attempt=1.log\n"}
    bucket.broken = ""
    assert upload(tmp_path / "out", bucket)
    assert bucket.objects["b/attempt=1.log"] == "b/attempt=1.log\n"


def test_failed_uploads_are_repeated_and_the_last_one_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, source = tmp_path / "out", tmp_path / "attempt=1.log"
    folder.mkdir()
    commands = iter([["false"], ["rm", "-r"]])
    handover = LogHandover(
        folder,
        logging.getLogger(),
        lambda _: [*next(commands), *map(str, folder.iterdir())],
    )
    source.touch()
    handover.take(source, source.name)
    handover.look(0)
    handover.finish()
    assert [*folder.iterdir()] == []
    assert caplog.messages[-1] == (
        "Cannot upload task logs (exit code 1); retrying in 60 s."
    )

"""Which processes belong to a task."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from fargate_runtime.worker import processes
from fargate_runtime.worker.processes import Process


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with a child in its group and one in a session of its own."""
    script = "sleep 61 & setsid sleep 62 & wait"
    shell = subprocess.Popen(["/bin/sh", "-c", script], process_group=0)  # noqa: S603
    end = time.monotonic() + 10
    while len(groups(members := members_of(shell.pid))) != 2 or len(members) != 3:
        assert time.monotonic() < end, members
        time.sleep(0.005)
    yield shell
    processes.send(members, 9)
    shell.wait()


def groups(members: list[Process]) -> set[int]:
    return {os.getpgid(member.pid) for member in members}


def members_of(pid: int) -> list[Process]:
    process = processes.find(pid)
    return processes.family([process]) if process else []


def test_families_include_children_in_other_sessions(
    leader: subprocess.Popen[bytes],
) -> None:
    first, *children = members_of(leader.pid)
    assert first.pid == leader.pid
    assert set(children) == set(processes.children(leader.pid))


def test_the_group_of_a_leader_that_has_ended_is_its_family(
    leader: subprocess.Popen[bytes],
) -> None:
    first, *_ = members_of(leader.pid)
    leader.kill()
    leader.wait()
    (member,) = processes.family([first])
    assert processes.is_running(member)


def test_later_processes_of_the_same_id_are_no_family() -> None:
    own = processes.find(os.getpid())
    assert own
    earlier = own._replace(started=own.started - 1)
    assert processes.family([earlier]) == []
    assert not processes.is_running(earlier)

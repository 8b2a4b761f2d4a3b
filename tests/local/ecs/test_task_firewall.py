"""Control groups of tasks: what is counted, and machines that allow none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.ecs import task_firewall
from local.ecs.security_groups import SecurityGroupRule, SecurityGroups
from local.ecs.task_firewall import Endpoint, TaskFirewall

GROUPS = SecurityGroups(
    rules=frozenset(),
    descriptions={},
    networks={"sg": IPv4Network("10.0.0.0/16")},
    stores={},
    load_balancer=frozenset(),
    endpoints=frozenset(),
)
ELSEWHERE = ("127.77.1.1", 9)


def firewall() -> TaskFirewall:
    return TaskFirewall(lambda: GROUPS, lambda _groups: ())


def task(name: str) -> Any:
    return SimpleNamespace(
        id=name,
        security_groups=("sg",),
        sandbox=SimpleNamespace(address="127.77.0.9"),
        is_over=False,
    )


class FakeFilter:
    """Counts a refused connection for each task."""

    def __init__(self, folder: Path, _own_address: str) -> None:
        self.folder = folder
        self.permitted: frozenset[tuple[str, int]] = frozenset()

    def set_permitted(
        self, permitted: Collection[tuple[str, int]], *_others: object
    ) -> None:
        """Keep the destinations."""
        self.permitted = frozenset(permitted)

    def used(self) -> dict[tuple[str, int], int]:
        """Return nothing."""
        return {}

    def refused(self) -> dict[tuple[str, int], int]:
        """Return one connection."""
        return {ELSEWHERE: 1}

    def close(self) -> None:
        """Keep the counts."""

    def remove(self) -> bool:
        """Remove nothing."""
        return True


def test_machine_without_rights_runs_tasks_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "no-folder"
    mounted.touch()
    monkeypatch.setattr(task_firewall, "cgroup2", lambda: mounted)
    unguarded = firewall()
    assert unguarded.admit(task("a")) is None
    assert "not enforced" in unguarded.deviation
    unguarded.close()


def test_refusals_of_all_tasks_of_a_component_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_firewall, "cgroup2", lambda: tmp_path)
    monkeypatch.setattr(task_firewall, "ConnectFilter", FakeFilter)
    guarded = firewall()
    tasks = [task(name) for name in "abc"]
    for each in tasks:
        guarded.admit(each)
    tasks[0].is_over = True
    guarded.release(tasks)
    assert guarded.refused() == {(frozenset({"sg"}), ELSEWHERE): 3}
    guarded.close()


def test_running_task_reaches_one_that_starts_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server was refused the live log of the worker that started last."""
    filters: dict[str, FakeFilter] = {}

    def filter_of(folder: Path, own_address: str) -> FakeFilter:
        return filters.setdefault(folder.name, FakeFilter(folder, own_address))

    monkeypatch.setattr(task_firewall, "cgroup2", lambda: tmp_path)
    monkeypatch.setattr(task_firewall, "ConnectFilter", filter_of)
    port, server = 8793, ("127.77.0.8", 8793)
    rules = {
        SecurityGroupRule("sg", is_egress, range(port, port + 1), "sg")
        for is_egress in (True, False)
    }
    groups = replace(GROUPS, rules=frozenset(rules))
    running: list[Endpoint] = []
    guarded = TaskFirewall(lambda: groups, lambda _groups: running)
    guarded.admit(task("api-server"))
    running.append(Endpoint(server, frozenset({"sg"}), port))
    guarded.admit(task("worker"))
    assert server in filters["api-server"].permitted
    guarded.close()


def test_group_whose_last_process_still_ends_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"a": [False, True], "b": [False, False, True]}

    class BusyFilter(FakeFilter):
        def remove(self) -> bool:
            return answers[self.folder.name].pop(0)

    monkeypatch.setattr(task_firewall, "cgroup2", lambda: tmp_path)
    monkeypatch.setattr(task_firewall, "ConnectFilter", BusyFilter)
    guarded = firewall()
    tasks = [task(name) for name in answers]
    for each in tasks:
        guarded.admit(each)
    tasks[0].is_over = True
    guarded.release(tasks)
    guarded.release(tasks)
    assert answers == {"a": [], "b": [False, False, True]}
    guarded.close()
    assert answers == {"a": [], "b": []}


def test_group_of_a_killed_agent_that_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a folder of files, as in a control group with processes, rmdir fails.
    used = tmp_path / f"{task_firewall.PREFIX}999999999-x" / "task"
    used.mkdir(parents=True)
    (used / "process").touch()
    monkeypatch.setattr(task_firewall, "cgroup2", lambda: tmp_path)
    monkeypatch.setattr(task_firewall, "ConnectFilter", FakeFilter)
    assert firewall().admit(task("a"))
    assert used.is_dir()

"""Security groups for local tasks: only connections that their rules permit.

Every task runs in a control group whose connections are limited to the local
destinations that the security groups, as launched, let it reach, and to the ranges of
addresses in their rules (``ConnectFilter``). A server of this machine may stand for one
outside the VPC.
Where the machine does not allow that, tasks connect freely and ``deviation`` says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local.ecs.connect_filter import (
    ConnectFilter,
    Destination,
    FilterUnavailableError,
    cgroup2,
)
from local.ecs.security_groups import SecurityGroups
from local.ecs.task import EcsTask

Groups = frozenset[str]

AWS: Groups = frozenset()
"""Stands for the groups of AWS services, which have none in the VPC."""

READ_SECONDS = 5.0
"""How long rules count as current; an update of the stack changes them."""

END_SECONDS = 10.0
"""How long the kernel may take to end a killed process."""

PREFIX = "airflow-local-"
"""Of the control group of an agent; its process id follows, and a random part."""


@dataclass(frozen=True)
class Endpoint:
    """A destination on this machine, with its security groups and port on AWS."""

    destination: Destination
    groups: Groups
    port: int


@dataclass(frozen=True)
class UsedConnection:
    """A connection that was made: groups of source and target, and the port on AWS."""

    source: Groups
    target: Groups
    port: int


@dataclass(frozen=True)
class GuardedTask:
    """A task that runs in a control group of its own."""

    source: Groups
    filter: ConnectFilter


class TaskFirewall:
    """The control groups of the tasks of one agent."""

    def __init__(
        self,
        read: Callable[[], SecurityGroups],
        find: Callable[[SecurityGroups], Iterable[Endpoint]],
    ) -> None:
        """``read`` returns the groups as the emulator has them, ``find`` all endpoints.

        Hold the task registry's lock for any call.
        """
        self.deviation = ""
        self.open_to_all: set[Destination] = set()
        """What no security group guards, as the metadata of tasks."""
        self.endpoints: tuple[Endpoint, ...] = ()
        """Every destination that a security group guards, as known now."""
        self._outside: dict[Destination, Destination] = {}
        self._read = read
        self._find = find
        self._read_at = 0.0
        self._groups: SecurityGroups | None = None
        self._tasks: dict[str, GuardedTask] = {}
        self._used: set[UsedConnection] = set()
        self._refused: Counter[tuple[Groups, Destination]] = Counter()
        """Of tasks that are over."""
        self._leaving: list[ConnectFilter] = []
        """Closed, with a process that the kernel is still ending."""
        self._folder: Path | None = None

    def rules(self) -> SecurityGroups:
        """Return the groups as read lately."""
        if self._groups is None or time.monotonic() > self._read_at + READ_SECONDS:
            self._groups, self._read_at = self._read(), time.monotonic()
        return self._groups

    def update(self) -> None:
        """Follow the rules and the destinations, if there is a task."""
        if not self._tasks:
            return
        before = self._groups, self.endpoints
        self.endpoints = tuple(self._find(self.rules()))
        if before != (self._groups, self.endpoints):
            self._set_permitted()

    def add_outside_server(self, known_as: Destination, server: Destination) -> None:
        """Let a server of this machine stand for one outside the VPC.

        Tasks know it by an address that is not of this machine, and reach it where a
        range in their rules permits that.
        """
        self._outside[known_as] = server
        self._set_permitted()

    def admit(self, task: EcsTask) -> Path | None:
        """Return the control group of a task's processes, if there are any."""
        if self.deviation or not task.security_groups:
            return None
        if task.id not in self._tasks:
            source = frozenset(task.security_groups)
            if not source <= self.rules().networks.keys():
                self._groups = None
            self.endpoints = tuple(self._find(self.rules()))
            try:
                group = ConnectFilter(
                    self._own_folder() / task.id, task.sandbox.address
                )
            except FilterUnavailableError as error:
                self.deviation = (
                    f"Security groups are not enforced: {error}. Root on Linux can."
                )
                return None
            self._tasks[task.id] = GuardedTask(source, group)
            # The others reach the new task too.
            self._set_permitted()
        return self._tasks[task.id].filter.folder

    def release(self, tasks: Iterable[EcsTask]) -> None:
        """Remove the groups of tasks that are over; their counts are kept."""
        for task in tasks:
            if task.is_over and task.id in self._tasks:
                self._note_used()
                guarded = self._tasks.pop(task.id)
                self._refused += _refused_by(guarded)
                self._leave(guarded)
        self._remove_left()

    def close(self) -> None:
        """Remove every group; no task runs any more."""
        for task in self._tasks.values():
            self._leave(task)
        self._tasks.clear()
        deadline = time.monotonic() + END_SECONDS
        while self._remove_left() and time.monotonic() < deadline:
            time.sleep(0.05)
        # Where groups are not permitted, it was never made.
        if self._folder and self._folder.is_dir():
            self._folder.rmdir()

    def used(self) -> set[UsedConnection]:
        """Return the connections that were made, of all tasks so far."""
        self._note_used()
        return set(self._used)

    def refused(self) -> dict[tuple[Groups, Destination], int]:
        """Return how often a source tried what no rule permits."""
        return sum(map(_refused_by, self._tasks.values()), self._refused)

    def _leave(self, task: GuardedTask) -> None:
        task.filter.close()
        self._leaving.append(task.filter)

    def _remove_left(self) -> bool:
        """Remove the groups of tasks that are over; whether one is still in use."""
        self._leaving = [each for each in self._leaving if not each.remove()]
        return bool(self._leaving)

    def _own_folder(self) -> Path:
        """Return the agent's control group, after removing those of killed agents."""
        if self._folder is None:
            mounted = cgroup2()
            _remove_abandoned(mounted)
            name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
            self._folder = mounted / name
        return self._folder

    def _note_used(self) -> None:
        """Keep what the destinations stand for: a task's address is not used again."""
        targets = {each.destination: each for each in self.endpoints}
        for task in self._tasks.values():
            for destination in task.filter.used():
                if target := targets.get(destination):
                    self._used.add(
                        UsedConnection(task.source, target.groups, target.port)
                    )

    def _set_permitted(self) -> None:
        """Give all tasks the lists that hold for them now."""
        for task in self._tasks.values():
            task.filter.set_permitted(
                self._permitted(task.source),
                self.rules().ranges(task.source),
                self._outside,
            )

    def _permitted(self, source: Groups) -> set[Destination]:
        groups = self.rules()
        return self.open_to_all | {
            endpoint.destination
            for endpoint in self.endpoints
            if (
                groups.permit_aws(source, endpoint.port)
                if endpoint.groups == AWS
                else groups.permit(source, endpoint.groups, endpoint.port)
            )
        }


def _refused_by(task: GuardedTask) -> Counter[tuple[Groups, Destination]]:
    return Counter(
        {
            (task.source, destination): count
            for destination, count in task.filter.refused().items()
        }
    )


def _remove_abandoned(mounted: Path) -> None:
    """Remove the groups of agents that were killed; a group with tasks stays."""
    for folder in mounted.glob(f"{PREFIX}*"):
        pid, _, _ = folder.name.removeprefix(PREFIX).partition("-")
        if not Path("/proc", pid).exists():
            for group in [*folder.iterdir(), folder]:
                if group.is_dir():
                    with contextlib.suppress(OSError):
                        group.rmdir()

"""What the autoscaler knows at one moment, and what it decided: values, no behaviour.

Counts stand for equal tasks, so that a queue of a million entries is as small as one
of ten: the loop groups them where it reads them (``fitting.compact``). All times are
seconds on one clock; which does not matter, only that one reading is used for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from fargate_runtime.autoscaler.estimates import StartUp


class Batch(NamedTuple):
    """Tasks that wait, or will from ``arrival`` on, each expected to take as long."""

    arrival: float
    expected: float
    tasks: int


class Running(NamedTuple):
    """A task that runs."""

    started: float
    expected: float


class WorkerState(Enum):
    """How far a worker is in its life."""

    WAITING = "waiting"
    """It runs, but ECS has not granted it protection yet, so it takes nothing."""

    READY = "ready"
    """It is protected and takes tasks."""

    DRAINING = "draining"
    """It is protected, finishes what it has and takes nothing new."""

    RELEASED = "released"
    """It let its protection go: it may be taken away and never works again."""


class Worker(NamedTuple):
    """A worker that has reported. Those that have not are the fleet's ``starting``.

    It is ``outdated`` when its revision is not the one that its service deploys.
    """

    identity: str
    state: WorkerState
    running: Sequence[Running] = ()
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """What one queue holds, and what is about to come to it.

    ``announced`` belongs to runs that have not begun, ``coming`` to those that have
    (``foresight.foresee`` tells both).
    """

    queued: Sequence[Batch] = ()
    announced: Sequence[Batch] = ()
    coming: Sequence[Batch] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of one pool.

    ``starting`` holds when each worker was launched that has not reported yet;
    ``start_seconds`` how long those took that reported since the last round.
    """

    desired: int
    workers: Sequence[Worker] = ()
    starting: Sequence[float] = ()
    start_seconds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What a pool remembers from one decision to the next.

    ``wanted`` holds when how many workers were wanted, falling from the oldest entry
    to the newest, for what was wanted earlier and less cannot be the most wanted;
    ``load`` likewise how few tasks ran. ``queued`` and ``due`` are the tasks that
    waited and that were to come until now, by which ``gusts`` tells the unforeseen.
    ``deployed`` is when an outdated worker was last seen, ``grow`` and ``shrink`` are
    the orders that were given last.
    """

    since: float
    at: float
    wanted: tuple[tuple[float, int], ...] = ()
    load: tuple[tuple[float, int], ...] = ()
    queued: int = 0
    due: int = 0
    gusts: float = 0.0
    start_up: StartUp = field(default_factory=StartUp)
    deployed: float = -math.inf
    grow: Pulse | None = None
    shrink: Pulse | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """An order that was published.

    ``desired`` is the count it met, ``done`` when the count was seen to have moved.
    """

    desired: int
    done: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that was read for one round; what could not be read is not in it."""

    now: float
    queues: Mapping[str, Demand]
    fleets: Mapping[str, Fleet]
    memories: Mapping[str, Memory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """What one pool does now.

    ``deficit`` and ``surplus`` are published; ``drain`` and ``revive`` go to the
    workers, in that order. ``demand`` and ``wanted`` explain them.
    """

    deficit: int
    surplus: int
    drain: tuple[str, ...]
    revive: tuple[str, ...]
    demand: int
    wanted: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Decision:
    """What all pools do now, and what does not fit together."""

    pools: Mapping[str, PoolDecision]
    unknown_queues: Mapping[str, int]
    """Tasks that wait in queues which no pool serves."""

    problems: tuple[str, ...]

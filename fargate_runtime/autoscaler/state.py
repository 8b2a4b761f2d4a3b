"""Input and result of the decision: values without behaviour.

Counts stand for equal tasks, so that a queue of a million entries is as small as one
of ten: the loop groups them where it reads them (``scheduling.compact``). All times are
seconds of one clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fargate_runtime.autoscaler.estimates import StartUpTime
from fargate_runtime.scaling_protocol import WorkerState


class Batch(NamedTuple):
    """Queued tasks, or tasks queued from ``arrival`` on, of one expected duration."""

    arrival: float
    expected: float
    tasks: int


class RunningTask(NamedTuple):
    """A running task: its start, and its expected duration."""

    started: float
    expected: float


class Worker(NamedTuple):
    """A worker that has reported; the others are the pool's ``starting``.

    It is ``outdated`` when another deployment than its service's primary started it.
    """

    identity: str
    state: WorkerState
    running: Sequence[RunningTask] = ()
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class QueueDemand:
    """Queued and expected tasks of one queue.

    ``announced`` belongs to runs that have not begun, ``coming`` to those that have
    (``forecast.forecast`` returns both).
    """

    queued: Sequence[Batch] = ()
    announced: Sequence[Batch] = ()
    coming: Sequence[Batch] = ()


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The workers of one pool.

    ``starting`` holds the launch time of each worker that has not reported yet;
    ``start_seconds`` the start-up times of those that reported since the last round.
    """

    desired: int
    workers: Sequence[Worker] = ()
    starting: Sequence[float] = ()
    start_seconds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """State of a pool that one decision passes to the next.

    ``needs`` holds (time, workers needed), falling from the oldest entry to the newest:
    an earlier and smaller need cannot be the largest. ``load`` likewise holds how few
    tasks ran. ``queued`` and ``due`` are the tasks that waited and that were to come
    until now, by which ``burst_variance`` distinguishes unannounced ones. ``deployed``
    is when an outdated worker was last seen, ``scale_out`` and ``scale_in`` are the
    last orders.
    """

    since: float
    at: float
    needs: tuple[tuple[float, int], ...] = ()
    load: tuple[tuple[float, int], ...] = ()
    queued: int = 0
    due: int = 0
    burst_variance: float = 0.0
    start_up: StartUpTime = field(default_factory=StartUpTime)
    deployed: float = -math.inf
    scale_out: ScalingOrder | None = None
    scale_in: ScalingOrder | None = None


@dataclass(frozen=True, slots=True)
class ScalingOrder:
    """A published deficit or surplus.

    ``desired`` is the desired count at that time, ``done`` when it was seen to change.
    """

    desired: int
    done: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The observations of one round; what could not be read is missing."""

    now: float
    queues: Mapping[str, QueueDemand]
    pools: Mapping[str, PoolStatus]
    memories: Mapping[str, PoolMemory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """The decision for one pool.

    ``deficit`` and ``surplus`` are published; ``drain`` and ``revive`` go to the
    workers, in that order. ``demand`` (tasks) and ``needed`` (workers) explain them.
    """

    deficit: int
    surplus: int
    drain: tuple[str, ...]
    revive: tuple[str, ...]
    demand: int
    needed: int
    memory: PoolMemory


@dataclass(frozen=True, slots=True)
class Decision:
    """The decisions for all pools, and inconsistencies of the observations."""

    pools: Mapping[str, PoolDecision]
    unknown_queues: Mapping[str, int]
    """Tasks that wait in queues which no pool serves."""

    problems: tuple[str, ...]

"""Tasks of a day, their stages and runs, and their expected durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

DAY_SECONDS = 86_400.0


@dataclass(slots=True, eq=False)
class SimTask:
    """A task: its true and its expected duration.

    The fields without arguments are its state in a simulated day.
    """

    duration: float
    estimate: float
    cpu: float
    pool: str
    stage: SimStage = field(init=False)
    queued_at: float = field(init=False, default=-1.0)
    started_at: float = field(init=False, default=-1.0)
    first_started_at: float = field(init=False, default=-1.0)
    ended_at: float = field(init=False, default=-1.0)
    kills: int = field(init=False, default=0)

    @property
    def delay(self) -> float:
        """Seconds from the queue to the first start."""
        return self.first_started_at - self.queued_at


@dataclass(slots=True, eq=False)
class SimStage:
    """Tasks that are queued together, once all tasks of all parents have ended."""

    tasks: list[SimTask]
    parents: tuple[SimStage, ...] = ()
    children: list[SimStage] = field(init=False, default_factory=list)
    unfinished: int = field(init=False, default=0)
    """Tasks of the parents that have not ended."""

    run: SimRun = field(init=False)

    def __post_init__(self) -> None:
        """Tie the stage to its tasks and its parents."""
        for task in self.tasks:
            task.stage = self
        for parent in self.parents:
            parent.children.append(self)
        self.reset()

    def reset(self) -> None:
        """Reset the state."""
        self.unfinished = sum(len(p.tasks) for p in self.parents)
        for task in self.tasks:
            task.queued_at = task.started_at = -1.0
            task.first_started_at = task.ended_at = -1.0
            task.kills = 0


@dataclass(slots=True, eq=False)
class SimRun:
    """A DAG run: at ``at`` the stages without parents are queued.

    ``announced`` is the announced number of its first tasks, as a multiple of the true
    one; 0 when nothing announces the run.
    """

    at: float
    stages: list[SimStage]
    announced: float = 0.0
    waiting: int = field(init=False, default=0)
    """Stages that have not been queued."""

    def __post_init__(self) -> None:
        """Tie the stages to the run."""
        for stage in self.stages:
            stage.run = self
        self.reset()

    def reset(self) -> None:
        """Reset the state."""
        self.waiting = len(self.stages)
        for stage in self.stages:
            stage.reset()


@dataclass(frozen=True, slots=True)
class PoolShape:
    """One pool of workers of a day."""

    concurrency: int = 8
    minimum: int = 1
    maximum: int = 25


@dataclass(slots=True, eq=False)
class Day:
    """A day of runs, in the order of their times."""

    name: str
    seed: int
    runs: list[SimRun]
    pools: Mapping[str, PoolShape]

    def __post_init__(self) -> None:
        """Sort the runs."""
        self.runs.sort(key=lambda run: run.at)

    def stages(self) -> Iterator[SimStage]:
        """Return all stages."""
        for run in self.runs:
            yield from run.stages

    def tasks(self) -> list[SimTask]:
        """Return all tasks."""
        return [task for stage in self.stages() for task in stage.tasks]

    def reset(self) -> None:
        """Reset the state, so that another policy gets the same day."""
        for run in self.runs:
            run.reset()

"""One pool of workers on a stage: what it was asked for, ran and ended with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acceptance.check import NotProven
from acceptance.containers import services
from local.ecs.application_autoscaling import ScalingActivity
from local.ecs.metrics import Metric
from local.ecs.model import EcsService
from local.ecs.task import EcsTask
from local.environment import Stage

WORKER = "worker"
POOL = "WORKER_POOL"


@dataclass(frozen=True)
class Pool:
    """The workers that serve one pool's queue."""

    stage: Stage
    name: str

    def service(self) -> tuple[EcsService, list[EcsTask]]:
        """Return its service, and all tasks it ever had."""
        for service, tasks in services(self.stage):
            definition = self.stage.agent.definition(service.definition_arn)
            for one in definition.containers:
                if one.name == WORKER and one.environment.get(POOL) == self.name:
                    return service, tasks
        raise NotProven(f"No service runs the workers of the pool {self.name}.")

    @property
    def desired(self) -> int:
        """How many workers it is to have."""
        return self.service()[0].desired

    def alive(self) -> list[EcsTask]:
        """Return the workers that have not ended."""
        return [task for task in self.service()[1] if not task.is_over]

    def since(self, at: float) -> list[EcsTask]:
        """Return the workers that lived at a Unix time or later."""
        tasks = self.service()[1]
        return [task for task in tasks if not task.is_over or task.stopped >= at]

    def changes(self, at: float) -> list[ScalingActivity]:
        """Return how the desired count changed since a Unix time, by alarms."""
        name = self.service()[0].name
        found = list(self.stage.agent.autoscaler.activities)
        return [one for one in found if one.service == name and one.at >= at]

    def published(self, metric: str, at: float) -> list[tuple[float, float]]:
        """Return when the autoscaler published what, since a Unix time."""
        cluster = self.service()[0].cluster_arn.rpartition("/")[2]
        dimensions = {"ClusterName": cluster, "Pool": self.name}
        wanted = Metric("AirflowOnFargate", metric, frozenset(dimensions.items()))
        data = self.stage.agent.autoscaler.metrics.data(wanted)
        return [(one.at, one.total) for one in data if one.at >= at]


def killed(tasks: Sequence[EcsTask]) -> list[str]:
    """Return the workers that did not end by themselves after a request to end."""
    found = []
    for task in tasks:
        worker = task.container(WORKER)
        if task.is_over and worker and (worker.exit_code or worker.reason):
            why = worker.reason or f"exit code {worker.exit_code}"
            found.append(f"worker {task.id[:8]} ({task.stopped_reason}): {why}")
    return found

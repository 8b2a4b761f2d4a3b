"""The workers of one pool: desired count, tasks, metrics and how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acceptance.check import CheckFailed
from acceptance.containers import services
from local.ecs.application_autoscaling import ScalingActivity
from local.ecs.metrics import Metric
from local.ecs.model import EcsService
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment

WORKER = "worker"
POOL = "WORKER_POOL"


@dataclass(frozen=True)
class Pool:
    """The workers that serve one pool's queue."""

    environment: LocalEnvironment
    name: str

    def service(self) -> tuple[EcsService, list[EcsTask]]:
        """Return its service, and all tasks it ever had."""
        for service, tasks in services(self.environment):
            definition = self.environment.agent.definition(service.definition_arn)
            for container in definition.containers:
                pool = container.environment.get(POOL)
                if container.name == WORKER and pool == self.name:
                    return service, tasks
        raise CheckFailed(f"No service runs the workers of the pool {self.name}.")

    @property
    def desired(self) -> int:
        """The desired count of its service."""
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
        return [
            activity
            for activity in list(self.environment.agent.autoscaler.activities)
            if activity.service == name and activity.at >= at
        ]

    def published(self, metric: str, at: float) -> list[tuple[float, float]]:
        """Return times and values of a metric that the autoscaler published since."""
        cluster = self.service()[0].cluster_arn.rpartition("/")[2]
        dimensions = {"ClusterName": cluster, "Pool": self.name}
        key = Metric("AirflowOnFargate", metric, frozenset(dimensions.items()))
        data = self.environment.agent.autoscaler.metrics.data(key)
        return [(point.at, point.total) for point in data if point.at >= at]


def killed(tasks: Sequence[EcsTask]) -> list[str]:
    """Return the workers that did not end by themselves after a request to end."""
    lines = []
    for task in tasks:
        worker = task.container(WORKER)
        if task.is_over and worker and (worker.exit_code or worker.reason):
            why = worker.reason or f"exit code {worker.exit_code}"
            lines.append(f"worker {task.id[:8]} ({task.stopped_reason}): {why}")
    return lines

"""Health of every service, by container health check and load balancer target."""

from __future__ import annotations

from acceptance.check import CheckFailed
from acceptance.containers import services
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment


def components(environment: LocalEnvironment) -> str:
    """See that every service runs its desired count, healthy and in its target group.

    A scheduler, DAG processor or triggerer that lost the database may have ended and
    been replaced; that is counted as a restart.
    """
    unhealthy: list[str] = []
    counts: list[str] = []
    restarts = behind_a_target = 0
    for service, tasks in services(environment):
        running = [task for task in tasks if task.should_run and not task.is_over]
        name = _name(running[0]) if running else service.name
        healthy = [task for task in running if task.health.value == "HEALTHY"]
        in_service = [task for task in healthy if task.is_in_service]
        if len(in_service) != service.desired or len(running) != service.desired:
            unhealthy.append(
                f"{name}: {service.desired} desired, {len(running)} running, "
                f"{len(healthy)} healthy, {len(in_service)} in service"
            )
        counts.append(f"{len(in_service)} {name}")
        restarts += len(tasks) - len(running)
        behind_a_target += len(in_service) if service.targets else 0
    if unhealthy or not behind_a_target:
        raise CheckFailed(
            "; ".join(unhealthy or ["No task has a target group."]), environment.logs()
        )
    return (
        f"{', '.join(counts)}; {behind_a_target} in target groups; "
        f"{restarts or 'no'} restarts"
    )


def _name(task: EcsTask) -> str:
    """Return the component, and for a worker its queue."""
    first = task.containers[0].definition
    return f"worker of {first.command[-1]}" if first.name == "worker" else first.name

"""Everything that should run runs, and is well by every measure there is."""

from __future__ import annotations

from acceptance.check import NotProven
from acceptance.containers import logs, services
from local.ecs.task import EcsTask
from local.environment import Stage


def components(stage: Stage) -> str:
    """See that every service runs what was asked for, healthy by check and target.

    A scheduler, DAG processor or triggerer that lost the database may have ended and
    been replaced; that is told.
    """
    unwell: list[str] = []
    counts: list[str] = []
    restarts = behind_a_target = 0
    for service, tasks in services(stage):
        wanted = [task for task in tasks if task.should_run and not task.is_over]
        name = _name(wanted[0]) if wanted else service.name
        well = [task for task in wanted if task.health.value == "HEALTHY"]
        in_service = [task for task in well if task.is_in_service]
        if len(in_service) != service.desired or len(wanted) != service.desired:
            unwell.append(
                f"{name}: {service.desired} asked for, {len(wanted)} run, {len(well)} "
                f"healthy, {len(in_service)} taken by the load balancer"
            )
        counts.append(f"{len(in_service)} {name}")
        restarts += len(tasks) - len(wanted)
        behind_a_target += len(in_service) if service.targets else 0
    if unwell or not behind_a_target:
        raise NotProven(
            "; ".join(unwell or ["No task has a target group."]), logs(stage)
        )
    return (
        f"{', '.join(counts)}; {behind_a_target} in target groups; "
        f"{restarts or 'no'} restarts"
    )


def _name(task: EcsTask) -> str:
    """Return the component, and for a worker its queue."""
    first = task.containers[0].definition
    return f"worker of {first.command[-1]}" if first.name == "worker" else first.name

"""Launches of one stack by the delivery code, followed to their end.

The steps are those of ``deploy.launch``; nobody is asked, nothing is printed, and
whoever waits may give up in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy import launch, stacks
from deploy.aws import Aws
from deploy.diagnosis import Diagnoser, Diagnosis
from deploy.dist import Dist, Environment
from deploy.events import LOCAL_WATCH_INTERVAL, StackWatcher, TreeEvent, known_events
from deploy.planning import PollInterval, proposed
from deploy.publishing import publish


@dataclass(frozen=True)
class Launched:
    """How a launch ended."""

    status: str
    """The stack's; the one before when there was nothing to change."""
    text: str
    """Nothing after a success; else why, as ``diagnose`` tells it."""
    events: tuple[TreeEvent, ...] = ()
    """Oldest first; none when there was nothing to change."""

    @property
    def is_good(self) -> bool:
        """Whether the stack is as it was asked for."""
        return self.status in launch.SUCCEEDED


class Launcher:
    """Brings one stack to what ``dist`` and an environment say, again and again."""

    def __init__(self, aws: Aws, dist: Dist) -> None:
        self.aws, self.dist = aws, dist

    def launch(
        self, environment: Environment, sleep: Callable[[float], None]
    ) -> Launched:
        """Launch and follow; ``sleep`` may raise to give up.

        Raises ``cli.errors.Failure`` when it cannot even begin.
        """
        aws, dist = self.aws, self.dist
        done = publish(aws, dist)
        pace = replace(LOCAL_WATCH_INTERVAL, sleep=sleep)
        with proposed(aws, dist, done.publication, environment) as plan:
            if plan.is_empty:
                launch.protect(aws, environment)
                return Launched(stacks.existing(aws, plan.stack_id).status, "")
            known = known_events(aws, plan.stack_id)
            launch.execute(aws, plan)
        return self._follow(environment, StackWatcher(aws, plan.stack_id, known), pace)

    def _follow(
        self, environment: Environment, watch: StackWatcher, pace: PollInterval
    ) -> Launched:
        detective = Diagnoser(self.aws, self.dist)
        events: list[TreeEvent] = []
        for seen in watch.follow(pace):
            events += seen
            for one in seen:
                if one.event.is_failure and not one.event.is_nested_stack:
                    detective.record_evidence(one.event)
        stack = stacks.existing(self.aws, watch.root.stack_id)
        if stack.status not in launch.SUCCEEDED:
            told = as_text(detective.diagnose(stack))
            return Launched(stack.status, told, tuple(events))
        launch.finish(self.aws, environment)
        return Launched(stack.status, "", tuple(events))


def as_text(found: Diagnosis) -> str:
    """Return a diagnosis as ``diagnose`` prints it."""
    lines = [f"Stack {found.stack_name} is {found.status}."]
    for index, cause in enumerate(found.causes):
        title = "Root cause" if index == 0 else "Failed as well"
        lines += [
            f"{title}: {cause.name}",
            f"  {cause.type}  {cause.status}",
            f"  {cause.reason}",
            *(f"    {line}" for line in cause.evidence),
        ]
    return "\n".join(lines)

"""Launches of one stack with the code of ``deploy``, followed to their end.

The steps are those of ``deploy.launch``, without questions and without output. The
caller may give up in between.
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
class LaunchResult:
    """How a launch ended."""

    status: str
    """Of the stack; the one before when there was nothing to change."""
    text: str
    """Empty after a success; else the diagnosis, as ``diagnose`` prints it."""
    events: tuple[TreeEvent, ...] = ()
    """Oldest first; none when there was nothing to change."""

    @property
    def is_good(self) -> bool:
        """Whether the stack has the parameters that were launched."""
        return self.status in launch.SUCCEEDED


class Launcher:
    """Creates and updates one stack from ``dist`` and an environment's parameters."""

    def __init__(self, aws: Aws, dist: Dist) -> None:
        self.aws, self.dist = aws, dist

    def launch(
        self, environment: Environment, sleep: Callable[[float], None]
    ) -> LaunchResult:
        """Launch and follow; ``sleep`` may raise to give up.

        Raises ``cli.errors.Failure`` when it cannot even begin.
        """
        aws, dist = self.aws, self.dist
        done = publish(aws, dist)
        pace = replace(LOCAL_WATCH_INTERVAL, sleep=sleep)
        with proposed(aws, dist, done.publication, environment) as plan:
            if plan.is_empty:
                launch.protect(aws, environment)
                return LaunchResult(stacks.existing(aws, plan.stack_id).status, "")
            known = known_events(aws, plan.stack_id)
            launch.execute(aws, plan)
        return self._follow(environment, StackWatcher(aws, plan.stack_id, known), pace)

    def _follow(
        self, environment: Environment, watch: StackWatcher, pace: PollInterval
    ) -> LaunchResult:
        diagnoser = Diagnoser(self.aws, self.dist)
        events: list[TreeEvent] = []
        for new_events in watch.follow(pace):
            events += new_events
            for entry in new_events:
                if entry.event.is_failure and not entry.event.is_nested_stack:
                    diagnoser.record_evidence(entry.event)
        stack = stacks.existing(self.aws, watch.root.stack_id)
        if stack.status not in launch.SUCCEEDED:
            text = as_text(diagnoser.diagnose(stack))
            return LaunchResult(stack.status, text, tuple(events))
        launch.finish(self.aws, environment)
        return LaunchResult(stack.status, "", tuple(events))


def as_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as ``diagnose`` prints it."""
    lines = [f"Stack {diagnosis.stack_name} is {diagnosis.status}."]
    for index, cause in enumerate(diagnosis.causes):
        title = "Root cause" if index == 0 else "Failed as well"
        lines += [
            f"{title}: {cause.name}",
            f"  {cause.type}  {cause.status}",
            f"  {cause.reason}",
            *(f"    {line}" for line in cause.evidence),
        ]
    return "\n".join(lines)

"""CloudWatch alarms and step scaling policies, as AWS documents them.

The simulation and the local ECS agent both act on the compiled scaling templates and
may not import each other, so this package holds what they share. It reads compiled
properties, and decides from values and times that it gets: it has no clock of its own.

Not supported: percentages and exact capacities as adjustments, target tracking,
anomaly detection. These raise ``UnsupportedError``.
"""

from local.step_scaling.alarms import VISIBLE_SECONDS, Alarm, AlarmEvaluator
from local.step_scaling.steps import ScalableTarget, Step, StepPolicy
from local.step_scaling.unsupported import UnsupportedError

__all__ = [
    "VISIBLE_SECONDS",
    "Alarm",
    "AlarmEvaluator",
    "ScalableTarget",
    "Step",
    "StepPolicy",
    "UnsupportedError",
]

"""What CloudWatch alarms and step policies do, as AWS documents it: pure, no clock.

The simulation and the local agent both act on the compiled scaling templates, and
both mean the same service. They may not import each other, so what they share is
here: it reads compiled properties, and decides from values and times it is given.

What is not here: percentages and exact capacities as adjustments, target tracking,
anomaly detection. Whoever meets them is told so by ``UnsupportedError``.
"""

from local.step_scaling.alarms import VISIBLE_SECONDS, Alarm, Watch
from local.step_scaling.steps import Step, StepPolicy, Target
from local.step_scaling.unsupported import UnsupportedError

__all__ = [
    "VISIBLE_SECONDS",
    "Alarm",
    "Step",
    "StepPolicy",
    "Target",
    "UnsupportedError",
    "Watch",
]

"""What the parent calls the choices that checks read: one table, and nowhere else.

A name that the parent does not have makes every check that reads it an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from compiler.validation import Given
from compiler.wiring import title
from templates.airflow.pools import Pool

PROFILE = "Profile"
IMAGE = "Image"
VPC_CIDR = "VpcCidr"
ZONE_COUNT = "ZoneCount"
WAY_OUT = "InternetAccess"
OUTBOUND = "OutboundHttpsCidr"
EXISTING_VPC = "ExistingVpcId"
EXISTING_SUBNETS = (
    "ExistingPublicSubnetIds",
    "ExistingPrivateSubnetIds",
    "ExistingDataSubnetIds",
)
SCHEME = "LoadBalancerScheme"
WEB_CLIENTS = ("WebClientCidr", "WebClientCidr2", "WebClientCidr3")
ALLOWS_ANY_WEB_CLIENT = "AllowAnyWebClient"
HAS_FLOWER = "EnableFlower"
MIN_CAPACITY = "DatabaseMinCapacity"
MAX_CAPACITY = "DatabaseMaxCapacity"
COMPONENTS = ("ApiServer", "Scheduler", "DagProcessor", "Triggerer")
"""Each has two parameters, ...Cpu and ...Memory."""
API_MINIMUM = "ApiServerMinimum"
API_MAXIMUM = "ApiServerMaximum"
SCHEDULERS = "SchedulerCount"
TRIGGERERS = "TriggererCount"
PARALLELISM = "Parallelism"
LONGEST_TASK = "LongestTaskMinutes"

TASK_COUNTS = (API_MAXIMUM, SCHEDULERS, TRIGGERERS)
"""What an operator says of the number of tasks; the pools say the rest."""

DAG_PROCESSORS = 1
"""No choice: a second one would read the same files."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that a check compares: a parameter, or fixed by a pool's entry."""

    name: str
    fixed: int | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The parameter to read, if there is one."""
        return (self.name,) if self.fixed is None else ()

    def value(self, given: Given) -> Decimal:
        """Return the number."""
        return given.number(self.name) if self.fixed is None else Decimal(self.fixed)


def figure(pool: Pool, field: str) -> Figure:
    """Return a knob of a pool."""
    if field in pool.asks:
        return Figure(name=title(f"{pool.name}_workers_{field}"))
    return Figure(
        name=f"{field} of the {pool.name} pool in templates/airflow/pools.py",
        fixed=getattr(pool, field),
    )


def reads(pools: tuple[Pool, ...], *fields: str) -> tuple[str, ...]:
    """Return the parameters that hold these knobs of every pool."""
    return tuple(
        name for p in pools for field in fields for name in figure(p, field).reads
    )

"""Whether the database is large enough for everything that connects to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from compiler.validation import Check, Finding, Given
from templates.airflow.environment import SETTINGS
from templates.airflow.pools import Pool
from templates.checks import parameter_names as names
from templates.checks.aurora import SMALLEST_FOR_ALL_CONNECTIONS, max_connections
from templates.checks.parameter_names import Figure, figure, reads
from templates.checks.sizes import crossed
from templates.types import AuroraCapacity

HALF = Decimal("0.5")
MOST_UNITS = AuroraCapacity.rules["MaxValue"]

_TOLD = {told.variable: told.value for told in SETTINGS}
DATABASE_POOL = int(str(_TOLD["AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE"]))
DATABASE_OVERFLOW = int(str(_TOLD["AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW"]))
API_WORKERS = int(str(_TOLD["AIRFLOW__API__WORKERS"]))
"""As the components are told, so that the sum and the settings cannot disagree."""

BRAIN_SESSIONS = 2
"""The autoscaler's: one to read by, and one that holds the lock of the leader."""

USABLE_CONNECTIONS = Decimal("0.8")
"""The rest is for deployments, where old and new tasks overlap, and for people."""


def checks(pools: tuple[Pool, ...]) -> Iterator[Check]:
    """Yield the checks of the capacity and of the number of connections."""
    for name in (names.MIN_CAPACITY, names.MAX_CAPACITY):
        yield Check(
            name=f"{name} is in halves", reads=(name,), finds=partial(_halves, name)
        )
    least, most = Figure(name=names.MIN_CAPACITY), Figure(name=names.MAX_CAPACITY)
    yield Check(
        name="the database's capacities are in order",
        reads=(names.MIN_CAPACITY, names.MAX_CAPACITY),
        finds=partial(crossed, least, most),
    )
    yield Check(
        name="a production database does not pause",
        reads=(names.MIN_CAPACITY, names.PROFILE),
        finds=_pausing,
    )
    yield Check(
        name="the database admits every connection",
        reads=(
            *(names.MAX_CAPACITY, names.MIN_CAPACITY, *names.TASK_COUNTS),
            *reads(pools, "maximum", "concurrency"),
        ),
        finds=partial(_connections, pools),
    )


def _halves(name: str, given: Given) -> Finding | None:
    units = given.number(name)
    if units % HALF == 0:
        return None
    below = units // HALF * HALF
    return Finding(
        what=f"{units} is not in halves.",
        why="Aurora's capacity goes in steps of 0.5 units.",
        remedy=f"Write {below.normalize():f} or {(below + HALF).normalize():f}.",
    )


def _pausing(given: Given) -> Finding | None:
    if given[names.PROFILE] != "production":
        return None
    if given.number(names.MIN_CAPACITY) >= SMALLEST_FOR_ALL_CONNECTIONS:
        return None
    return Finding(
        what=f"A production database may shrink to {given[names.MIN_CAPACITY]} units.",
        why="At 0 it pauses under the scheduler, and below 1 it admits 2,000 "
        "connections at most.",
        remedy=f"Write {SMALLEST_FOR_ALL_CONNECTIONS} or more.",
    )


@dataclass(frozen=True, kw_only=True)
class Load:
    """Everything that connects at once while every service and pool is full."""

    schedulers: Decimal
    api_servers: Decimal
    triggerers: Decimal
    result_writers: Decimal
    """Processes of workers, each with one connection (celery/celery #6685)."""

    @property
    def connections(self) -> Decimal:
        """Return the sum; ``str`` spells it out."""
        processes = self.schedulers + self.api_servers * API_WORKERS
        processes += names.DAG_PROCESSORS + self.triggerers
        pooled = processes * (DATABASE_POOL + DATABASE_OVERFLOW)
        # A scheduler also reads the results, and has a autoscaler beside it.
        beside = self.schedulers * (1 + BRAIN_SESSIONS)
        return pooled + self.result_writers + beside

    def __str__(self) -> str:
        return (
            f"(schedulers {self.schedulers} + API servers {self.api_servers} x "
            f"{API_WORKERS} + DAG processor {names.DAG_PROCESSORS} + triggerers "
            f"{self.triggerers}) x (pool {DATABASE_POOL} + overflow "
            f"{DATABASE_OVERFLOW}) + for Celery's results: worker processes "
            f"{self.result_writers} + schedulers {self.schedulers} + autoscalers "
            f"{self.schedulers} x {BRAIN_SESSIONS} = {self.connections}."
        )


def _connections(pools: tuple[Pool, ...], given: Given) -> Finding | None:
    writers = Decimal(0)
    for pool in pools:
        workers = figure(pool, "maximum").value(given)
        writers += workers * (figure(pool, "concurrency").value(given) + 1)
    load = Load(
        schedulers=given.number(names.SCHEDULERS),
        api_servers=given.number(names.API_MAXIMUM),
        triggerers=given.number(names.TRIGGERERS),
        result_writers=writers,
    )
    low, high = given.number(names.MIN_CAPACITY), given.number(names.MAX_CAPACITY)
    if load.connections <= _usable(low, high):
        return None
    return Finding(
        what=f"Airflow may open {load.connections} connections; {_usable(low, high)} "
        f"are to be used, 80 % of what {high} capacity units admit.",
        why=str(load),
        remedy=_remedy(low, load),
    )


def _usable(low: Decimal, high: Decimal) -> int:
    return int(max_connections(float(low), float(high)) * USABLE_CONNECTIONS)


def _remedy(low: Decimal, load: Load) -> str:
    capacities = [halves * HALF for halves in range(2, MOST_UNITS * 2 + 1)]
    for lowest in (low, max(low, Decimal(SMALLEST_FOR_ALL_CONNECTIONS))):
        for highest in capacities:
            if load.connections <= _usable(lowest, highest):
                wider = (
                    "" if lowest == low else f" and {names.MIN_CAPACITY} to {lowest}"
                )
                return (
                    f"Set {names.MAX_CAPACITY} to {highest.normalize():f} or more"
                    f"{wider}, or lower one of these counts."
                )
    return "Lower one of these counts: no capacity admits so many."

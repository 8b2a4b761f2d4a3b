"""Checks that the database is large enough for everything that connects to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from compiler.validation import Check, Finding, check
from templates.airflow.environment import ENVIRONMENT
from templates.airflow.pools import WorkerPool
from templates.airflow_services import DAG_PROCESSORS
from templates.checks.aurora import (
    MOST_UNITS,
    SMALLEST_FOR_ALL_CONNECTIONS,
    max_connections,
)
from templates.checks.sizes import in_order
from templates.parameters import Parameters
from templates.types import AuroraCapacity, Count, Profile

HALF = Decimal("0.5")

_VALUES = {row.name: row.value for row in ENVIRONMENT}
DATABASE_POOL = int(str(_VALUES["AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE"]))
DATABASE_OVERFLOW = int(str(_VALUES["AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW"]))
API_WORKERS = int(str(_VALUES["AIRFLOW__API__WORKERS"]))
"""From the environment table, so that the sum and the variables cannot disagree."""

AUTOSCALER_SESSIONS = 2
"""One for reading, and one that holds the leader's lock."""

USABLE_CONNECTIONS = Decimal("0.8")
"""The rest is for deployments, where old and new tasks overlap, and for people."""


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of the capacity and of the number of connections."""
    minimum, maximum = (
        parameters.database_min_capacity,
        parameters.database_max_capacity,
    )
    yield in_order(minimum, maximum)
    yield check(
        "a production database does not pause", _pausing, minimum, parameters.profile
    )
    yield check(
        "the database admits every connection",
        _connections,
        (maximum, minimum),
        (
            *(parameters.api_server_maximum, parameters.scheduler_count),
            parameters.triggerer_count,
        ),
        tuple(pool.maximum for pool in pools),
        tuple(pool.concurrency for pool in pools),
    )


def _pausing(minimum: AuroraCapacity, profile: Profile) -> Finding | None:
    if profile.text != "production":
        return None
    if minimum.number >= SMALLEST_FOR_ALL_CONNECTIONS:
        return None
    return Finding(
        what=f"A production database may shrink to {minimum.text} units.",
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
        processes += DAG_PROCESSORS + self.triggerers
        pooled = processes * (DATABASE_POOL + DATABASE_OVERFLOW)
        # A scheduler also reads the results, and has an autoscaler beside it.
        beside = self.schedulers * (1 + AUTOSCALER_SESSIONS)
        return pooled + self.result_writers + beside

    def __str__(self) -> str:
        return (
            f"(schedulers {self.schedulers} + API servers {self.api_servers} x "
            f"{API_WORKERS} + DAG processor {DAG_PROCESSORS} + triggerers "
            f"{self.triggerers}) x (pool {DATABASE_POOL} + overflow "
            f"{DATABASE_OVERFLOW}) + for Celery's results: worker processes "
            f"{self.result_writers} + schedulers {self.schedulers} + autoscalers "
            f"{self.schedulers} x {AUTOSCALER_SESSIONS} = {self.connections}."
        )


def _connections(
    capacities: tuple[AuroraCapacity, AuroraCapacity],
    services: tuple[Count, Count, Count],
    workers: tuple[Count, ...],
    concurrencies: tuple[Count, ...],
) -> Finding | None:
    maximum, minimum = capacities
    api_servers, schedulers, triggerers = services
    load = Load(
        schedulers=schedulers.number,
        api_servers=api_servers.number,
        triggerers=triggerers.number,
        result_writers=sum(
            (
                count.number * (concurrency.number + 1)
                for count, concurrency in zip(workers, concurrencies, strict=True)
            ),
            Decimal(0),
        ),
    )
    usable = _usable(minimum.number, maximum.number)
    if load.connections <= usable:
        return None
    return Finding(
        what=f"Airflow may open {load.connections} connections; {usable} "
        f"are to be used, 80 % of what {maximum.number} capacity units admit.",
        why=str(load),
        remedy=_remedy(minimum, maximum, load),
    )


def _usable(low: Decimal, high: Decimal) -> int:
    return int(max_connections(float(low), float(high)) * USABLE_CONNECTIONS)


def _remedy(minimum: AuroraCapacity, maximum: AuroraCapacity, load: Load) -> str:
    low = minimum.number
    capacities = [halves * HALF for halves in range(2, MOST_UNITS * 2 + 1)]
    for lowest in (low, max(low, Decimal(SMALLEST_FOR_ALL_CONNECTIONS))):
        for highest in capacities:
            if load.connections <= _usable(lowest, highest):
                wider = "" if lowest == low else f" and {minimum.name} to {lowest}"
                return (
                    f"Set {maximum.name} to {highest.normalize():f} or more"
                    f"{wider}, or lower one of these counts."
                )
    return "Lower one of these counts: no capacity admits so many."

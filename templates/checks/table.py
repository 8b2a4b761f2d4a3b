"""The table of checks that CloudFormation's Rules cannot express.

They compare numbers, ranges of addresses and sums, and are made before anything is
written (:mod:`compiler.validation`). A check takes fields of ``Parameters`` and of the
worker pools, so its parameters are renamed with the fields.
"""

from __future__ import annotations

from compiler.interfaces import fill
from compiler.validation import Check, Finding, check
from compiler.values import FileValue
from compiler.wiring import title
from templates.airflow.environment import VISIBILITY_SECONDS
from templates.airflow.pools import POOLS, Pool
from templates.checks import (
    addresses,
    arns,
    database,
    egress,
    limits,
    settings,
    sizes,
)
from templates.parameters import Parameters
from templates.types import Count, Minutes, OptionalCount


def checks(pools: tuple[Pool, ...] = POOLS) -> tuple[Check, ...]:
    """Return every check of the parent's parameters."""
    parameters = fill(
        Parameters, lambda leaf: leaf.kind(FileValue(name=title(leaf.name)))
    )
    worker_pools = tuple(pool.file_values() for pool in pools)
    return (
        *addresses.checks(parameters, worker_pools),
        *egress.checks(parameters, worker_pools),
        *arns.checks(parameters, worker_pools),
        *sizes.checks(parameters, worker_pools),
        *database.checks(parameters, worker_pools),
        *limits.checks(parameters, worker_pools),
        *settings.checks(parameters, worker_pools),
        check(
            "parallelism lets every pool be filled",
            _parallelism,
            parameters.parallelism,
            tuple(pool.maximum for pool in worker_pools),
            tuple(pool.concurrency for pool in worker_pools),
        ),
        check(
            "no message is redelivered while its task runs",
            _redelivery,
            parameters.airflow.longest_task_minutes,
        ),
    )


def _parallelism(
    parallelism: OptionalCount,
    maxima: tuple[Count, ...],
    concurrencies: tuple[Count, ...],
) -> Finding | None:
    slots = sum(
        maximum.number * concurrency.number
        for maximum, concurrency in zip(maxima, concurrencies, strict=True)
    )
    if not parallelism.text or int(parallelism.text) >= slots:
        return None
    return Finding(
        what=f"The pools hold {slots} tasks at once, and {parallelism.name} is "
        f"{parallelism.text}.",
        why="Airflow's default pool has that many slots, so workers would idle while "
        "tasks wait.",
        remedy=f"Set {parallelism.name} to {slots} or more, or leave it empty.",
    )


def _redelivery(longest_task: Minutes) -> Finding | None:
    most = VISIBILITY_SECONDS // 60
    if longest_task.number < most:
        return None
    return Finding(
        what=f"A task may run for {longest_task.text} minutes.",
        why=f"The broker delivers a message again after {most}, and the task would run "
        "twice.",
        remedy=f"Write less than {most}.",
    )

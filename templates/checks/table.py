"""What CloudFormation's Rules cannot compare: numbers, ranges of addresses, sums.

A parameter file is held against this table before anything is written
(:mod:`compiler.validation`). Each check names the parameters it reads; one that the
parent does not have is an error, so that a renamed parameter switches nothing off.
"""

from __future__ import annotations

from functools import partial

from compiler.validation import Check, Finding, Given
from templates.airflow.environment import VISIBILITY_SECONDS
from templates.airflow.pools import POOLS, Pool
from templates.checks import addresses, database, sizes
from templates.checks import parameter_names as names
from templates.checks.parameter_names import figure, reads


def checks(pools: tuple[Pool, ...] = POOLS) -> tuple[Check, ...]:
    """Return every check over the operator's choices and the knobs of the pools."""
    return (
        *addresses.checks(pools),
        *sizes.checks(pools),
        *database.checks(pools),
        Check(
            name="parallelism lets every pool be filled",
            reads=(names.PARALLELISM, *reads(pools, "maximum", "concurrency")),
            finds=partial(_parallelism, pools),
        ),
        Check(
            name="no message comes again while its task runs",
            reads=(names.LONGEST_TASK,),
            finds=_redelivery,
        ),
    )


def _parallelism(pools: tuple[Pool, ...], given: Given) -> Finding | None:
    slots = sum(
        figure(pool, "maximum").value(given) * figure(pool, "concurrency").value(given)
        for pool in pools
    )
    chosen = given[names.PARALLELISM]
    if not chosen or int(chosen) >= slots:
        return None
    return Finding(
        what=f"The pools hold {slots} tasks at once, and {names.PARALLELISM} is "
        f"{given[names.PARALLELISM]}.",
        why="Airflow's default pool has that many slots, so workers would idle while "
        "tasks wait.",
        remedy=f"Set {names.PARALLELISM} to {slots} or more, or leave it empty.",
    )


def _redelivery(given: Given) -> Finding | None:
    most = VISIBILITY_SECONDS // 60
    if given.number(names.LONGEST_TASK) < most:
        return None
    return Finding(
        what=f"A task may run for {given[names.LONGEST_TASK]} minutes.",
        why=f"The broker delivers a message again after {most}, and the task would run "
        "twice.",
        remedy=f"Write less than {most}.",
    )

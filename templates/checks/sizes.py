"""Checks of task sizes, of bounds that cross, and of numbers with fractions."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING
from functools import partial

from compiler.interfaces import leaves
from compiler.validation import Check, Finding, check
from compiler.values import Number
from fargate_runtime import contract
from templates.airflow.fargate_sizes import (
    MEMORY_BY_CPU,
    PROCESS_MEMORY,
    PROXY_MEMORY,
    WORKER_MEMORY,
    nearest_memory,
    smallest_cpu,
)
from templates.airflow.pools import WorkerPool
from templates.parameters import Parameters
from templates.types import Count, CpuUnits, Mebibytes

MOST_SIZES_SPELT = 8

MOST_TASKS = contract.MOST_WORKERS
MOST_REGISTERED_TASKS = 1000
"""Tasks of one ECS service, and of one that Cloud Map knows by name."""


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of single numbers and of pairs of numbers."""
    yield from _whole_numbers(parameters, pools)
    yield from _sizes(parameters, pools)
    yield from _bounds(parameters, pools)


def _whole_numbers(
    parameters: Parameters, pools: tuple[WorkerPool, ...]
) -> Iterator[Check]:
    for record in (parameters, *pools):
        for leaf in leaves(type(record)):
            value = leaf.read(record)
            if isinstance(value, Number) and not value.rules.keys() & {
                "AllowedPattern",
                "AllowedValues",
            }:
                yield check(f"{value.name} is a whole number", _fraction, value)


def _fraction(value: Number) -> Finding | None:
    number = value.number
    if number == number.to_integral_value():
        return None
    return Finding(
        what=f"{number} is not a whole number.",
        why="CloudFormation passes it on, and the service behind it refuses it.",
        remedy=f"Write {number.to_integral_value(ROUND_CEILING)}.",
    )


def _sizes(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    for cpu, memory in (
        (parameters.api_server_cpu, parameters.api_server_memory),
        (parameters.scheduler_cpu, parameters.scheduler_memory),
        (parameters.dag_processor_cpu, parameters.dag_processor_memory),
        (parameters.triggerer_cpu, parameters.triggerer_memory),
        *((pool.cpu, pool.memory) for pool in pools),
    ):
        name = f"Fargate has the size {cpu.name} and {memory.name}"
        yield check(name, _size, memory, cpu)
    for pool in pools:
        name = f"{pool.memory.name} holds the tasks of {pool.concurrency.name}"
        yield check(name, _crowded, pool.concurrency, pool.memory)


def _size(memory: Mebibytes, cpu: CpuUnits) -> Finding | None:
    units, size = int(cpu.number), memory.number
    if units not in MEMORY_BY_CPU:
        return Finding(
            what=f"Fargate has no task of {units} CPU units.",
            remedy=f"Set {cpu.name} to one of {', '.join(map(str, MEMORY_BY_CPU))}.",
        )
    if size in MEMORY_BY_CPU[units]:
        return None
    other = smallest_cpu(size)
    return Finding(
        what=f"Fargate has no task of {units} CPU units and {size} MiB.",
        why=f"With {units} it has {_spell_sizes(MEMORY_BY_CPU[units])} MiB.",
        remedy=f"Set {memory.name} to {nearest_memory(units, size)}"
        + (f", or {cpu.name} to {other}." if other else "."),
    )


def _crowded(concurrency: Count, memory: Mebibytes) -> Finding | None:
    alone = PROXY_MEMORY + WORKER_MEMORY
    needed = alone + concurrency.number * PROCESS_MEMORY
    if memory.number >= needed:
        return None
    fitting = max(1, int((memory.number - alone) // PROCESS_MEMORY))
    return Finding(
        what=f"{concurrency.text} tasks at once need {needed} MiB, and {memory.name} "
        f"is {memory.text}.",
        why=f"The proxy of Service Connect takes {PROXY_MEMORY} MiB, the worker "
        f"{WORKER_MEMORY}, and each of its processes {PROCESS_MEMORY} before it runs a "
        "task. Beyond the limit the worker is ended with its tasks.",
        remedy=f"Write {fitting} or less, or raise {memory.name}.",
    )


def _spell_sizes(sizes: tuple[int, ...]) -> str:
    if len(sizes) <= MOST_SIZES_SPELT:
        return ", ".join(map(str, sizes))
    return f"{sizes[0]} to {sizes[-1]} in steps of {sizes[1] - sizes[0]}"


def _bounds(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    for pool in pools:
        yield in_order(pool.fallback_minimum, pool.maximum)
    for minimum, maximum, quota in (
        (
            *(parameters.api_server_minimum, parameters.api_server_maximum),
            MOST_REGISTERED_TASKS,
        ),
        *((pool.minimum, pool.maximum, MOST_TASKS) for pool in pools),
    ):
        yield in_order(minimum, maximum)
        yield check(
            f"one service holds {maximum.name}", partial(_too_many, quota), maximum
        )


def in_order(minimum: Number, maximum: Number) -> Check:
    """Return a check that a lower bound is not above its upper one."""
    name = f"{minimum.name} is not above {maximum.name}"
    return check(name, _crossed, minimum, maximum)


def _crossed(minimum: Number, maximum: Number) -> Finding | None:
    low, high = minimum.number, maximum.number
    if low <= high:
        return None
    return Finding(
        what=f"{minimum.name} is {low}, and {maximum.name} is {high}.",
        why="The fewest cannot be more than the most.",
        remedy=f"Raise {maximum.name} to {low}, or lower {minimum.name} to {high}.",
    )


def _too_many(quota: int, maximum: Count) -> Finding | None:
    if maximum.number <= quota:
        return None
    return Finding(
        what=f"{maximum.name} is {maximum.number}.",
        why=f"ECS runs {quota:,} tasks in such a service.",
        remedy=f"Write {quota} or less.",
    )

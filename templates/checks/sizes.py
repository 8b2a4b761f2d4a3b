"""Sizes that Fargate does not have, bounds that cross, and numbers with fractions."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING
from functools import partial
from typing import get_type_hints

from compiler.interfaces import leaves
from compiler.validation import Check, Finding, Given
from compiler.wiring import Value, title
from templates.airflow.fargate_sizes import MEMORY_BY_CPU, nearest_memory, smallest_cpu
from templates.airflow.pools import Pool, PoolSettings
from templates.checks import parameter_names as names
from templates.checks.parameter_names import Figure, figure
from templates.parameters import Choices
from templates.types import AuroraCapacity

MOST_SIZES_SPELT = 8

MOST_TASKS = 5000
MOST_REGISTERED_TASKS = 1000
"""Tasks of one ECS service, and of one that Cloud Map knows by name."""


def checks(pools: tuple[Pool, ...]) -> Iterator[Check]:
    """Yield the checks of single numbers and of pairs of numbers."""
    yield from _whole_numbers(pools)
    yield from _sizes(pools)
    yield from _bounds(pools)


def _whole_numbers(pools: tuple[Pool, ...]) -> Iterator[Check]:
    kinds = {title(leaf.name): leaf.kind for leaf in leaves(Choices)}
    for pool in pools:
        for field, kind in get_type_hints(PoolSettings).items():
            kinds |= dict.fromkeys(figure(pool, field).reads, kind)
    for name, kind in kinds.items():
        if _counts(kind):
            yield Check(
                name=f"{name} is a whole number",
                reads=(name,),
                finds=partial(_fraction, name),
            )


def _counts(kind: type[Value]) -> bool:
    return (
        kind.type == "Number"
        and "AllowedValues" not in kind.rules
        and kind is not AuroraCapacity
    )


def _fraction(name: str, given: Given) -> Finding | None:
    number = given.number(name)
    if number == number.to_integral_value():
        return None
    return Finding(
        what=f"{number} is not a whole number.",
        why="CloudFormation passes it on, and the service behind it refuses it.",
        remedy=f"Write {number.to_integral_value(ROUND_CEILING)}.",
    )


def _sizes(pools: tuple[Pool, ...]) -> Iterator[Check]:
    pairs = [
        (Figure(name=f"{one}Cpu"), Figure(name=f"{one}Memory"))
        for one in names.COMPONENTS
    ]
    pairs += [(figure(pool, "cpu"), figure(pool, "memory")) for pool in pools]
    for cpu, memory in pairs:
        yield Check(
            name=f"Fargate has the size {cpu.name} and {memory.name}",
            reads=(*memory.reads, *cpu.reads),
            finds=partial(_size, cpu, memory),
        )


def _size(cpu: Figure, memory: Figure, given: Given) -> Finding | None:
    units, size = int(cpu.value(given)), memory.value(given)
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


def _spell_sizes(sizes: tuple[int, ...]) -> str:
    if len(sizes) <= MOST_SIZES_SPELT:
        return ", ".join(map(str, sizes))
    return f"{sizes[0]} to {sizes[-1]} in steps of {sizes[1] - sizes[0]}"


def _bounds(pools: tuple[Pool, ...]) -> Iterator[Check]:
    minimum, maximum = Figure(name=names.API_MINIMUM), Figure(name=names.API_MAXIMUM)
    rows = [(minimum, maximum, MOST_REGISTERED_TASKS)]
    rows += [
        (figure(pool, "minimum"), figure(pool, "maximum"), MOST_TASKS) for pool in pools
    ]
    for pool in pools:
        floor, most = figure(pool, "fallback_minimum"), figure(pool, "maximum")
        yield Check(
            name=f"{floor.name} is not above {most.name}",
            reads=(*floor.reads, *most.reads),
            finds=partial(crossed, floor, most),
        )
    for least, most, quota in rows:
        yield Check(
            name=f"{least.name} is not above {most.name}",
            reads=(*least.reads, *most.reads),
            finds=partial(crossed, least, most),
        )
        yield Check(
            name=f"one service holds {most.name}",
            reads=most.reads,
            finds=partial(_too_many, most, quota),
        )


def crossed(least: Figure, most: Figure, given: Given) -> Finding | None:
    """Find a lower bound that is above its upper one."""
    low, high = least.value(given), most.value(given)
    if low <= high:
        return None
    return Finding(
        what=f"{least.name} is {low}, and {most.name} is {high}.",
        why="The fewest cannot be more than the most.",
        remedy=f"Raise {most.name} to {low}, or lower {least.name} to {high}.",
    )


def _too_many(most: Figure, quota: int, given: Given) -> Finding | None:
    if most.value(given) <= quota:
        return None
    return Finding(
        what=f"{most.name} is {most.value(given)}.",
        why=f"ECS runs {quota:,} tasks in such a service.",
        remedy=f"Write {quota} or less.",
    )

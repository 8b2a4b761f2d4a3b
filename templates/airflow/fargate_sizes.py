"""Which memory Fargate gives to which CPU; any other pair is refused at launch.

Source: "Task CPU and memory" in the Amazon ECS developer guide. The largest size it
lists, 32 vCPU, is not on offer here.
"""

from __future__ import annotations

from decimal import Decimal

GIB = 1024

MEMORY_BY_CPU: dict[int, tuple[int, ...]] = {
    256: (512, 1 * GIB, 2 * GIB),
    512: tuple(range(1 * GIB, 4 * GIB + 1, GIB)),
    1024: tuple(range(2 * GIB, 8 * GIB + 1, GIB)),
    2048: tuple(range(4 * GIB, 16 * GIB + 1, GIB)),
    4096: tuple(range(8 * GIB, 30 * GIB + 1, GIB)),
    8192: tuple(range(16 * GIB, 60 * GIB + 1, 4 * GIB)),
    16384: tuple(range(32 * GIB, 120 * GIB + 1, 8 * GIB)),
}
"""MiB by CPU units; 1024 units are one vCPU."""

PROXY_MEMORY = 128
"""MiB that stay for the proxy of Service Connect. ECS adds it to the task, not to the
definition, and gives it what the containers' limits leave: their sum must be less than
the task's memory. Source: "Service Connect considerations" in the same guide, which
advises 64, and 128 with much traffic."""

WORKER_MEMORY = 200
"""MiB of a worker that runs nothing. Measured locally with Airflow 3.3.2: memory of the
process tree that no file backs."""

PROCESS_MEMORY = 40
"""MiB of each of its processes before one runs a task; it has its concurrency of them.
Measured as above."""


def memories(*, above: int) -> list[int]:
    """Return every memory that leaves twice as much as is taken out of it, in MiB.

    With less, what the task is for would hardly start.
    """
    sizes = {size for sizes in MEMORY_BY_CPU.values() for size in sizes}
    return sorted(size for size in sizes if size >= above * 3)


def nearest_memory(cpu: int, memory: Decimal) -> int:
    """Return the memory nearest to the one wished, the larger of two as near."""
    return min(MEMORY_BY_CPU[cpu], key=lambda size: (abs(size - memory), -size))


def smallest_cpu(memory: Decimal) -> int | None:
    """Return the least CPU that goes with exactly this memory, if any does."""
    return next((cpu for cpu, sizes in MEMORY_BY_CPU.items() if memory in sizes), None)

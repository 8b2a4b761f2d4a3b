"""Stack operations as awaitable tasks, one after another in each stack.

MiniStack starts an operation and keeps no reference. Nested stacks have to wait for
theirs, and an internal error must not leave a stack in progress for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import (
    CHANGE_SETS,
    HANDLERS,
    STACKS,
    replace,
    stack_named,
)

LOG = logging.getLogger("local.emulator.patches")

Work = Coroutine[Any, Any, None]

_tasks: dict[str, asyncio.Task[None]] = {}
"""The latest operation of each stack, by its ID."""

_loop: list[asyncio.AbstractEventLoop] = []
"""The event loop of all operations, once the first has begun."""


def install() -> None:
    """Track every operation."""
    replace("_create_stack_task_in_region", _tracking, HANDLERS, CHANGE_SETS, STACKS)
    replace("_runs_on_worker_thread", _on_thread_if_slow, STACKS)


def _on_thread_if_slow(original: Callable[[str], bool]) -> Callable[[str], bool]:
    """While a slow fault is injected, run every resource on a thread."""
    return lambda resource_type: original(resource_type) or bool(FAULTS.slow)


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop that runs the operations."""
    return _loop[0]


async def finished(stack_id: str) -> dict[str, Any]:
    """Wait until no operation runs in a stack; return its record."""
    task = _tasks.get(stack_id)
    if task is not None:
        await asyncio.wait([task])
    record = stack_named(stack_id)
    if record is None:
        raise ValueError(f"Stack [{stack_id}] does not exist")
    return record


def _tracking(_original: Callable[..., None]) -> Callable[..., None]:
    def schedule(
        work: Work, stack: dict[str, Any], stack_id: str | None = None
    ) -> None:
        identity = stack_id or str(stack["StackId"])
        running = asyncio.get_running_loop()
        _loop[:] = [running]
        with STACKS["_stack_region_context"](stack, stack_id):
            _tasks[identity] = running.create_task(
                _after(_tasks.get(identity), work, stack)
            )

    return schedule


async def _after(
    earlier: asyncio.Task[None] | None, work: Work, stack: dict[str, Any]
) -> None:
    """Run an operation after the previous one; end it with a final status."""
    if earlier is not None and not earlier.done():
        await asyncio.wait([earlier])
    try:
        await work
    except Exception as error:
        LOG.exception("An operation of %s failed internally", stack["StackName"])
        status = str(stack["StackStatus"])
        if status.endswith("_IN_PROGRESS"):
            failed = f"{status.removesuffix('_IN_PROGRESS')}_FAILED"
            reason = f"Internal failure of the emulator: {error!r}"
            stack["StackStatus"] = failed
            stack["StackStatusReason"] = reason
            STACKS["_add_event"](
                stack["StackId"],
                stack["StackName"],
                stack["StackName"],
                "AWS::CloudFormation::Stack",
                failed,
                reason,
                stack["StackId"],
            )

"""Updates that a service refuses, and MiniStack would carry out.

They are those of the table that the plan refuses by, ``cloudformation.transitions``. A
plan made here never gets so far; an update by another client does, and rolls back. What
is refused after an update is in ``deletions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudformation.evaluation import Stack
from cloudformation.schemas import SchemaRegistry
from cloudformation.transitions import FAILING, refused
from cloudformation.updates import compare
from local.emulator.patches.ministack import (
    CHANGE_SETS,
    HANDLERS,
    STACKS,
    replace,
    stack_named,
)

_messages: dict[str, dict[str, str]] = {}
"""The refused resources of each stack that is updated, with the service's message."""


class UpdateRefusedError(ValueError):
    """The service refuses an update; the message is its own."""


def install(registry: SchemaRegistry) -> None:
    """Refuse what the table has, at the resource that the service refuses."""
    replace("_deploy_stack_async", _comparing(registry), HANDLERS, CHANGE_SETS)
    replace("_update_keeping_seed", _checking_update, STACKS)
    replace("_provision_keeping_seed", _checking_creation, STACKS)


def _comparing(
    registry: SchemaRegistry,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(deploy: Callable[..., Any]) -> Callable[..., Any]:
        def deploy_compared(
            stack_name: str,
            stack_id: str,
            template: Mapping[str, Any],
            parameters: Mapping[str, Any],
            *more: Any,
            **options: Any,
        ) -> Any:
            previous = options.get("previous_stack")
            _messages[stack_name] = {}
            if previous:
                updates = compare(
                    _stack(previous["_template"], previous["_resolved_params"]),
                    _stack(template, parameters),
                    registry,
                )
                _messages[stack_name] = {
                    each.update.resource.logical_id: each.message
                    for each in refused(updates, registry, FAILING)
                }
            return deploy(stack_name, stack_id, template, parameters, *more, **options)

        return deploy_compared

    return wrap


def _stack(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> Stack:
    return Stack(template, {name: each["Value"] for name, each in parameters.items()})


def _checking_update(update: Callable[..., Any]) -> Callable[..., Any]:
    def check(*arguments: Any) -> Any:
        _, _, _, _, stack_name, logical_id, *_ = arguments
        _refuse(stack_name, logical_id)
        return update(*arguments)

    return check


def _checking_creation(create: Callable[..., Any]) -> Callable[..., Any]:
    def check(*arguments: Any) -> Any:
        _, logical_id, _, stack_name = arguments
        _refuse(stack_name, logical_id)
        return create(*arguments)

    return check


def _refuse(stack_name: str, logical_id: str) -> None:
    status = str((stack_named(stack_name) or {}).get("StackStatus"))
    message = _messages.get(stack_name, {}).get(logical_id)
    if message and "ROLLBACK" not in status:
        raise UpdateRefusedError(message)

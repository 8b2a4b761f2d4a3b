"""The internals of MiniStack that the patches use, and how they replace a function.

MiniStack has no extension interface. It is therefore pinned to an exact version
(requirements/emulator.txt) and covered by tests/local/emulator: a name that no longer
exists is an error at start, not a feature that is silently missing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names(module: str) -> dict[str, Any]:
    """Return the namespace of one of MiniStack's modules."""
    return vars(import_module(f"ministack.{module}"))


APP = names("app")
RESPONSES = names("core.responses")
CLOUDFORMATION = names("services.cloudformation")
CHANGE_SETS = names("services.cloudformation.changesets")
ENGINE = names("services.cloudformation.engine")
HANDLERS = names("services.cloudformation.handlers")
HELPERS = names("services.cloudformation.helpers")
PROVISIONERS = names("services.cloudformation.provisioners")
STACKS = names("services.cloudformation.stacks")

Handlers = dict[str, Any]
"""Of one resource type: ``create``, ``update`` and ``delete``."""

CreateResult = tuple[str, dict[str, Any]]
"""Physical ID and attributes."""

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class MissingError(RuntimeError):
    """MiniStack has no function of the name that a patch replaces."""


def replace(name: str, wrap: Wrap, *modules: dict[str, Any]) -> None:
    """Replace a function by ``wrap(original)`` in each of the modules."""
    for module in modules:
        if name not in module:
            raise MissingError(f"{module['__name__']} has no {name}; another version?")
    replacement = wrap(modules[0][name])
    for module in modules:
        module[name] = replacement


def completed(
    native: Handlers, complete: Callable[[CreateResult, dict[str, Any]], CreateResult]
) -> Handlers:
    """Return handlers whose create and update pass their result to ``complete``.

    It also gets the properties of the resource.
    """

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> CreateResult:
        return complete(native["create"](logical_id, properties, stack), properties)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack: str, *more: Any
    ) -> CreateResult:
        return complete(native["update"](physical_id, old, new, stack, *more), new)

    return {**native, "create": create, "update": update}


def call(
    actions: Mapping[str, Callable[..., Any]],
    name: str,
    request: Mapping[str, str],
    error: Callable[[str], Exception],
) -> str:
    """Call one of MiniStack's query actions in process; return its XML.

    Raises ``error`` with the message of a refusal.
    """
    status, _, body = actions[name]({key: [text] for key, text in request.items()})[:3]
    xml = body.decode() if isinstance(body, bytes) else str(body)
    if status >= 400:  # noqa: PLR2004 - HTTP's first error
        raise error(element(xml, "Message"))
    return xml


def element(xml: str, tag: str) -> str:
    """Return the text of the first element with a tag, or nothing."""
    match = re.search(rf"<{tag}>(.*?)</{tag}>", xml, re.DOTALL)
    return html.unescape(match[1]) if match else ""


def region() -> str:
    """Return the region of the running request or operation."""
    name: str = RESPONSES["get_region"]()
    return name


def account() -> str:
    """Return the account of the running request or operation."""
    number: str = RESPONSES["get_account_id"]()
    return number


def stack_named(name_or_id: str) -> dict[str, Any] | None:
    """Return the record of a stack, deleted ones included."""
    record: dict[str, Any] | None = HANDLERS["_resolve_stack"](name_or_id)
    return record

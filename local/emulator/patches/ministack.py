"""Every module of MiniStack's that the shim reaches into, and how it replaces a name.

MiniStack has no interface for extensions. What the shim relies on is therefore named
by exact version (requirements/emulator.txt) and held by tests/local/emulator: a name that has
gone is an error at start, not a feature that silently is missing.
"""

from __future__ import annotations

from collections.abc import Callable
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

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class MissingError(RuntimeError):
    """MiniStack no longer has a name that the shim replaces."""


def replace(name: str, wrap: Wrap, *modules: dict[str, Any]) -> None:
    """Put ``wrap(original)`` in the place of a function, in each of the modules."""
    for module in modules:
        if name not in module:
            raise MissingError(f"{module['__name__']} has no {name}; another version?")
    replacement = wrap(modules[0][name])
    for module in modules:
        module[name] = replacement


def region() -> str:
    """Return the region of the running request or operation."""
    found: str = RESPONSES["get_region"]()
    return found


def account() -> str:
    """Return the account of the running request or operation."""
    found: str = RESPONSES["get_account_id"]()
    return found


def stack_named(name_or_id: str) -> dict[str, Any] | None:
    """Return the record of a stack, deleted ones included."""
    found: dict[str, Any] | None = HANDLERS["_resolve_stack"](name_or_id)
    return found

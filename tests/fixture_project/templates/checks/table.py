"""One check, as the real product has them."""

from __future__ import annotations

from templates.topic import Name

from compiler.validation import Check, Finding, check
from compiler.values import FileValue


def _owner_is_short(owner: Name) -> Finding | None:
    if len(owner.text) > len("operations"):
        return Finding(what="The owner's name is long.", remedy="Shorten it.")
    return None


def checks() -> tuple[Check, ...]:
    """Return the one check."""
    return (check("OwnerIsShort", _owner_is_short, Name(FileValue(name="Owner"))),)

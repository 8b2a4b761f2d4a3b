"""One check, as the real product has them."""

from __future__ import annotations

from compiler.validation import Check, Finding, Given


def _owner_is_short(given: Given) -> Finding | None:
    if len(given["Owner"]) > len("operations"):
        return Finding(what="The owner's name is long.", remedy="Shorten it.")
    return None


def checks() -> tuple[Check, ...]:
    """Return the one check."""
    return (Check(name="OwnerIsShort", reads=("Owner",), finds=_owner_is_short),)

"""Suggest the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is close, or nothing."""
    by_folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=1)
    return by_folded[close[0]] if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean X?" where some known name is close, else nothing."""
    close = closest(name, known)
    return f"Did you mean {close}?" if close else ""

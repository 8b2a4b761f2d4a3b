"""Selection of checks by parts of their titles."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from cli.errors import Problem, UsageError

OPTION = "--only"

SHOWN = 3
"""Titles that are named for a text that no title contains."""


def chosen(needs: Mapping[str, Collection[str]], texts: Sequence[str]) -> set[str]:
    """Return the titles that contain one of the texts, and those that they need.

    ``needs`` has the titles that each title needs. Upper and lower case are the same.
    No text chooses everything. Raises UsageError for a text that no title contains.
    """
    titles = set(needs)
    if texts:
        titles = {title for text in texts for title in _containing(needs, text)}
    pending = list(titles)
    while pending:
        missing = set(needs[pending.pop()]) - titles
        titles |= missing
        pending += missing
    return titles


def _containing(titles: Iterable[str], text: str) -> list[str]:
    part = text.strip().casefold()
    if matches := [title for title in titles if part in title.casefold()]:
        return matches
    nearest = ", ".join(f'"{title}"' for title in _nearest(titles, part))
    raise UsageError(
        Problem(
            where=f"{OPTION} {text}",
            what="No check that these options allow has this text in its title.",
            why=f"The nearest titles are {nearest}.",
            remedy="Name a part of a title.",
        )
    )


def _nearest(titles: Iterable[str], text: str) -> list[str]:
    """Return the titles whose words are most like those of a text."""

    def likeness(title: str) -> float:
        words = title.casefold().split()
        return sum(
            max(difflib.SequenceMatcher(None, word, other).ratio() for other in words)
            for word in text.split()
        )

    return sorted(titles, key=likeness, reverse=True)[:SHOWN]

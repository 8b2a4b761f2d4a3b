"""Mistakes in a list that is one parameter."""

from __future__ import annotations

from compiler.constraints import elements
from compiler.validation import Finding
from compiler.values import Value
from templates.types import NONE


def list_fault(values: Value) -> Finding | None:
    """Find an empty element, one that is there twice, or ``none`` beside others."""
    texts = elements(values.text)
    if texts == ("",):
        return None
    if "" in texts:
        return Finding(
            what=f"{values.name} has an empty element: a comma too many.",
            remedy="Delete the comma.",
        )
    if NONE in texts and len(texts) > 1:
        return Finding(
            what=f"{NONE} stands beside other elements.",
            why="It means that the list of this pool is empty.",
            remedy=f"Write {NONE} alone, or delete it.",
        )
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is None:
        return None
    return Finding(
        what=f"{values.name} names {twice} twice.",
        why="AWS takes each once.",
        remedy="Delete one of the two.",
    )

"""What this package does not do, said instead of guessed."""

from __future__ import annotations


class UnsupportedError(Exception):
    """A property has a value that is not carried out here; the message names both."""

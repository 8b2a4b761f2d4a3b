"""The error for properties that this package does not support."""

from __future__ import annotations


class UnsupportedError(Exception):
    """A property has an unsupported value; the message names both."""

"""The parts of URLs and keys, as the task definition put them into the environment.

Names and addresses are plain variables; users and passwords come from the JSON
keys ``username`` and ``password`` of a secret. A value never enters a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HIGHEST_PORT = 65535


class PartError(Exception):
    """A part is missing or cannot be what it should be; the message names it."""


def part(environ: Mapping[str, str], name: str) -> str:
    """Return the variable ``name``, which must be there and hold something."""
    value = environ.get(name, "")
    if not value:
        state = "is empty" if name in environ else "is not set"
        raise PartError(
            f"{name} {state}; the task definition takes it from a secret or a wire"
        )
    return value


def host(environ: Mapping[str, str], name: str) -> str:
    """Return a host name: a stray character would move where the URL points."""
    value = part(environ, name)
    if not value.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise PartError(f"{name} is not a host name")
    return value


def port(environ: Mapping[str, str], name: str) -> int:
    """Return a TCP port."""
    value = part(environ, name)
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= HIGHEST_PORT):
        raise PartError(f"{name} is not a port between 1 and {HIGHEST_PORT}")
    return int(value)

"""The ``ValueFrom`` of a container's secret: ``arn[:key:stage:version]``."""

from __future__ import annotations

ARN_FIELDS = 7
"""Fields of the ARN of a secret."""


def parts(text: str) -> tuple[str, str]:
    """Return the ARN, and the key in the secret's JSON or nothing."""
    fields = text.split(":")
    return ":".join(fields[:ARN_FIELDS]), "".join(fields[ARN_FIELDS : ARN_FIELDS + 1])

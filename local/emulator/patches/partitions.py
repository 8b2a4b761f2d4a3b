"""Partitions other than ``aws``, which MiniStack does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PARTITIONS = (
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("", "aws", "amazonaws.com"),
)
"""Prefix of a region's name, partition, and URL suffix."""

SUFFIXES = tuple(dict.fromkeys(suffix for _, _, suffix in PARTITIONS))


def partition_of(region: str) -> tuple[str, str]:
    """Return the partition and the URL suffix of a region."""
    return next(
        (partition, suffix)
        for start, partition, suffix in PARTITIONS
        if region.startswith(start)
    )


def resolving(
    resolve: Callable[..., Any], region: Callable[[], str]
) -> Callable[..., Any]:
    """Return a resolver of references that knows the region's partition."""

    def resolve_here(value: Any, *context: Any) -> Any:
        if not isinstance(value, dict):
            return resolve(value, *context)
        partition, suffix = partition_of(region())
        if partition != "aws":
            if value.get("Ref") == "AWS::Partition":
                return partition
            if value.get("Ref") == "AWS::URLSuffix":
                return suffix
            if "Fn::Sub" in value:
                value = {"Fn::Sub": _substituted(value["Fn::Sub"], partition, suffix)}
        return resolve(value, *context)

    return resolve_here


def _substituted(argument: Any, partition: str, suffix: str) -> Any:
    if isinstance(argument, list):
        return [_substituted(argument[0], partition, suffix), *argument[1:]]
    return (
        str(argument)
        .replace("${AWS::Partition}", partition)
        .replace("${AWS::URLSuffix}", suffix)
    )

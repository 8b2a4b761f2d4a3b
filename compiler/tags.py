"""Check stack tags, which CloudFormation puts on every resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_TAGS = 49
"""CloudFormation, EC2 and ECS take 50, and many resources have one of their own: Name,
or the pool of a service."""

MAX_KEY = 128
MAX_VALUE = 256
"""Limits of CloudFormation's API."""

OWNERS = {
    "aws:": "AWS",
    "airflow:": "the templates, which tell by them whose a resource is",
}
"""Prefixes of names that no stack tag may have, and whose they are.

A stack tag is on every resource that has no tag of that name: ``airflow:pool`` would
make each service one of workers for the autoscaler, ``airflow:stack`` would open the
resources to the roles of another stack. In any case: a condition of IAM on a tag does
not tell names apart that differ in case only."""

MARKS = frozenset(" _.:/=+-@")
"""Characters of a tag in IAM, the strictest service, beside letters and digits."""


def objections(key: str, value: str, before: Iterable[str]) -> Iterator[str]:
    """Yield why a tag cannot be set beside the keys ``before`` it."""
    if not key:
        yield "A tag has a name."
    if len(key) > MAX_KEY:
        yield f"A name has {MAX_KEY} characters at most; this has {len(key)}."
    if not value:
        yield "CloudFormation takes no empty value."
    if len(value) > MAX_VALUE:
        yield f"A value has {MAX_VALUE} characters at most; this has {len(value)}."
    for prefix, owner in OWNERS.items():
        if key.casefold().startswith(prefix):
            yield f"Names that begin with {prefix} belong to {owner}."
    if not all(c.isalnum() or c in MARKS for c in key + value):
        yield "IAM takes letters, digits, spaces and _ . : / = + - @ in a tag."
    if key.casefold() in (other.casefold() for other in before):
        yield "IAM does not tell names apart that differ in case only."

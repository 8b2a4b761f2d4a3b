"""Check CloudFormation's quotas at build time, with a margin.

A template over a quota is refused at launch, which is too late, and an update that has
to exceed one is impossible. So the build stops at 90 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.errors import Problem

Document = Mapping[str, Any]
"""A template, or anything inside one."""

ROOM = 0.9
"""The share of a quota that a template may use."""

SOURCE = "AWS CloudFormation User Guide, Understand CloudFormation quotas"
DYNAMIC_REFERENCES = "AWS CloudFormation User Guide, dynamic references"


@dataclass(frozen=True, kw_only=True)
class QuotaUsage:
    """How much one part of a template uses of a quota."""

    of: str
    used: int


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One limit, how it is counted, and what to do when it comes near."""

    name: str
    limit: int
    counts: Callable[[Document, str], Iterator[QuotaUsage]]
    remedy: str
    source: str = SOURCE


def _entries(section: str) -> Callable[[Document, str], Iterator[QuotaUsage]]:
    def counts(document: Document, _text: str) -> Iterator[QuotaUsage]:
        yield QuotaUsage(of="", used=len(document.get(section, {})))

    return counts


def _bytes(_document: Document, text: str) -> Iterator[QuotaUsage]:
    yield QuotaUsage(of="", used=len(text.encode()))


def _mapping_attributes(document: Document, _text: str) -> Iterator[QuotaUsage]:
    for name, rows in document.get("Mappings", {}).items():
        yield QuotaUsage(
            of=name, used=len({column for row in rows.values() for column in row})
        )


def _names(document: Document, _text: str) -> Iterator[QuotaUsage]:
    for section in ("Parameters", "Mappings", "Conditions", "Resources", "Outputs"):
        for name in document.get(section, {}):
            yield QuotaUsage(of=name, used=len(name))


def _descriptions(document: Document, _text: str) -> Iterator[QuotaUsage]:
    yield QuotaUsage(of="Description", used=_length(document.get("Description", "")))
    for section in ("Parameters", "Outputs"):
        for name, entry in document.get(section, {}).items():
            yield QuotaUsage(of=name, used=_length(entry.get("Description", "")))


def _parameter_values(document: Document, _text: str) -> Iterator[QuotaUsage]:
    for name, entry in document.get("Parameters", {}).items():
        for value in (entry.get("Default", ""), *entry.get("AllowedValues", ())):
            yield QuotaUsage(of=name, used=_length(str(value)))


def _dynamic_references(_document: Document, text: str) -> Iterator[QuotaUsage]:
    yield QuotaUsage(of="", used=text.count("{{resolve:"))


def _length(text: str) -> int:
    return len(text.encode())


RESOURCES = Quota(
    name="resources",
    limit=500,
    counts=_entries("Resources"),
    remedy="Split the template into two.",
)
PARAMETERS = Quota(
    name="parameters",
    limit=200,
    counts=_entries("Parameters"),
    remedy="Pass a list as one parameter, or split the page into two stacks.",
)
OUTPUTS = Quota(
    name="outputs",
    limit=200,
    counts=_entries("Outputs"),
    remedy="Return a list as one output, or split the page into two stacks.",
)
BYTES = Quota(
    name="bytes",
    limit=1_000_000,
    counts=_bytes,
    remedy="Split the template into two.",
)

IN_THE_TABLE = (RESOURCES, PARAMETERS, OUTPUTS, BYTES)
"""The quotas that a growing template reaches first; every build prints them."""

TEMPLATE_QUOTAS = (
    *IN_THE_TABLE,
    Quota(
        name="mappings",
        limit=200,
        counts=_entries("Mappings"),
        remedy="Merge mappings that share their keys.",
    ),
    Quota(
        name="attributes of a mapping",
        limit=200,
        counts=_mapping_attributes,
        remedy="Split the mapping.",
    ),
    Quota(
        name="characters of a logical name",
        limit=255,
        counts=_names,
        remedy="Give it a shorter name, before the first release that contains it.",
    ),
    Quota(
        name="bytes of a description",
        limit=1_024,
        counts=_descriptions,
        remedy="Say it in fewer words; further paragraphs of the module's docstring "
        "become metadata, which has no such limit.",
    ),
    Quota(
        name="bytes of a parameter value",
        limit=4_096,
        counts=_parameter_values,
        remedy="Shorten the default or the allowed value.",
    ),
    Quota(
        name="dynamic references",
        limit=60,
        counts=_dynamic_references,
        remedy="Split the template into two.",
        source=DYNAMIC_REFERENCES,
    ),
)

RESOURCES_IN_ONE_OPERATION = Quota(
    name="resources in one nested operation",
    limit=2_500,
    counts=_entries("Resources"),
    remedy="Nest fewer stacks under one parent.",
)


def usage(quota: Quota, document: Document, text: str) -> int:
    """Return how much of a quota the fullest part of a template uses."""
    return max((count.used for count in quota.counts(document, text)), default=0)


def over_quota(templates: Mapping[str, tuple[Document, str]]) -> list[Problem]:
    """Check templates, given by path as document and text, and their nesting."""
    problems = [
        _problem(f"{path}: {count.of}" if count.of else path, count.used, quota)
        for path, (document, text) in templates.items()
        for quota in TEMPLATE_QUOTAS
        for count in quota.counts(document, text)
        if count.used > quota.limit * ROOM
    ]
    documents = {path: document for path, (document, _) in templates.items()}
    for path in documents:
        total = resources_below(path, documents)
        if total > RESOURCES_IN_ONE_OPERATION.limit * ROOM:
            problems.append(
                _problem(
                    f"{path} with its nested stacks", total, RESOURCES_IN_ONE_OPERATION
                )
            )
    return problems


def resources_below(path: str, documents: Mapping[str, Document]) -> int:
    """Count the resources of a template and of every stack nested in it."""
    return sum(
        1 + resources_below(nested, documents)
        if (nested := _nested_path(resource)) in documents
        else 1
        for resource in documents[path].get("Resources", {}).values()
    )


def _nested_path(resource: Document) -> str:
    if resource["Type"] != "AWS::CloudFormation::Stack":
        return ""
    return str(resource["Properties"]["TemplateURL"])


def _problem(where: str, used: int, quota: Quota) -> Problem:
    return Problem(
        where=where,
        what=f"{used:,} {quota.name} of {quota.limit:,}, over {ROOM:.0%} of the quota.",
        why=f"A stack that needs one more update would be stuck ({quota.source}).",
        remedy=quota.remedy,
    )

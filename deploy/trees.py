"""A running stack and a published one, each as a tree of evaluated templates.

A nested template whose URL is the published one is not asked for: URLs are those of
contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cli.errors import AwsError, Problem, Refused
from cloudformation.evaluation import Path, Stack
from deploy import stacks
from deploy.addresses import Publication
from deploy.aws import Aws, is_missing
from deploy.dist import STACK, TEMPLATE, Dist, Environment
from deploy.stacks import StackSummary

VERSION = "Version"
"""Metadata of the root template: the version of the templates."""


def published(dist: Dist, publication: Publication, environment: Environment) -> Stack:
    """Return the stack that a launch makes."""

    def find_template(path: Path) -> Mapping[str, Any] | None:
        file = dist.file_at(path)
        return publication.template(file) if file in dist.templates else None

    return Stack(
        publication.template(dist.root),
        environment.parameters,
        find_template=find_template,
    )


def expected(dist: Dist, parameters: Mapping[str, str]) -> dict[Path, int]:
    """Return the number of resources that a creation makes in each stack of the tree.

    Nested stacks are not counted in their parent. Empty without dist/.
    """
    if dist.root not in dist.templates:
        return {}
    tree = Stack(
        dist.templates[dist.root],
        parameters,
        find_template=lambda path: dist.template_at(path) or None,
    )
    counts: dict[Path, int] = {(): 0}
    for resource in tree.walk():
        if resource.type == STACK:
            counts[(*resource.path, resource.logical_id)] = 0
        else:
            counts[resource.path] += 1
    return counts


def running(aws: Aws, stack: StackSummary, publication: Publication) -> Stack:
    """Return the stack as it was launched last, of whatever version."""
    by_url = {f.url: f.path for f in publication.files if f.path.endswith(TEMPLATE)}

    @cache
    def physical_ids(path: Path) -> dict[str, str]:
        stack_id = stack.id if not path else physical_ids(path[:-1])[path[-1]]
        return {
            row["LogicalResourceId"]: row.get("PhysicalResourceId", "")
            for row in stacks.resources(aws, stack_id)
        }

    @cache
    def template(path: Path) -> Mapping[str, Any]:
        if not path:
            return stacks.template(aws, stack.id)
        body = template(path[:-1])["Resources"][path[-1]]
        url = body.get("Properties", {}).get("TemplateURL")
        if url in by_url:
            return publication.template(by_url[url])
        nested_id = physical_ids(path[:-1]).get(path[-1])
        try:
            nested = stacks.template(aws, nested_id) if nested_id else None
        except AwsError as error:
            if not is_missing(error):
                raise
            nested = None
        if nested is None:
            raise Refused(
                Problem(
                    where=f"Stack {stack.name}",
                    what=f"Its nested stack {'/'.join(path)} does not exist.",
                    why="It was never completed, or was deleted by itself; "
                    "CloudFormation cannot update a stack that lacks one.",
                    remedy="`build.py destroy ENV` deletes the rest and can keep the "
                    "data; then launch again.",
                )
            )
        return nested

    try:
        return Stack(template(()), stack.parameters, find_template=template)
    except ValueError as error:
        # Another stack's template may be YAML.
        raise _foreign(stack) from error


def check_origin(old: Stack, new: Stack, stack: StackSummary) -> str:
    """Return a note about the versions of two stacks, or nothing.

    Refuses to update a stack that was not made from templates of this project.
    """
    version, running_version = (
        each.template.get("Metadata", {}).get(VERSION, "") for each in (new, old)
    )
    if version and not running_version:
        raise _foreign(stack)
    if version == running_version:
        return ""
    return (
        f"Stack {stack.name} runs version {running_version} of the templates; this is "
        f"version {version}. CHANGELOG.md and docs/upgrade.md say what that needs."
    )


def _foreign(stack: StackSummary) -> Refused:
    return Refused(
        Problem(
            where=f"Stack {stack.name}",
            what="It was not launched from these templates, nor from another version "
            "of them.",
            why="An update would delete every resource in it.",
            remedy="Choose another name with --stack-name, or correct --region.",
        )
    )

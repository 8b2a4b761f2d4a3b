"""One parameter file in the formats of other tools; same input, same bytes.

========================  ====================================================
``cli.json``              ``aws cloudformation create-stack --parameters``
``tags.json``             ``--tags`` of the same, and of Service Catalog
``codepipeline.json``     template configuration of a CloudFormation action
``git-sync.yaml``         stack deployment file of CloudFormation's Git sync
``service-catalog.json``  ``aws servicecatalog provision-product
                          --provisioning-parameters``
========================  ====================================================

No format adds defaults: a default that a later release changes must reach the stacks
that do not set the parameter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compiler.parameters import EnvironmentFile, MalformedFileError

FOLDER = "parameters"

PUBLISHED = "published"
"""Folder in which a user of Git sync keeps the published root template, from the top of
the repository: the one in ``dist/`` names nested stacks by relative path, which Git
sync does not follow."""

GIT_SYNC_NOTE = """\
# Stack deployment file for CloudFormation's Git sync.
# Git sync does not upload nested templates: the one named here must be published.
"""


def formats(environment: EnvironmentFile, *, root_template: str) -> dict[str, str]:
    """Return the files of one environment by their path below ``dist/``."""
    if environment.problems:
        raise MalformedFileError(*environment.problems)
    parameters, tags = environment.parameters, environment.tags
    configuration: dict[str, Any] = {"Parameters": dict(parameters), "Tags": dict(tags)}
    if environment.stack_policy is not None:
        configuration["StackPolicy"] = environment.stack_policy
    files = {
        "cli.json": _json(_pairs(parameters, "ParameterKey", "ParameterValue")),
        "tags.json": _json(_pairs(tags, "Key", "Value")),
        "codepipeline.json": _json(configuration),
        "git-sync.yaml": GIT_SYNC_NOTE
        + f"template-file-path: {_scalar(f'{PUBLISHED}/{root_template}')}\n"
        + _yaml_map("parameters", parameters)
        + _yaml_map("tags", tags),
        "service-catalog.json": _json(_pairs(parameters, "Key", "Value")),
    }
    return {f"{FOLDER}/{environment.name}/{name}": text for name, text in files.items()}


def _pairs(members: Mapping[str, str], key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in members.items()]


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _yaml_map(name: str, members: Mapping[str, str]) -> str:
    if not members:
        return f"{name}: {{}}\n"
    lines = (f"  {_scalar(key)}: {_scalar(text)}\n" for key, text in members.items())
    return f"{name}:\n{''.join(lines)}"


def _scalar(text: str) -> str:
    """Return a YAML string that no reader takes for a boolean or a number.

    A JSON string is a YAML string, except for invisible characters, which are refused
    when the file is read.
    """
    return json.dumps(text, ensure_ascii=False)

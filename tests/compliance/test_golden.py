"""The compiled templates, rendered for reading: a diff here is a change to production.

``make golden`` writes the files; their diff is then read in review. For each
environment a second file lists its resources and the parameters of each nested stack,
so that a change of a parameter file shows there too.

The rendering folds three things, so that each shows once and can be read:

- A string that holds JSON is shown parsed, under a key that says how it was written.
- The text of ``fargate_runtime/bootstrap.py`` and the digest of the runtime archive
  have a name instead: both change with that code, whose own diff shows it.
- ``Environment`` and ``Secrets`` of a container are objects, one variable a line.

Whatever else changes in a template changes its file: a string that would not come back
from the fold as it was is not folded, and files are compared as text, order included.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli import product
from tests.compliance.environments import Environments, Library

GOLDEN = Path(__file__).parents[1] / "golden"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"
HOW = "If the change is meant, run `make golden` and read the diff."
WIDTH = 120

JSON_STYLES = {
    "<JSON>": (", ", ": "),
    "<compact JSON>": (",", ":"),
}
NAMED_TEXTS = {
    (product.ROOT / "fargate_runtime" / "bootstrap.py").read_text(): (
        "<fargate_runtime/bootstrap.py>"
    ),
}
VARIABLES = {"Environment": "Value", "Secrets": "ValueFrom"}

STATEFUL = {
    "AWS::Backup::BackupVault",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}


def rendered(value: Any, key: str = "") -> Any:
    """Return a value as golden files show it."""
    if isinstance(value, dict):
        return {name: rendered(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return _variables(value, key) or [rendered(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    return value


def _text(text: str) -> Any:
    for long_text, name in NAMED_TEXTS.items():
        if text == long_text:
            return name
    if text.startswith(("{", "[")):
        try:
            document = json.loads(text)
        except ValueError:
            return text
        for style, separators in JSON_STYLES.items():
            if json.dumps(document, separators=separators) == text:
                return {style: rendered(document)}
    return text


def _variables(items: list[Any], key: str) -> dict[str, Any] | None:
    value_key = VARIABLES.get(key, "")
    if not items or any(
        not isinstance(item, dict) or item.keys() != {"Name", value_key}
        for item in items
    ):
        return None
    variables = {item["Name"]: rendered(item[value_key]) for item in items}
    return variables if len(variables) == len(items) else None


def lines(value: Any, indent: str = "") -> str:
    """Return a value as JSON: an item a line, or on one line where that is short."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list):
        return line
    if len(indent) > 1 and len(indent + line) <= WIDTH:
        return line
    inner = indent + " "
    if isinstance(value, dict):
        items = [
            f"{json.dumps(key)}: {lines(item, inner)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{indent}}}"
    items = [inner + lines(item, inner) for item in value]
    return "[\n" + ",\n".join(items) + f"\n{indent}]"


def compare(path: Path, document: Any) -> None:
    text = lines(rendered(document))
    for asset in product.assets().values():
        text = text.replace(asset.sha256, "digest-of-the-runtime")
    if UPDATES:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert path.exists(), f"{path.name} has no golden file. {HOW}"
    assert path.read_text() == text + "\n", HOW


def test_templates_match_golden_files(library: Library) -> None:
    for name, template in library.items():
        compare(GOLDEN / "templates" / name, template)
    assert {p.name for p in (GOLDEN / "templates").iterdir()} == library.keys()


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (product.ROOT / "parameters").glob("*.json"))
)
def test_environments_match_golden_files(name: str, library: Library) -> None:
    stacks = {
        "/".join(["Parent", *stack.path]): {
            "Parameters": stack.parameters,
            "Resources": sorted(
                name
                for name, resource in stack.document["Resources"].items()
                if stack.exists(resource)
            ),
        }
        for stack in Environments(library, name).base.root.walk()
    }
    compare(GOLDEN / "environments" / f"{name}.json", stacks)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": 1}', '{"a":1}'),
        ('{"a": 1}', '{"a":  1}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ("1", 1),
        (
            {"Environment": [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}]},
            {"Environment": [{"Name": "B", "Value": "2"}, {"Name": "A", "Value": "1"}]},
        ),
        (
            {"Environment": [{"Name": "A", "Value": "1"}, {"Name": "A", "Value": "2"}]},
            {"Environment": [{"Name": "A", "Value": "2"}]},
        ),
        (
            {"Environment": [{"Name": "A", "Value": "1"}]},
            {"Secrets": [{"Name": "A", "ValueFrom": "1"}]},
        ),
        *((text, text + " ") for text in NAMED_TEXTS),
    ],
)
def test_rendering_shows_every_change(before: Any, after: Any) -> None:
    assert lines(rendered(before)) != lines(rendered(after))


def test_stateful_logical_ids_never_change(library: Library) -> None:
    # Renaming a logical ID deletes the resource: the ledger is the contract with every
    # launched stack. An entry may be added; a change or a removal loses data.
    ledger = {
        f"{name.removesuffix('.template.json')}.{logical_id}": {
            key: resource.get(key)
            for key in ("Type", "DeletionPolicy", "UpdateReplacePolicy")
        }
        for name, template in library.items()
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] in STATEFUL
    }
    compare(GOLDEN / "stateful.json", dict(sorted(ledger.items())))


MAY_BE_DELETED = {
    "cache.CeleryLogin": "the broker's user is deleted with it",
    "credentials.Admin": "the password lies hashed in the database",
    "credentials.Api": "losing it logs users out and loses no data",
    "credentials.Flower": "a login and nothing more",
    "credentials.Jwt": "losing it logs users out and loses no data",
    "database.AirflowLogin": "the migration job sets the role's password at every run",
    "database.ResultsLogin": "the migration job sets the role's password at every run",
    "database.ScalingLogin": "the migration job sets the role's password at every run",
    "database.Reader": "the data lies in the cluster's storage",
    "database.Writer": "the data lies in the cluster's storage",
}
"""What is stateful by type and yet may be deleted with its stack, and why."""


def test_stateful_resources_are_retained(library: Library) -> None:
    retained: set[str] = set()
    deleted: set[str] = set()
    for name, template in library.items():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] in STATEFUL:
                place = f"{name.removesuffix('.template.json')}.{logical_id}"
                policies = {resource["DeletionPolicy"], resource["UpdateReplacePolicy"]}
                keeps = policies <= {"Retain", "RetainExceptOnCreate", "Snapshot"}
                (retained if keeps else deleted).add(place)
    assert deleted == MAY_BE_DELETED.keys()
    assert retained

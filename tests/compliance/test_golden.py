"""The compiled templates, word for word: a diff here is a change to production.

``make golden`` writes the files anew; the diff is then read in review. For each
environment a second file says which resources it has and what crosses into each
nested stack, so that a change of a parameter file shows there too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.resolver import Stack

GOLDEN = Path(__file__).parents[1] / "golden"
UPDATES = os.environ.get("UPDATE_GOLDEN") == "1"
HOW = "If the change is meant, run `make golden` and read the diff."

Library = Mapping[str, Mapping[str, Any]]

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


def compare(path: Path, actual: Any) -> None:
    text = json.dumps(actual, indent=1, ensure_ascii=False) + "\n"
    if UPDATES:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path.name} has no golden file. {HOW}"
    assert json.loads(path.read_text()) == json.loads(text), HOW


def without_digests(document: Any, digests: set[str]) -> Any:
    """Replace what changes with every line of the runtime by its name."""
    text = json.dumps(document, ensure_ascii=False)
    for digest in digests:
        text = text.replace(digest, "digest-of-the-runtime")
    return json.loads(text)


def test_compiles_to_the_golden_templates(library: Library, digests: set[str]) -> None:
    for name, template in library.items():
        compare(GOLDEN / "templates" / name, without_digests(template, digests))
    assert {p.name for p in (GOLDEN / "templates").iterdir()} == library.keys()


def test_each_environment_is_its_golden_self(
    environment: Stack, environment_name: str, digests: set[str]
) -> None:
    stacks = {
        "/".join(["Parent", *stack.path]): {
            "Parameters": stack.parameters,
            "Resources": sorted(
                name
                for name, resource in stack.document["Resources"].items()
                if stack.exists(resource)
            ),
        }
        for stack in environment.walk()
    }
    path = GOLDEN / "environments" / f"{environment_name}.json"
    compare(path, without_digests(stacks, digests))


def test_stateful_logical_ids_never_change(library: Library) -> None:
    # Renaming one is deleting it: the ledger is the contract with every launched
    # stack. An entry may be added; a change or a removal loses somebody's data.
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


MAY_GO = {
    "cache.CeleryLogin": "the queue's user goes with it",
    "credentials.Admin": "the password lies hashed in the database",
    "credentials.Api": "losing it logs people out and loses no data",
    "credentials.Flower": "a login and nothing more",
    "credentials.Jwt": "losing it logs people out and loses no data",
    "database.AirflowLogin": "the migration job sets the role's password at every run",
    "database.ResultsLogin": "the migration job sets the role's password at every run",
    "database.ScalingLogin": "the migration job sets the role's password at every run",
    "database.Reader": "the data lies in the cluster's storage",
    "database.Writer": "the data lies in the cluster's storage",
}
"""What is stateful by type and yet may go with its stack, and why."""


def test_what_holds_data_outlives_its_stack(library: Library) -> None:
    kept: set[str] = set()
    gone: set[str] = set()
    for name, template in library.items():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] in STATEFUL:
                place = f"{name.removesuffix('.template.json')}.{logical_id}"
                policies = {resource["DeletionPolicy"], resource["UpdateReplacePolicy"]}
                keeps = policies <= {"Retain", "RetainExceptOnCreate", "Snapshot"}
                (kept if keeps else gone).add(place)
    assert gone == MAY_GO.keys()
    assert kept

"""Which permissions the provider of a resource type takes, as its schema says.

cfn-lint carries the schemas of all types and IAM's reference of all actions, but
reading them takes longer than the whole compiler. ``handler_permissions.json`` holds
what the templates use; a test fails when it is stale or incomplete::

    python -m compiler.handler_permissions                      write it anew
    python -m compiler.handler_permissions AWS::SNS::Topic      add a type
    python -m compiler.handler_permissions --drop AWS::SNS::Topic

An action that IAM's reference does not know is left out: schemas list a few that do
not exist (``s3:REST.PUT.OBJECT``), and IAM ignores them at best.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiler.iam_scopes import further_actions
from compiler.wiring import WiringError

DATA = Path(__file__).with_suffix(".json")

ASKED_REGION = "us-east-1"
"""Permissions do not differ between regions; this one has every type."""


@dataclass(frozen=True, kw_only=True)
class HandlerPermissions:
    """What the providers of resource types call."""

    always: Mapping[str, frozenset[str]]
    """By type: to create, read, update and list, and maybe to delete."""
    only_to_delete: Mapping[str, frozenset[str]]
    """By type: to delete, and for nothing else."""
    without_resource: frozenset[str]
    """Actions, of these and of ``NEEDS``, that IAM can allow on ``*`` only."""


@functools.cache
def known() -> HandlerPermissions:
    """Return what the file holds."""
    data = json.loads(DATA.read_text())
    return HandlerPermissions(
        always={name: frozenset(of["always"]) for name, of in data["types"].items()},
        only_to_delete={
            name: frozenset(of["only_to_delete"]) for name, of in data["types"].items()
        },
        without_resource=frozenset(data["without_resource"]),
    )


def collect(types: Iterable[str], further: Iterable[str]) -> dict[str, Any]:
    """Return the file's content from cfn-lint; ``further`` are actions to look up."""
    # Imported here: the compiler reads the file and never needs cfn-lint.
    import cfnlint  # noqa: PLC0415
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # noqa: PLC0415

    folder = Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs"
    reference = json.loads((folder / "Policies.json").read_text())

    def entry(action: str) -> Mapping[str, Any] | None:
        service, _, name = action.partition(":")
        actions = reference.get(service, {}).get("Actions", {})
        found: Mapping[str, Any] | None = actions.get(name.lower())
        return found

    def called(schema: Mapping[str, Any], *handlers: str) -> set[str]:
        return {
            _spelled(action)
            for handler in handlers
            for action in schema["handlers"].get(handler, {}).get("permissions", ())
            if entry(action) is not None
        }

    found: dict[str, dict[str, list[str]]] = {}
    for name in sorted(set(types)):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(ASKED_REGION, name).schema
        if "handlers" not in schema:
            raise WiringError(
                name,
                "its schema lists no permissions",
                "Use a type whose schema does, or Custom::... for a custom resource",
            )
        always = called(schema, "create", "read", "update", "list")
        found[name] = {
            "always": sorted(always),
            "only_to_delete": sorted(called(schema, "delete") - always),
        }
    actions = {
        action
        for of in found.values()
        for action in (*of["always"], *of["only_to_delete"])
    } | set(further)
    unknown = sorted(action for action in actions if entry(action) is None)
    if unknown:
        raise WiringError(
            "compiler/iam_scopes.py",
            f"IAM knows no {', '.join(unknown)}",
            "Correct the spelling",
        )
    return {
        "types": found,
        "without_resource": sorted(
            action for action in actions if not (entry(action) or {}).get("Resources")
        ),
    }


def text(content: Mapping[str, Any]) -> str:
    """Return the file as it is written."""
    return json.dumps(content, indent=1) + "\n"


def _spelled(action: str) -> str:
    """Spell an action as IAM's reference does; a few schemas begin it in lower case."""
    service, _, name = action.partition(":")
    return f"{service}:{name[0].upper()}{name[1:]}"


def main(arguments: Sequence[str]) -> None:
    """Write the file anew, with more types or with fewer."""
    parser = argparse.ArgumentParser(
        prog="python -m compiler.handler_permissions",
        description="Write the permissions of the resource types anew, from cfn-lint.",
    )
    parser.add_argument("add", nargs="*", metavar="TYPE", help="a type to add")
    parser.add_argument(
        "--drop", action="append", default=[], metavar="TYPE", help="a type to remove"
    )
    given = parser.parse_args(arguments)
    before = set(known().always) if DATA.exists() else set()
    types = (before | set(given.add)) - set(given.drop)
    DATA.write_text(text(collect(types, further_actions())))
    sys.stderr.write(f"{DATA.name}: {len(types)} types\n")


if __name__ == "__main__":
    main(sys.argv[1:])

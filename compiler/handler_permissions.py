"""Permissions that the provider of a resource type needs, as its schema says.

cfn-lint has the schemas of all types and IAM's reference of all actions, but reading
them takes longer than the whole compiler. A file has the types that the templates use;
a test fails when it is stale or incomplete::

    python -m compiler.handler_permissions FILE                      rewrite it
    python -m compiler.handler_permissions FILE AWS::SNS::Topic      add a type
    python -m compiler.handler_permissions FILE --drop AWS::SNS::Topic

An action that IAM's reference does not have is left out: schemas list a few that do
not exist (``s3:REST.PUT.OBJECT``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compiler.iam_scopes import HandlerPermissions, further_actions
from compiler.values import WiringError

REGION = "us-east-1"
"""Permissions do not differ between regions; this one has every type."""


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
        details: Mapping[str, Any] | None = actions.get(name.lower())
        return details

    def called(schema: Mapping[str, Any], *handlers: str) -> set[str]:
        return {
            _capitalized(action)
            for handler in handlers
            for action in schema["handlers"].get(handler, {}).get("permissions", ())
            if entry(action) is not None
        }

    permissions: dict[str, dict[str, list[str]]] = {}
    for name in sorted(set(types)):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, name).schema
        if "handlers" not in schema:
            raise WiringError(
                name,
                "its schema lists no permissions",
                "Use a type whose schema does, or Custom::... for a custom resource",
            )
        always = called(schema, "create", "read", "update", "list")
        permissions[name] = {
            "always": sorted(always),
            "only_to_delete": sorted(called(schema, "delete") - always),
        }
    actions = {
        action
        for of in permissions.values()
        for action in (*of["always"], *of["only_to_delete"])
    } | set(further)
    unknown = sorted(action for action in actions if entry(action) is None)
    if unknown:
        raise WiringError(
            "compiler/iam_scopes.py",
            f"IAM knows no {', '.join(unknown)}",
            "Correct its name",
        )
    return {
        "types": permissions,
        "without_resource": sorted(
            action for action in actions if not (entry(action) or {}).get("Resources")
        ),
    }


def text(content: Mapping[str, Any]) -> str:
    """Return the file as it is written."""
    return json.dumps(content, indent=1) + "\n"


def _capitalized(action: str) -> str:
    """Return an action as IAM's reference has it; some schemas begin in lower case."""
    service, _, name = action.partition(":")
    return f"{service}:{name[0].upper()}{name[1:]}"


def main(arguments: Sequence[str]) -> None:
    """Rewrite the file, with more types or with fewer."""
    # Imported here: that module needs this one.

    parser = argparse.ArgumentParser(
        prog="python -m compiler.handler_permissions",
        description="Rewrite the permissions of the resource types, from cfn-lint.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("add", nargs="*", metavar="TYPE", help="a type to add")
    parser.add_argument(
        "--drop", action="append", default=[], metavar="TYPE", help="a type to remove"
    )
    options = parser.parse_args(arguments)
    file: Path = options.file
    before = HandlerPermissions.read(file).always if file.exists() else ()
    types = {*before, *options.add} - set(options.drop)
    file.write_text(text(collect(types, further_actions())))
    sys.stderr.write(f"{file.name}: {len(types)} types\n")


if __name__ == "__main__":
    main(sys.argv[1:])

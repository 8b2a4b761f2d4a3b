"""Read ``dist/``: templates, assets and environments, verified against the manifest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cli.errors import Problem, Unable, UsageError

MANIFEST = "manifest.json"
ROOT = "parent.template.json"
CATALOG = "service-catalog.template.json"
ROLE = "deployment-role.template.json"
TEMPLATE = ".template.json"
ASSETS = "assets/"
ENVIRONMENTS = "parameters/"
CONFIGURATION = "codepipeline.json"
"""The format of an environment with parameters, tags and stack policy."""

STACK = "AWS::CloudFormation::Stack"

STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")

BOUNDARY = "PermissionsBoundaryArn"
"""Parameter that names the boundary of the roles in the stack."""

PROTECTION = "DeletionProtection"
"""The parameter that also decides about termination protection of the stack."""

DEFERRED = "deferred"
"""Value of that parameter in a first launch, which must be able to roll back."""

BUILD = "Run make templates, then this again."


@dataclass(frozen=True)
class Environment:
    """Stack name, parameters and tags of one environment."""

    name: str
    stack_name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    stack_policy: Mapping[str, Any] | None = None
    is_protected: bool = True
    """Whether the stack gets termination protection."""
    role_arn: str = ""
    """Service role of CloudFormation; empty for the caller's rights."""
    topic_arns: tuple[str, ...] = ()
    """SNS topics that get the events of the parent stack; none for those it has."""


@dataclass(frozen=True)
class Dist:
    """The files of ``dist/``, as the manifest names them."""

    folder: Path
    files: Mapping[str, bytes]
    root: str = ROOT
    """The template of the root stack; the portfolio in Service Catalog has another."""

    @classmethod
    def read(cls, folder: Path) -> Dist:
        """Read every file and compare its digest with the manifest."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            digests: dict[str, str] = manifest["files"]
            files = {path: (folder / path).read_bytes() for path in digests}
        except FileNotFoundError as error:
            name = Path(str(error.filename)).name
            raise Unable(
                Problem(
                    where=f"{folder.name}/",
                    what=f"It has no {name}, so there is nothing to deploy."
                    if name == MANIFEST
                    else f"{name} is missing from it.",
                    remedy=BUILD,
                )
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unable(
                Problem(
                    where=f"{folder.name}/{MANIFEST}",
                    what="It is not the manifest of a build.",
                    remedy=BUILD,
                )
            ) from error
        changed = [path for path in digests if digest(files[path]) != digests[path]]
        if changed:
            raise Unable(
                *(
                    Problem(
                        where=f"{folder.name}/{path}",
                        what="It is not as the build wrote it.",
                        why="Only linted files are deployed.",
                        remedy=BUILD,
                    )
                    for path in changed
                )
            )
        return cls(folder, files)

    @cached_property
    def templates(self) -> Mapping[str, dict[str, Any]]:
        """Every template by its path."""
        return {
            path: json.loads(content)
            for path, content in self.files.items()
            if path.endswith(TEMPLATE)
        }

    @property
    def assets(self) -> Iterable[str]:
        """Paths of the files that templates refer to, beside other templates."""
        return [path for path in self.files if path.startswith(ASSETS)]

    @property
    def environments(self) -> list[str]:
        """Names of the environments that were built."""
        return sorted(
            path.removeprefix(ENVIRONMENTS).removesuffix(f"/{CONFIGURATION}")
            for path in self.files
            if path.startswith(ENVIRONMENTS) and path.endswith(f"/{CONFIGURATION}")
        )

    def environment(self, name: str, stack_name: str | None = None) -> Environment:
        """Return an environment by name."""
        content = self.files.get(f"{ENVIRONMENTS}{name}/{CONFIGURATION}")
        if content is None:
            known = ", ".join(self.environments) or "none"
            raise UsageError(
                Problem(
                    where=name,
                    what=f"{self.folder.name}/ has no environment of that name.",
                    why=f"It has: {known}.",
                    remedy=f"Correct the name, or write it: `build.py init {name}`."
                    if STACK_NAME.fullmatch(name)
                    else "Correct the name.",
                )
            )
        document = json.loads(content)
        parameters = document.get("Parameters", {})
        default = (
            self.templates.get(ROOT, {})
            .get("Parameters", {})
            .get(PROTECTION, {})
            .get("Default", "true")
        )
        return Environment(
            name=name,
            stack_name=checked_stack_name(stack_name or f"airflow-{name}"),
            parameters=parameters,
            tags=document.get("Tags", {}),
            stack_policy=document.get("StackPolicy"),
            is_protected=parameters.get(PROTECTION, default) == "true",
        )

    def defers_protection(self) -> bool:
        """Whether the root template can be launched with its protection deferred."""
        parameters = self.templates.get(self.root, {}).get("Parameters", {})
        return DEFERRED in parameters.get(PROTECTION, {}).get("AllowedValues", ())

    def file_at(self, path: Iterable[str]) -> str:
        """Return the file of a nested stack's template, by the logical IDs to it.

        The file of an unknown nested stack is in no build.
        """
        file = self.root
        for logical_id in path:
            resources = self.templates.get(file, {}).get("Resources", {})
            properties = resources.get(logical_id, {}).get("Properties", {})
            file = str(properties.get("TemplateURL", ""))
        return file

    def template_at(self, path: Iterable[str]) -> dict[str, Any]:
        """Return the template of a nested stack by the logical IDs that lead to it."""
        return self.templates.get(self.file_at(path), {})

    def purpose(self, path: Iterable[str], logical_id: str) -> str:
        """Return the purpose that the template states for a resource, or nothing."""
        resource = self.template_at(path).get("Resources", {}).get(logical_id, {})
        return str(resource.get("Metadata", {}).get("Purpose", ""))


def checked_stack_name(name: str) -> str:
    """Return a name that CloudFormation accepts; raise for any other."""
    if not STACK_NAME.fullmatch(name):
        raise UsageError(
            Problem(
                where=f"Stack name {name}",
                what="CloudFormation does not accept it.",
                why="A name has at most 128 letters, digits and hyphens, a letter "
                "first.",
                remedy="Choose another with --stack-name.",
            )
        )
    return name


def digest(content: bytes) -> str:
    """Return the SHA-256 of some content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()

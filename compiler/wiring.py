"""Nested stacks as function calls.

A template is a function from typed inputs to typed outputs::

    def define(t: Template, inputs: Inputs) -> Outputs: ...

Inside, each input is a Ref to one of the template's own parameters. Outside,
``t.nest(database.define, database.Inputs(...))`` places the stack and returns
the same ``Outputs``, each one a GetAtt on that stack. A name is written once,
as a field: ``vpc_id`` is the parameter and the output ``VpcId``.

A wrong connection is an error twice: mypy --strict refuses it by type, and the build
refuses it with a :class:`WiringError` that says what to write. Constraints and defaults
of a parameter take effect in the root alone, where an operator's value enters: in a
child, a pattern would refuse the unresolved value that a nested change set passes
(aws-cloudformation/rain#526).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, get_type_hints

from troposphere import (
    AWSHelperFn,
    AWSObject,
    GetAtt,
    Output,
    Parameter,
    Ref,
    Split,
)
from troposphere import Template as TroposphereTemplate
from troposphere.cloudformation import Stack

from compiler.constraints import value_faults
from compiler.interfaces import (
    Interface,
    Leaf,
    Record,
    about,
    fill,
    leaves,
    place,
    spell,
)
from compiler.parameters import WRITTEN_AS_OBJECT
from compiler.references import references
from compiler.rules import FOUND_AT_LAUNCH
from compiler.suggestions import nearest
from compiler.values import (
    ASSET_BUCKET,
    Asset,
    AssetBucket,
    AssetDigest,
    AssetFile,
    AssetKey,
    ConditionName,
    Number,
    V,
    Value,
    WiringError,
    choose,
)

__all__ = [
    "Asset",
    "AssetBucket",
    "AssetDigest",
    "AssetFile",
    "AssetKey",
    "Build",
    "ConditionName",
    "Define",
    "Interface",
    "Number",
    "Record",
    "Template",
    "Value",
    "WiringError",
    "about",
    "choose",
    "template_name",
    "title",
]

CONTEXT = "com.aws.cloudformation.Context"
"""The metadata key CloudFormation documents for the reasons behind a resource."""

VERSION = "Version"
"""The metadata key of the product's version."""

SECTION_ORDER = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
)
RESOURCE_ORDER = ("Type", "Metadata", "Condition", "DependsOn")

SPELLINGS = {"gib": "GiB"}
"""Words of a parameter's name that CloudFormation's case does not spell."""

In = TypeVar("In", bound=Interface)
Out = TypeVar("Out", bound=Interface)
Settings = TypeVar("Settings", bound=Record)
Resource = TypeVar("Resource", bound=AWSObject)
Define = Callable[["Template", In], Out]


class Template(TroposphereTemplate):
    """One template while it is written, and the templates nested in it."""

    def __init__(
        self, name: str, summary: str, detail: str, build: Build, *, is_root: bool
    ) -> None:
        super().__init__(Description=summary)
        self.set_version()
        self.name = name
        self.path = f"{name}.template.json"
        self.children: dict[str, Template] = {}
        self.document: dict[str, Any] = {}
        self.declared: list[Leaf] = []
        self._build = build
        self._is_root = is_root
        self.nested: dict[str, type[Interface]] = {}
        self.product_version = build.version
        self.set_metadata({VERSION: build.version})
        if detail:
            self.metadata[CONTEXT] = {"arch": detail}

    def add(self, resource: Resource, purpose: str, *, why: str = "") -> Resource:
        """Add a resource, with the sentence that stack events show.

        ``purpose`` says what it is for; ``why`` explains a property that a reader
        would question.
        """
        notes: dict[str, Any] = {"Purpose": purpose}
        if why:
            notes[CONTEXT] = {"why": why}
        resource.Metadata = notes
        placed: Resource = self.add_resource(resource)
        return placed

    def condition(self, name: str, expression: AWSHelperFn) -> ConditionName:
        """Add a condition and return its name, for ``If`` and ``Condition=``."""
        return ConditionName(self.add_condition(name, expression))

    def settings(
        self,
        record: type[Settings],
        *,
        prefix: str,
        group: str,
        where: str,
        defaults: Mapping[str, object],
        fixed: Mapping[str, object],
    ) -> Settings:
        """Return a record of settings, as one of several: a worker pool's, for example.

        Each member is a parameter, ``prefix`` before its name, with its own default
        or the one in ``defaults``; or it has its value in ``fixed`` and is no
        parameter. ``where`` names the entry in messages. Root only.
        """
        if not self._is_root:
            raise WiringError(
                f"{self.name}.{prefix}",
                "only the root has settings of an operator",
                "Make the record a field of Inputs and wire it",
            )
        check_settings(record, where=where, defaults=defaults, fixed=fixed)

        def value(leaf: Leaf) -> Value:
            if leaf.name in fixed:
                return leaf.kind(parameter_value(fixed[leaf.name]))
            notes = {**leaf.notes, "group": group}
            if leaf.name in defaults:
                notes["properties"] = {
                    **leaf.notes["properties"],
                    "Default": parameter_value(defaults[leaf.name]),
                }
            name = prefix + leaf.name
            parameter = replace(leaf, name=name, path=(name,), notes=notes)
            self.declare(parameter, self.name)
            return leaf.kind(Ref(title(name)))

        return fill(record, value)

    def publish(self, record: Record, *, prefix: str) -> None:
        """Add the members of a record as outputs, as one of several: a pool's.

        ``prefix`` is before the name of each. Root only: a nested template returns
        its outputs.
        """
        for leaf in leaves(type(record)):
            self.output(f"{prefix}{title(leaf.name)}", leaf, record)

    def output(self, name: str, leaf: Leaf, record: Interface) -> None:
        """Add a member of a record as the output ``name``."""
        output = Output(
            name,
            Value=leaf.read(record).crossing(),
            Description=leaf.notes["description"],
        )
        try:
            self.add_output(output)
        except ValueError as error:  # more than CloudFormation allows
            raise WiringError(
                f"{self.name}: output {name}",
                str(error),
                "Publish fewer records, such as those of worker pools",
            ) from error

    def asset(self, name: str) -> Asset:
        """Return the published file called ``name``."""
        if name not in self._build.assets:
            raise WiringError(
                f"{self.name}: asset {name!r}",
                "no such file goes with the templates",
                nearest(name, self._build.assets) or "Name one of them",
            )
        file = self._build.assets[name]
        return Asset(
            bucket=AssetBucket(ASSET_BUCKET),
            key=AssetKey(file.path),
            sha256=AssetDigest(file.sha256),
        )

    def nest(
        self,
        define: Define[In, Out],
        arguments: In,
        *,
        name: str = "",
        why: str = "",
        **attributes: Any,
    ) -> Out:
        """Place ``define`` here as a nested stack; return its outputs.

        ``name`` is the stack's logical ID where one template is nested several
        times; by default it is the template's own name.
        """
        inputs, returned = _signature(define)
        if not isinstance(arguments, inputs):
            raise WiringError(
                f"{self.name} nests {template_name(define)}",
                f"its inputs are not {place(type(arguments))}",
                f"Write {place(inputs)}(...)",
            )
        child = self._build.template(define)
        self.children[child.name] = child
        logical_id = name or title(child.name)
        if logical_id in self.resources:
            raise WiringError(
                f"{self.name}.{logical_id}",
                "two nested stacks have this name",
                "Write name=... to tell them apart",
            )
        stack = Stack(
            logical_id,
            TemplateURL=child.path,
            Parameters={
                title(leaf.name): leaf.read(arguments).crossing()
                for leaf in child.declared
            },
            **attributes,
        )
        self.add(stack, str(child.description), why=why)
        self.nested[logical_id] = returned
        return fill(
            returned,
            lambda leaf: _returned(
                leaf.kind, GetAtt(stack, f"Outputs.{title(leaf.name)}")
            ),
        )

    def nest_when(
        self,
        condition: ConditionName,
        define: Define[In, Out],
        arguments: In,
        *,
        otherwise: Out,
        name: str = "",
        why: str = "",
    ) -> Out:
        """Nest ``define`` only where ``condition`` holds.

        The outputs are those of the stack, or else those of ``otherwise``: an
        output of a stack that may not exist can never be read by mistake.
        """
        outputs = self.nest(define, arguments, name=name, why=why, Condition=condition)
        if type(otherwise) is not type(outputs):
            raise WiringError(
                f"{self.name} nests {template_name(define)} when {condition}",
                f"otherwise= is a {place(type(otherwise))}",
                f"Write otherwise={place(type(outputs))}(...)",
            )
        return fill(
            type(outputs),
            lambda leaf: choose(condition, leaf.read(outputs), leaf.read(otherwise)),
        )

    def declare(self, leaf: Leaf, where: str) -> None:
        """Add the parameter of one input; the root's has a default and constraints."""
        properties = {"Description": leaf.notes["description"]}
        if self._is_root:
            if not (leaf.notes["group"] and leaf.notes["label"]):
                raise WiringError(
                    f"{where}.{leaf.name}",
                    "a parameter of the root needs its place in the console's form",
                    "Write about(..., group=..., label=...)",
                )
            properties |= {**leaf.kind.rules, **leaf.notes["properties"]}
            self.add_parameter_to_group(title(leaf.name), leaf.notes["group"])
            self.set_parameter_label(title(leaf.name), leaf.notes["label"])
            for mark in (FOUND_AT_LAUNCH, WRITTEN_AS_OBJECT):
                if mark in leaf.notes["tags"]:
                    self.metadata.setdefault(mark, []).append(title(leaf.name))
        elif leaf.notes["properties"] and not leaf.in_record:
            raise WiringError(
                f"{where}.{leaf.name}",
                f"a nested template has its own {', '.join(leaf.notes['properties'])}",
                "Write it on the parent's input: defaults and constraints live there",
            )
        self.add_parameter(
            Parameter(title(leaf.name), Type=leaf.kind.type, **properties)
        )
        self.declared.append(leaf)

    def walk(self) -> Iterator[Template]:
        """Every template below this one, each once, then this one."""
        names: set[str] = set()
        for child in self.children.values():
            for template in child.walk():
                if template.name not in names:
                    names.add(template.name)
                    yield template
        yield self

    def text(self) -> str:
        """Return the template as it is written to ``dist/``: same input, same bytes."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"


class Build:
    """One run of the compiler: every template once, however often it is nested."""

    def __init__(
        self, assets: Mapping[str, AssetFile] | None = None, *, version: str = "0"
    ) -> None:
        """Compile with these assets; ``version`` is written into every template."""
        self.assets = dict(assets or {})
        self.version = version
        self._templates: dict[str, tuple[Define[Any, Any], Template]] = {}

    def root(self, define: Define[In, Out]) -> Template:
        """Compile a root: its parameters carry the defaults and constraints."""
        return self._compile(define, is_root=True)

    def template(self, define: Define[In, Out]) -> Template:
        """Return the compiled template of ``define``, compiled once."""
        name = template_name(define)
        if name not in self._templates:
            self._templates[name] = (define, self._compile(define, is_root=False))
        first, template = self._templates[name]
        if first is not define:
            raise WiringError(
                name,
                "two different templates have this name",
                "Give each template a module of its own",
            )
        return template

    def _compile(self, define: Define[In, Out], *, is_root: bool) -> Template:
        inputs, outputs = _signature(define)
        summary, _, detail = (sys.modules[define.__module__].__doc__ or "").partition(
            "\n\n"
        )
        template = Template(
            template_name(define),
            " ".join(summary.split()),
            _flow(detail),
            self,
            is_root=is_root,
        )
        for leaf in leaves(inputs):
            template.declare(leaf, place(inputs))

        returned = define(
            template, fill(inputs, lambda leaf: leaf.kind(Ref(title(leaf.name))))
        )
        if not isinstance(returned, outputs):
            raise WiringError(
                f"{template_name(define)}.define",
                f"it returned {spell(returned)}",
                f"End with return {outputs.__name__}(...)",
            )
        for leaf in leaves(outputs):
            template.output(title(leaf.name), leaf, returned)
        template.document = _in_reading_order(template.to_dict())
        _keep_only_used_inputs(template, inputs, is_root=is_root)
        _check_every_output_is_read(template)
        return template


def check_settings(
    record: type[Record],
    *,
    where: str,
    defaults: Mapping[str, object],
    fixed: Mapping[str, object],
) -> None:
    """Raise WiringError where an entry names no setting, or gives it a wrong value."""
    kinds = {leaf.name: leaf for leaf in leaves(record)}
    for name, value in [*defaults.items(), *fixed.items()]:
        if name not in kinds:
            raise WiringError(
                f"{where}: {name}",
                f"{place(record)} has no such field",
                nearest(name, kinds) or f"Fields: {', '.join(kinds)}",
            )
        kind, notes = kinds[name].kind, kinds[name].notes
        definition = {"Type": kind.type, **kind.rules, **notes["properties"]}
        for fault in value_faults(definition, str(parameter_value(value))):
            raise WiringError(f"{where}: {name}", fault.what.rstrip("."), fault.remedy)
    if both := [name for name in kinds if name in defaults and name in fixed]:
        raise WiringError(
            f"{where}: {', '.join(both)}",
            "a fixed setting has no default, because it is no parameter",
            "Write it once",
        )


def parameter_value(value: object) -> str | int | float:
    """Return a Python value as CloudFormation writes it: ``None`` as empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else str(value)


def title(name: str) -> str:
    """``private_subnet_ids`` or ``airflow-services`` in CloudFormation's case."""
    words = re.split("[-_]", name)
    return "".join(SPELLINGS.get(word, word.capitalize()) for word in words)


def template_name(define: Define[In, Out]) -> str:
    """``templates.airflow_services`` compiles to ``airflow-services``."""
    return define.__module__.rpartition(".")[2].replace("_", "-")


def _returned(kind: type[V], attribute: GetAtt) -> V:
    """Wrap an output of a nested stack, which CloudFormation makes a string."""
    return kind(
        Split(",", attribute) if kind.is_list() else attribute, crossing=attribute
    )


def _signature(define: Define[In, Out]) -> tuple[type[In], type[Out]]:
    hints = get_type_hints(define)
    return hints["inputs"], hints["return"]


def _in_reading_order(document: dict[str, Any]) -> dict[str, Any]:
    """Sort sections, and the attributes of a resource, as people read them."""
    resources = document.get("Resources", {})
    for name, resource in resources.items():
        resources[name] = _ordered(resource, RESOURCE_ORDER)
    return _ordered(document, SECTION_ORDER)


def _ordered(mapping: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    return {key: mapping[key] for key in order if key in mapping} | mapping


def _keep_only_used_inputs(
    template: Template, inputs: type[Interface], *, is_root: bool
) -> None:
    """Drop the members of records that a nested template does not use.

    A field of which nothing is used is an error, and so is any parameter of the root:
    an operator must not set what has no effect.
    """
    body = {
        section: content
        for section, content in template.document.items()
        if section not in ("Parameters", "Metadata")
    }
    used = {name for name, _ in references(body)}
    unused = [leaf for leaf in template.declared if title(leaf.name) not in used]
    used_fields = {leaf.path[0] for leaf in template.declared if leaf not in unused}
    for leaf in unused:
        if is_root or not leaf.in_record or leaf.path[0] not in used_fields:
            raise WiringError(
                f"{place(inputs)}.{'.'.join(leaf.path) if is_root else leaf.path[0]}",
                f"no resource, condition or output of {template.name} uses it",
                "Use it or delete the field",
            )
        template.declared.remove(leaf)
        del template.document["Parameters"][title(leaf.name)]


def _check_every_output_is_read(template: Template) -> None:
    read = set(references(template.document))
    stacks_by_outputs: dict[type[Interface], list[str]] = {}
    for stack, outputs in template.nested.items():
        stacks_by_outputs.setdefault(outputs, []).append(stack)
    for outputs, stacks in stacks_by_outputs.items():
        for leaf in leaves(outputs):
            attribute = f"Outputs.{title(leaf.name)}"
            if not leaf.notes["public"] and not any(
                (stack, attribute) in read for stack in stacks
            ):
                raise WiringError(
                    f"{place(outputs)}.{leaf.name}",
                    f"nothing in {template.name} reads it",
                    "Wire it, delete the field, or mark it about(..., public=True)",
                )


def _flow(text: str) -> str:
    """Put each paragraph of a docstring on one line."""
    return "\n".join(" ".join(p.split()) for p in text.split("\n\n") if p.strip())

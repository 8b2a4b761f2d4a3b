"""Nested stacks as function calls.

A template is a function from typed inputs to typed outputs::

    def define(t: Template, given: Inputs) -> Outputs: ...

Inside, each input is a Ref to one of the template's own parameters. Outside,
``t.nest(database.define, database.Inputs(...))`` places the stack and returns
the same ``Outputs``, each one a GetAtt on that stack. A name is written once,
as a field: ``vpc_id`` is the parameter and the output ``VpcId``.

What can go wrong with a wire is an error twice: mypy --strict refuses it by
type, and the build refuses it with a :class:`WiringError` that says what to
write. Constraints and defaults of a parameter are written in the root alone,
where an operator's value enters: in a child, a pattern would refuse the
unresolved value that a nested change set passes (aws-cloudformation/rain#526).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from compiler.references import references
from compiler.suggestions import nearest
from compiler.values import (
    ASSET_BUCKET,
    Asset,
    AssetBucket,
    AssetDigest,
    AssetFile,
    AssetKey,
    ConditionName,
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
        if detail:
            self.set_metadata({CONTEXT: {"arch": detail}})

    def add(self, resource: Resource, purpose: str, *, why: str = "") -> Resource:
        """Place a resource, with the sentence a person sees while it is made.

        ``purpose`` says what it is for; ``why`` says why it is as it is, where
        a reader would ask.
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

    def ask(self, name: str, kind: type[V], notes: Mapping[str, Any]) -> V:
        """Add a choice of the operator's that comes from a table, not from Inputs.

        ``notes`` is ``about(...).metadata``. Root only.
        """
        if not self._is_root:
            raise WiringError(
                f"{self.name}.{name}",
                "only the root asks the operator",
                "Make it a field of Inputs and wire it",
            )
        leaf = Leaf(name=name, kind=kind, path=(name,), notes=notes)
        self.declare(leaf, self.name)
        return kind(Ref(title(name)))

    def asset(self, name: str) -> Asset:
        """Return the published file called ``name``."""
        if name not in self._build.assets:
            raise WiringError(
                f"{self.name}: asset {name!r}",
                "no such file goes with the templates",
                nearest(name, self._build.assets) or "Name one of them",
            )
        found = self._build.assets[name]
        return Asset(
            bucket=AssetBucket(ASSET_BUCKET),
            key=AssetKey(found.path),
            sha256=AssetDigest(found.sha256),
        )

    def nest(
        self,
        define: Define[In, Out],
        given: In,
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
        if not isinstance(given, inputs):
            raise WiringError(
                f"{self.name} nests {template_name(define)}",
                f"it was given {place(type(given))}",
                f"Write {place(inputs)}(...)",
            )
        child = self._build.page(define)
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
                title(leaf.name): leaf.read(given).crossing() for leaf in child.declared
            },
            **attributes,
        )
        self.add(stack, str(child.description), why=why)
        self.nested[logical_id] = returned
        return fill(
            returned,
            {
                leaf.name: _returned(
                    leaf.kind, GetAtt(stack, f"Outputs.{title(leaf.name)}")
                )
                for leaf in leaves(returned)
            },
        )

    def nest_when(
        self,
        condition: ConditionName,
        define: Define[In, Out],
        given: In,
        *,
        otherwise: Out,
        name: str = "",
        why: str = "",
    ) -> Out:
        """Nest ``define`` only where ``condition`` holds.

        The outputs are those of the stack, or else those of ``otherwise``: an
        output of a stack that may not exist can never be read by mistake.
        """
        made = self.nest(define, given, name=name, why=why, Condition=condition)
        if type(otherwise) is not type(made):
            raise WiringError(
                f"{self.name} nests {template_name(define)} when {condition}",
                f"otherwise= is a {place(type(otherwise))}",
                f"Write otherwise={place(type(made))}(...)",
            )
        return fill(
            type(made),
            {
                leaf.name: choose(condition, leaf.read(made), leaf.read(otherwise))
                for leaf in leaves(type(made))
            },
        )

    def declare(self, leaf: Leaf, where: str) -> None:
        """Add the parameter of one input; the root's carries what operators see."""
        properties = {"Description": leaf.notes["description"]}
        if self._is_root:
            if not (leaf.notes["group"] and leaf.notes["label"]):
                raise WiringError(
                    f"{where}.{leaf.name}",
                    "an operator's choice needs its place in the console's form",
                    "Write about(..., group=..., label=...)",
                )
            properties |= {**leaf.kind.rules, **leaf.notes["properties"]}
            self.add_parameter_to_group(title(leaf.name), leaf.notes["group"])
            self.set_parameter_label(title(leaf.name), leaf.notes["label"])
        elif leaf.notes["properties"]:
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
        """Every page below this one, each once, then this one."""
        seen: set[str] = set()
        for child in self.children.values():
            for page in child.walk():
                if page.name not in seen:
                    seen.add(page.name)
                    yield page
        yield self

    def text(self) -> str:
        """Return the template as it is written to ``dist/``: same input, same bytes."""
        return json.dumps(self.document, indent=1, ensure_ascii=False) + "\n"


class Build:
    """One run of the compiler: every template once, however often it is nested."""

    def __init__(self, assets: Mapping[str, AssetFile] | None = None) -> None:
        self.assets = dict(assets or {})
        self._pages: dict[str, tuple[Define[Any, Any], Template]] = {}

    def root(self, define: Define[In, Out]) -> Template:
        """Compile a root: its parameters carry the defaults and constraints."""
        return self._compile(define, is_root=True)

    def page(self, define: Define[In, Out]) -> Template:
        """Return the compiled template of ``define``, made at its first nesting."""
        name = template_name(define)
        if name not in self._pages:
            self._pages[name] = (define, self._compile(define, is_root=False))
        known, page = self._pages[name]
        if known is not define:
            raise WiringError(
                name,
                "two different templates have this name",
                "Give each template a module of its own",
            )
        return page

    def _compile(self, define: Define[In, Out], *, is_root: bool) -> Template:
        inputs, outputs = _signature(define)
        summary, _, detail = (sys.modules[define.__module__].__doc__ or "").partition(
            "\n\n"
        )
        page = Template(
            template_name(define),
            " ".join(summary.split()),
            _flow(detail),
            self,
            is_root=is_root,
        )
        for leaf in leaves(inputs):
            page.declare(leaf, place(inputs))

        made = define(
            page,
            fill(
                inputs,
                {
                    leaf.name: leaf.kind(Ref(title(leaf.name)))
                    for leaf in leaves(inputs)
                },
            ),
        )
        if not isinstance(made, outputs):
            raise WiringError(
                f"{template_name(define)}.define",
                f"it returned {spell(made)}",
                f"End with return {outputs.__name__}(...)",
            )
        for leaf in leaves(outputs):
            page.add_output(
                Output(
                    title(leaf.name),
                    Value=leaf.read(made).crossing(),
                    Description=leaf.notes["description"],
                )
            )
        page.document = _in_reading_order(page.to_dict())
        _keep_only_used_inputs(page, inputs)
        _check_every_output_is_read(page)
        return page


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
    return hints["given"], hints["return"]


def _in_reading_order(document: dict[str, Any]) -> dict[str, Any]:
    """Sort sections, and the attributes of a resource, as people read them."""
    resources = document.get("Resources", {})
    for name, resource in resources.items():
        resources[name] = _ordered(resource, RESOURCE_ORDER)
    return _ordered(document, SECTION_ORDER)


def _ordered(mapping: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    return {key: mapping[key] for key in order if key in mapping} | mapping


def _keep_only_used_inputs(page: Template, inputs: type[Interface]) -> None:
    body = {
        k: v for k, v in page.document.items() if k not in ("Parameters", "Metadata")
    }
    used = {name for name, _ in references(body)}
    unused = [leaf for leaf in page.declared if title(leaf.name) not in used]
    used_fields = {leaf.path[0] for leaf in page.declared if leaf not in unused}
    for leaf in unused:
        if not leaf.in_record or leaf.path[0] not in used_fields:
            raise WiringError(
                f"{place(inputs)}.{leaf.path[0]}",
                f"no resource, condition or output of {page.name} uses it",
                "Use it or delete the field",
            )
        page.declared.remove(leaf)
        del page.document["Parameters"][title(leaf.name)]


def _check_every_output_is_read(page: Template) -> None:
    read = set(references(page.document))
    stacks_by_outputs: dict[type[Interface], list[str]] = {}
    for stack, outputs in page.nested.items():
        stacks_by_outputs.setdefault(outputs, []).append(stack)
    for outputs, stacks in stacks_by_outputs.items():
        for leaf in leaves(outputs):
            attribute = f"Outputs.{title(leaf.name)}"
            if not leaf.notes["public"] and not any(
                (stack, attribute) in read for stack in stacks
            ):
                raise WiringError(
                    f"{place(outputs)}.{leaf.name}",
                    f"nobody in {page.name} reads it",
                    "Wire it, delete the field, or mark it about(..., public=True)",
                )


def _flow(text: str) -> str:
    """Put each paragraph of a docstring on one line."""
    return "\n".join(" ".join(p.split()) for p in text.split("\n\n") if p.strip())

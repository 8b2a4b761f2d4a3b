"""Nested stacks as function calls.

A template is a function from typed inputs to typed outputs::

    def define(t: Page, given: Inputs) -> Outputs: ...

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

import difflib
import functools
import json
import re
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NewType,
    TypeVar,
    cast,
    dataclass_transform,
    get_type_hints,
)

from troposphere import (
    AWSHelperFn,
    AWSObject,
    GetAtt,
    If,
    Join,
    Output,
    Parameter,
    Ref,
    Split,
    Template,
    encode_to_dict,
)
from troposphere.cloudformation import Stack

CONTEXT = "com.aws.cloudformation.Context"
"""The metadata key CloudFormation documents for the reasons behind a resource."""

CHILD_TYPES = ("String", "Number", "CommaDelimitedList")
"""Parameter types that accept the unresolved values of a nested change set."""

ASSET_BUCKET = "bucket-named-at-publish"
"""Stands in ``dist/`` for the bucket of an asset; publishing replaces it."""


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


class WiringError(Exception):
    """A wire between two templates is wrong; the message says how to mend it."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.where, self.what, self.remedy = where, what, remedy


class Value(AWSHelperFn):
    """A value that crosses between stacks; each subclass is one kind of value.

    ``type`` is the parameter type, ``rules`` the constraints that the root's
    parameters of this kind carry (AllowedPattern, MinValue, ...).
    """

    type: ClassVar[str] = "String"
    rules: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, type: str = "String", **rules: Any) -> None:
        if type not in CHILD_TYPES:
            raise WiringError(
                f"{cls.__module__}.{cls.__name__}",
                f"{type} is not a type that every stack can take",
                f"Write one of {', '.join(CHILD_TYPES)}",
            )
        cls.type, cls.rules = type, rules

    def __init__(self, expression: object, *, crossing: object = None) -> None:
        self.data = expression
        self._crossing = crossing

    @classmethod
    def is_list(cls) -> bool:
        """Whether values of this kind are lists, which cross as one string."""
        return cls.type == "CommaDelimitedList"

    def crossing(self) -> Any:
        """Return the form that crosses a stack boundary, always one string."""
        if self._crossing is not None:
            return self._crossing
        if self.is_list():
            return Join(",", self.data)
        if isinstance(self.data, bool):
            return "true" if self.data else "false"
        return str(self.data) if isinstance(self.data, int | float) else self.data


V = TypeVar("V", bound=Value)
Face = TypeVar("Face", bound="Interface")
ConditionName = NewType("ConditionName", str)


def choose(condition: ConditionName, yes: V, no: V) -> V:
    """``yes`` where the condition holds, else ``no``; both of one kind."""
    if type(yes) is not type(no):
        raise WiringError(
            f"choose({condition})",
            f"a {type(yes).__name__} and a {type(no).__name__} are different kinds",
            "Give two values of one kind",
        )
    return type(yes)(
        If(condition, yes.data, no.data),
        crossing=If(condition, yes.crossing(), no.crossing()),
    )


class AssetBucket(Value):
    """The bucket an asset was published to."""


class AssetKey(Value):
    """The object key of an asset; in ``dist/``, its relative path."""


class AssetDigest(Value):
    """SHA-256 of an asset, 64 hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A published file, as three values a template can pass on."""

    bucket: AssetBucket
    key: AssetKey
    sha256: AssetDigest


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """A file to publish beside the templates; ``path`` is relative to ``dist/``."""

    path: str
    content: bytes
    sha256: str


def about(
    description: str,
    *,
    group: str = "",
    label: str = "",
    public: bool = False,
    **properties: Any,
) -> Any:
    """Describe a field of an interface.

    ``group`` and ``label`` place a root parameter in the console's form;
    ``public`` marks an output that people read although no stack does; further
    properties (Default, AllowedValues, ...) go on the root's parameter.
    """
    return field(
        metadata={
            "description": description,
            "group": group,
            "label": label,
            "public": public,
            "properties": properties,
        }
    )


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(about,)
)
class Interface:
    """Base of every Inputs and Outputs: a frozen dataclass, keywords only."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)
        assign = cls.__init__

        @functools.wraps(assign)
        def checked(self: Interface, **given: Any) -> None:
            _check_names(cls, given)
            assign(self, **given)

        cls.__init__ = checked  # type: ignore[assignment, method-assign]

    def __post_init__(self) -> None:
        for name, kind in members(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise WiringError(
                    f"{_place(type(self))}.{name}",
                    f"a {kind.__name__} belongs here, not {_spell(value)}",
                    f"Write {name}=... with a {kind.__name__}",
                )

    if not TYPE_CHECKING:  # mypy refuses a misspelt name by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise WiringError(
                f"{_place(type(self))}.{name}",
                "there is no such field",
                _nearest(name, members(type(self))),
            )


class Record(Interface):
    """Values that travel together, as one field of an Inputs or Outputs.

    A field ``database: Database`` crosses as ``DatabaseHost``, ``DatabasePort``
    and so on. A nested template declares only those members it uses.
    """


def members(interface: type[Interface]) -> dict[str, type[Value | Record]]:
    """Return the fields of an interface, in order, and the kind of each."""
    return _type_hints(cast(Hashable, interface))


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value that crosses: its flat name, its kind, and where it lies."""

    name: str
    kind: type[Value]
    path: tuple[str, ...]
    notes: Mapping[str, Any]

    @property
    def in_record(self) -> bool:
        """Whether it is a member of a record rather than a field by itself."""
        return len(self.path) > 1

    def read(self, interface: Interface) -> Value:
        """Return the value an interface holds here."""
        return cast(Value, functools.reduce(getattr, self.path, interface))


def leaves(interface: type[Interface]) -> tuple[Leaf, ...]:
    """Return every value of an interface, those of its records in their place."""
    return _leaves(cast(Hashable, interface))


@functools.cache
def _type_hints(interface: Any) -> dict[str, type[Value | Record]]:
    return get_type_hints(interface)


@functools.cache
def _leaves(interface: Any) -> tuple[Leaf, ...]:
    found: list[Leaf] = []
    for f in fields(interface):
        kind = members(interface)[f.name]
        if issubclass(kind, Record):
            found += (
                Leaf(
                    name=f"{f.name}_{leaf.name}",
                    kind=leaf.kind,
                    path=(f.name, *leaf.path),
                    notes=leaf.notes,
                )
                for leaf in leaves(kind)
            )
        else:
            found.append(Leaf(name=f.name, kind=kind, path=(f.name,), notes=f.metadata))
    return tuple(found)


def fill(interface: type[Face], values: Mapping[str, Value], prefix: str = "") -> Face:
    """Return an interface with ``values`` by flat name."""
    return interface(
        **{
            name: fill(kind, values, f"{prefix}{name}_")
            if issubclass(kind, Record)
            else values[prefix + name]
            for name, kind in members(interface).items()
        }
    )


In = TypeVar("In", bound=Interface)
Out = TypeVar("Out", bound=Interface)
Resource = TypeVar("Resource", bound=AWSObject)
Define = Callable[["Page", In], Out]


class Page(Template):
    """One template while it is written, and the templates nested in it."""

    def __init__(
        self, name: str, summary: str, detail: str, build: Build, *, is_root: bool
    ) -> None:
        super().__init__(Description=summary)
        self.set_version()
        self.name = name
        self.path = f"{name}.template.json"
        self.children: dict[str, Page] = {}
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
                _nearest(name, self._build.assets),
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
                f"it was given {_place(type(given))}",
                f"Write {_place(inputs)}(...)",
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
                f"otherwise= is a {_place(type(otherwise))}",
                f"Write otherwise={_place(type(made))}(...)",
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

    def walk(self) -> Iterator[Page]:
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
        self._pages: dict[str, tuple[Define[Any, Any], Page]] = {}

    def root(self, define: Define[In, Out]) -> Page:
        """Compile a root: its parameters carry the defaults and constraints."""
        return self._compile(define, is_root=True)

    def page(self, define: Define[In, Out]) -> Page:
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

    def _compile(self, define: Define[In, Out], *, is_root: bool) -> Page:
        inputs, outputs = _signature(define)
        summary, _, detail = (sys.modules[define.__module__].__doc__ or "").partition(
            "\n\n"
        )
        page = Page(
            template_name(define),
            " ".join(summary.split()),
            _flow(detail),
            self,
            is_root=is_root,
        )
        for leaf in leaves(inputs):
            page.declare(leaf, _place(inputs))

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
                f"it returned {_spell(made)}",
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
    return "".join(word.capitalize() for word in re.split("[-_]", name))


def template_name(define: Define[In, Out]) -> str:
    """``templates.airflow_services`` compiles to ``airflow-services``."""
    return define.__module__.rpartition(".")[2].replace("_", "-")


def references(document: object) -> Iterator[tuple[str, str]]:
    """Yield every reference in a template as (logical ID, attribute).

    The attribute is empty for a Ref.
    """
    match document:
        case {"Ref": str(name)}:
            yield name, ""
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            yield name, attribute
        case {"Fn::Sub": text, **rest} if not rest:
            template, values = text if isinstance(text, list) else (text, {})
            for name in re.findall(r"\$\{([^!][^}]*)\}", template):
                if name not in values:
                    logical_id, _, attribute = name.partition(".")
                    yield logical_id, attribute
            yield from references(values)
        case dict():
            for value in document.values():
                yield from references(value)
        case list():
            for value in document:
                yield from references(value)
        case _:
            return


def _returned(kind: type[V], attribute: GetAtt) -> V:
    """Wrap an output of a nested stack, which CloudFormation makes a string."""
    return kind(
        Split(",", attribute) if kind.is_list() else attribute, crossing=attribute
    )


def _signature(define: Define[In, Out]) -> tuple[type[In], type[Out]]:
    hints = get_type_hints(define)
    return hints["given"], hints["return"]


def _check_names(interface: type[Interface], given: Mapping[str, object]) -> None:
    known = members(interface)
    for name in given:
        if name not in known:
            raise WiringError(
                f"{_place(interface)}.{name}",
                "there is no such field",
                _nearest(name, known),
            )
    for name, kind in known.items():
        if name not in given:
            raise WiringError(
                f"{_place(interface)}.{name}",
                "nothing was given for it",
                f"Write {name}=... with a {kind.__name__}",
            )


def _in_reading_order(document: dict[str, Any]) -> dict[str, Any]:
    """Sort sections, and the attributes of a resource, as people read them."""
    resources = document.get("Resources", {})
    for name, resource in resources.items():
        resources[name] = _ordered(resource, RESOURCE_ORDER)
    return _ordered(document, SECTION_ORDER)


def _ordered(mapping: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    return {key: mapping[key] for key in order if key in mapping} | mapping


def _keep_only_used_inputs(page: Page, inputs: type[Interface]) -> None:
    body = {
        k: v for k, v in page.document.items() if k not in ("Parameters", "Metadata")
    }
    used = {name for name, _ in references(body)}
    unused = [leaf for leaf in page.declared if title(leaf.name) not in used]
    used_fields = {leaf.path[0] for leaf in page.declared if leaf not in unused}
    for leaf in unused:
        if not leaf.in_record or leaf.path[0] not in used_fields:
            raise WiringError(
                f"{_place(inputs)}.{leaf.path[0]}",
                f"no resource, condition or output of {page.name} uses it",
                "Use it or delete the field",
            )
        page.declared.remove(leaf)
        del page.document["Parameters"][title(leaf.name)]


def _check_every_output_is_read(page: Page) -> None:
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
                    f"{_place(outputs)}.{leaf.name}",
                    f"nobody in {page.name} reads it",
                    "Wire it, delete the field, or mark it about(..., public=True)",
                )


def _place(interface: type[Interface]) -> str:
    return f"{interface.__module__.rpartition('.')[2]}.{interface.__name__}"


def _spell(value: object) -> str:
    if isinstance(value, Value):
        return f"a {type(value).__name__}"
    if isinstance(value, Interface):
        return f"a {_place(type(value))}"
    return f"{json.dumps(encode_to_dict(cast(Any, value)), default=repr)}"


def _nearest(name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known: {', '.join(known) or 'none'}"


def _flow(text: str) -> str:
    """Put each paragraph of a docstring on one line."""
    return "\n".join(" ".join(p.split()) for p in text.split("\n\n") if p.strip())

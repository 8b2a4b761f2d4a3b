"""Validate parameter files against a compiled root template, before a launch.

Four questions about every file, all answers reported at once:

1. Does the file say what it should? (:mod:`compiler.parameters`)
2. Is each value one that CloudFormation takes? (:mod:`compiler.constraints`)
3. Do the template's Rules hold? (:mod:`compiler.rules`)
4. Do the checks hold that no Rule can express? They are a table of :class:`Check`,
   which the templates provide.

A value that is wrong by itself is left out of the third and fourth question, since
what follows from it is noise. A check of a parameter that the template does not have
is itself a problem: renaming a parameter cannot switch a check off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVarTuple

from cli.errors import Problem
from compiler.constraints import definition_faults, elements, value_faults
from compiler.located_json import quoted
from compiler.parameters import WRITTEN_AS_OBJECT, EnvironmentFile
from compiler.rules import FOUND_AT_LAUNCH, Unknown, evaluate
from compiler.suggestions import nearest

if TYPE_CHECKING:  # a file is checked without troposphere
    from compiler.values import Value

Values = TypeVarTuple("Values")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A mistake that a check found: the values it compared, the reason, the remedy."""

    what: str
    why: str = ""
    remedy: str


Findable = Finding | Iterable[Finding] | None
"""What a check returns: one mistake, several, or none."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A mistake that takes arithmetic to see, and the parameters it reads.

    ``finds`` gets their values and returns what is wrong with them, if anything. The
    message points at the first of ``reads`` that the file states.
    """

    name: str
    reads: tuple[str, ...]
    finds: Callable[[Mapping[str, str]], Findable]


def check(
    name: str,
    finds: Callable[[*Values], Findable],
    *values: *Values,
) -> Check:
    """Return a check of values of the root's Inputs, or of tuples of them.

    ``finds`` takes the same values with the texts of the file, so mypy refuses a
    parameter that does not exist or is of another type.
    """
    parameters = [
        value.name for value in _flat(values) if not value.file_value.is_fixed
    ]
    return Check(
        name=name,
        reads=tuple(dict.fromkeys(parameters)),
        finds=lambda texts: finds(*_with_texts(values, texts)),
    )


def _flat(values: Iterable[Any]) -> Iterator[Value]:
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


def _with_texts(values: tuple[Any, ...], texts: Mapping[str, str]) -> Any:
    return tuple(
        _with_texts(value, texts)
        if isinstance(value, tuple)
        else type(value)(
            replace(value.file_value, text=texts.get(value.name, value.file_value.text))
        )
        for value in values
    )


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Problems of a file, and the rules that cannot be checked before launch."""

    problems: tuple[Problem, ...]
    unchecked: tuple[str, ...] = ()


def validate(
    environment: EnvironmentFile,
    template: Mapping[str, Any],
    checks: Iterable[Check] = (),
    *,
    name: str = "parent",
) -> Findings:
    """Validate an environment's file against a root template called ``name``."""
    return _Validation(environment, template, name).run(checks)


class _Validation:
    def __init__(
        self, environment: EnvironmentFile, template: Mapping[str, Any], name: str
    ) -> None:
        self.environment = environment
        self.template = template
        self.name = name
        self.definitions: Mapping[str, Mapping[str, Any]] = template.get(
            "Parameters", {}
        )
        self.json_parameters = frozenset(
            template.get("Metadata", {}).get(WRITTEN_AS_OBJECT, ())
        )
        self.values: dict[str, str] = {}
        """Valid values: those of the file, and defaults."""

    def run(self, checks: Iterable[Check]) -> Findings:
        problems = [*self.environment.problems, *self.unknown(), *self.wrong()]
        verdict = evaluate(self.template, self.rule_values(), self.name)
        problems += verdict.problems
        for broken in verdict.broken:
            problems.append(
                Problem(
                    where=self.point_at(broken.reads),
                    what=f"Rule {broken.rule} does not hold.",
                    why=" ".join([broken.message, self.spell(broken.reads)]).strip(),
                    remedy="Change one of these values.",
                )
            )
        # What is wrong by itself is left out of the checks that compare it.
        for check in sorted(checks, key=lambda check: len(check.reads) > 1):
            problems += self.check(check)
        return Findings(
            problems=tuple(problems),
            unchecked=tuple(
                f"{self.environment.source}: rule {outcome.rule} is not checked before "
                f"launch, for {outcome.reason}. {outcome.message}".rstrip()
                for outcome in verdict.unchecked
            ),
        )

    def unknown(self) -> Iterator[Problem]:
        for parameter in self.environment.lines:
            if parameter not in self.definitions:
                yield Problem(
                    where=self.environment.where(parameter),
                    what=f"The {self.name} template has no parameter "
                    f"{quoted(parameter)}.",
                    remedy=nearest(parameter, self.definitions)
                    or (
                        "Leave the option out."
                        if parameter in self.environment.overrides
                        else "Delete the line."
                    ),
                )

    def wrong(self) -> Iterator[Problem]:
        in_file_order = [*self.environment.lines, *self.definitions]
        for parameter in dict.fromkeys(in_file_order):
            if parameter in self.definitions:
                yield from self.wrong_value(parameter, self.definitions[parameter])

    def wrong_value(
        self, parameter: str, definition: Mapping[str, Any]
    ) -> Iterator[Problem]:
        if parameter in self.environment.objects - self.json_parameters:
            yield Problem(
                where=self.environment.where(parameter),
                what="Its value is an object, not a string.",
                why="CloudFormation takes every value as text.",
                remedy="Write one string.",
            )
            return
        faults = list(definition_faults(definition))
        place = f"{self.name} Parameters.{parameter}"
        if not faults:
            value = self.environment.parameters.get(parameter)
            if value is not None:
                place = self.environment.where(parameter)
            elif parameter in self.environment.lines:
                return  # it has a value that is no string, and that was reported
            elif "Default" not in definition:
                yield Problem(
                    where=f"{self.environment.where()} {parameter}",
                    what="It is missing, and has no default.",
                    why=str(definition.get("Description", "")),
                    remedy=f'Add "{parameter}" to "Parameters".',
                )
                return
            else:
                value = str(definition["Default"])
            faults = list(value_faults(definition, value))
            if not faults:
                self.values[parameter] = value
        for fault in faults:
            yield Problem(
                where=place, what=fault.what, why=fault.why, remedy=fault.remedy
            )

    def rule_values(self) -> dict[str, str | tuple[str, ...] | Unknown]:
        values: dict[str, str | tuple[str, ...] | Unknown] = {}
        found_at_launch = self.template.get("Metadata", {}).get(FOUND_AT_LAUNCH, ())
        for parameter, definition in self.definitions.items():
            value = self.values.get(parameter)
            if value is None:
                values[parameter] = Unknown()
            elif value == "" and parameter in found_at_launch:
                values[parameter] = Unknown(f"{parameter} is found at the launch")
            elif definition["Type"] == "CommaDelimitedList":
                values[parameter] = elements(value)
            else:
                values[parameter] = value
        return values

    def check(self, check: Check) -> Iterator[Problem]:
        missing = [name for name in check.reads if name not in self.definitions]
        for parameter in missing:
            yield Problem(
                where=f"The check {quoted(check.name)}",
                what=f"It cannot be made: it reads {parameter}, which the {self.name} "
                "template does not have.",
                why="A check that is skipped is no check.",
                remedy=nearest(parameter, self.definitions) or "Correct its reads.",
            )
        if not all(name in self.values for name in check.reads):
            return
        result = check.finds({name: self.values[name] for name in check.reads}) or ()
        findings = (result,) if isinstance(result, Finding) else tuple(result)
        if findings and len(check.reads) == 1:
            del self.values[check.reads[0]]
        for finding in findings:
            yield Problem(
                where=self.point_at(check.reads),
                what=finding.what,
                why=finding.why,
                remedy=finding.remedy,
            )

    def point_at(self, parameters: tuple[str, ...]) -> str:
        lines = self.environment.lines
        stated = [name for name in parameters if name in lines]
        return self.environment.where(next(iter(stated or parameters), ""))

    def spell(self, parameters: tuple[str, ...]) -> str:
        values = ", ".join(
            f"{name} is {quoted(self.values[name])}"
            for name in parameters
            if name in self.values
        )
        return f"{values}." if values else ""

"""Evaluate CloudFormation's ``Rules`` offline.

CloudFormation evaluates them when a stack is launched; here a parameter file is checked
against the same section of the same template before that. Evaluated are Fn::And, Or,
Not, Equals, Contains and Ref. Any other function is an error, also the others that AWS
documents for Rules (EachMemberEquals, EachMemberIn, RefAll, ValueOf, ValueOfAll): the
templates do not use them, and an assertion must not pass unevaluated.

A value that is known only at launch (``AWS::Region``) is Unknown, and so is what
depends on it, as in three-valued logic: an Fn::And with a false part is false whatever
the unknown ones are. An assertion that stays unknown is reported as unchecked, never
as passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.errors import Problem
from compiler.suggestions import nearest

FEWEST_PARTS, MOST_PARTS = 2, 10
"""How many conditions Fn::And and Fn::Or take."""

FOUND_AT_LAUNCH = "FoundAtLaunch"
"""Tag of a parameter whose value ``build.py`` finds at the launch where a file leaves
it empty; and the metadata key of a root template that lists those parameters."""


@dataclass(frozen=True)
class Unknown:
    """A value that is not known here; ``reason`` is empty if it was reported."""

    reason: str = ""


RuleText = str | Unknown
RuleTexts = tuple[RuleText, ...] | Unknown
Truth = bool | Unknown


@dataclass(frozen=True, kw_only=True)
class BrokenAssertion:
    """An assertion that fails; ``reads`` are the parameters in it."""

    rule: str
    message: str
    reads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class UncheckedAssertion:
    """An assertion that only a launch can decide."""

    rule: str
    message: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RulesResult:
    """The result of all rules for one set of values."""

    broken: tuple[BrokenAssertion, ...]
    unchecked: tuple[UncheckedAssertion, ...]
    problems: tuple[Problem, ...]
    """Mistakes in the rules themselves."""


def evaluate(
    template: Mapping[str, Any], values: Mapping[str, RuleText | RuleTexts], name: str
) -> RulesResult:
    """Evaluate the template's rules for ``values``; ``name`` is the template's."""
    broken: list[BrokenAssertion] = []
    unchecked: list[UncheckedAssertion] = []
    problems: list[Problem] = []
    for rule, document in template.get("Rules", {}).items():
        try:
            for outcome in _Rule(rule, values).outcomes(document):
                match outcome:
                    case BrokenAssertion():
                        broken.append(outcome)
                    case UncheckedAssertion():
                        unchecked.append(outcome)
        except _WrongRuleError as error:
            problems.append(
                Problem(
                    where=f"{name} Rules.{rule}",
                    what=error.what,
                    why="CloudFormation would refuse the template at launch.",
                    remedy=error.remedy,
                )
            )
    return RulesResult(
        broken=tuple(broken), unchecked=tuple(unchecked), problems=tuple(problems)
    )


class _WrongRuleError(Exception):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy


class _Rule:
    """One rule; every part is evaluated, so that every mistake is found."""

    def __init__(self, name: str, values: Mapping[str, RuleText | RuleTexts]) -> None:
        self.name = name
        self.values = values
        self.reads: dict[str, None] = {}

    def outcomes(
        self, document: object
    ) -> Iterator[BrokenAssertion | UncheckedAssertion]:
        rule = _members(document, "A rule", ("RuleCondition", "Assertions"))
        applies = self.truth(rule["RuleCondition"]) if "RuleCondition" in rule else True
        condition_reads = tuple(self.reads)
        assertions = rule.get("Assertions")
        if not isinstance(assertions, list) or not assertions:
            raise _WrongRuleError(
                "The rule asserts nothing.", 'Write "Assertions": [{"Assert": ...}].'
            )
        for entry in assertions:
            assertion = _members(entry, "An assertion", ("Assert", "AssertDescription"))
            message = assertion.get("AssertDescription", "")
            if "Assert" not in assertion or not isinstance(message, str):
                raise _WrongRuleError(
                    f"{_json(entry)} is no assertion.",
                    'Write {"Assert": {...}, "AssertDescription": "..."}.',
                )
            self.reads = dict.fromkeys(condition_reads)
            holds = _or([_not(applies), self.truth(assertion["Assert"])])
            if holds is False:
                yield BrokenAssertion(
                    rule=self.name, message=message, reads=tuple(self.reads)
                )
            elif isinstance(holds, Unknown) and holds.reason:
                yield UncheckedAssertion(
                    rule=self.name, message=message, reason=holds.reason
                )

    def truth(self, expression: object) -> Truth:
        """Evaluate a condition."""
        function, argument = _function(expression, CONDITIONS)
        return CONDITIONS[function](self, argument)

    def all_hold(self, argument: object) -> Truth:
        return _and(self.parts("Fn::And", argument))

    def any_holds(self, argument: object) -> Truth:
        return _or(self.parts("Fn::Or", argument))

    def parts(self, function: str, argument: object) -> list[Truth]:
        parts = _arguments(function, argument)
        if not FEWEST_PARTS <= len(parts) <= MOST_PARTS:
            raise _WrongRuleError(
                f"{function} has {len(parts)} conditions.",
                f"Give it {FEWEST_PARTS} to {MOST_PARTS}; nest them if need be.",
            )
        return [self.truth(part) for part in parts]

    def negation(self, argument: object) -> Truth:
        (part,) = _arguments("Fn::Not", argument, 1)
        return _not(self.truth(part))

    def contains(self, argument: object) -> Truth:
        listed, single = _arguments("Fn::Contains", argument, 2)
        members = self.texts(listed, "Fn::Contains")
        value = self.text(single, "Fn::Contains")
        if isinstance(members, Unknown):
            return members
        return _or([_same(member, value) for member in members])

    def equals(self, argument: object) -> Truth:
        left, right = map(self.value, _arguments("Fn::Equals", argument, 2))
        match left, right:
            case (Unknown() as unknown, _) | (_, Unknown() as unknown):
                return unknown
            case (str(), str()):
                return left == right
            case (tuple(), tuple()):
                same = [_same(a, b) for a, b in zip(left, right, strict=False)]
                return _and([len(left) == len(right), *same])
            case _:
                raise _WrongRuleError(
                    "Fn::Equals compares a list with a text, and they never are equal.",
                    "Write Fn::Contains.",
                )

    def text(self, expression: object, function: str) -> RuleText:
        value = self.value(expression)
        if isinstance(value, tuple):
            raise _WrongRuleError(
                f"{function} has a list where a text belongs: {_json(expression)}.",
                "Give it one text.",
            )
        return value

    def texts(self, expression: object, function: str) -> RuleTexts:
        value = self.value(expression)
        if isinstance(value, str):
            raise _WrongRuleError(
                f"{function} has a text where a list belongs: {_json(expression)}.",
                "Give it a list.",
            )
        return value

    def value(self, expression: object) -> RuleText | RuleTexts:
        """Evaluate a text, a list or a reference."""
        match expression:
            case bool():
                return "true" if expression else "false"
            case str() | int() | float():
                return str(expression)
            case list():
                return tuple(self.text(item, "A list") for item in expression)
        function, argument = _function(expression, VALUES)
        return VALUES[function](self, argument)

    def ref(self, argument: object) -> RuleText | RuleTexts:
        if isinstance(argument, str) and argument.startswith("AWS::"):
            return Unknown(f"{argument} is known at launch only")
        return self.values[self.parameter(argument, "Ref")]

    def parameter(self, name: object, function: str) -> str:
        if not isinstance(name, str) or name not in self.values:
            raise _WrongRuleError(
                f"{function} names {_json(name)}, which is no parameter.",
                nearest(str(name), self.values) or "Name a parameter of the template.",
            )
        self.reads[name] = None
        return name


CONDITIONS: dict[str, Callable[[_Rule, object], Truth]] = {
    "Fn::And": _Rule.all_hold,
    "Fn::Or": _Rule.any_holds,
    "Fn::Not": _Rule.negation,
    "Fn::Equals": _Rule.equals,
    "Fn::Contains": _Rule.contains,
}
VALUES: dict[str, Callable[[_Rule, object], RuleText | RuleTexts]] = {
    "Ref": _Rule.ref,
}


def _and(parts: Sequence[Truth]) -> Truth:
    if False in parts:
        return False
    return next((part for part in parts if isinstance(part, Unknown)), True)


def _or(parts: Sequence[Truth]) -> Truth:
    return _not(_and([_not(part) for part in parts]))


def _not(part: Truth) -> Truth:
    return part if isinstance(part, Unknown) else not part


def _same(left: RuleText, right: RuleText) -> Truth:
    if isinstance(left, Unknown):
        return left
    return right if isinstance(right, Unknown) else left == right


def _function(expression: object, expected: Mapping[str, Any]) -> tuple[str, Any]:
    if not isinstance(expression, dict) or len(expression) != 1:
        raise _WrongRuleError(
            f"{_json(expression)} stands where a function belongs.",
            f"Write one of {', '.join(expected)}.",
        )
    ((function, argument),) = expression.items()
    if function in expected:
        return function, argument
    if function in CONDITIONS or function in VALUES:
        what = f"{function} stands where another kind of function belongs."
        raise _WrongRuleError(what, f"Write one of {', '.join(expected)}.")
    raise _WrongRuleError(
        f"{function} is not evaluated in Rules.",
        f"Write one of {', '.join((*CONDITIONS, *VALUES))}.",
    )


def _arguments(function: str, argument: object, count: int | None = None) -> list[Any]:
    if not isinstance(argument, list) or count not in (None, len(argument)):
        raise _WrongRuleError(
            f"{function} has {_json(argument)} for its arguments.",
            f"Give it a list{f' of {count}' if count else ''}.",
        )
    return argument


def _members(document: object, what: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _WrongRuleError(f"{_json(document)} is no object.", "Write {...}.")
    for key in document:
        if key not in known:
            raise _WrongRuleError(
                f"{what} has no {key}.",
                nearest(key, known) or f"Write {' or '.join(known)}.",
            )
    return document


def _json(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one line

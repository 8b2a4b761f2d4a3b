"""Conditions with every function that AWS supports there.

MiniStack resolves references and members of a list only; it would compare ``Fn::Sub``,
``Fn::Split``, ``Fn::Join`` and ``Fn::FindInMap`` unresolved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Resolve = Callable[..., Any]


class ConditionError(ValueError):
    """A condition cannot be evaluated; the message is CloudFormation's."""


def evaluating(resolve: Resolve) -> Callable[..., dict[str, bool]]:
    """Return an evaluator of a template's conditions, given a resolver of values."""

    def evaluate(template: dict[str, Any], params: dict[str, Any]) -> dict[str, bool]:
        conditions = _Conditions(template, params, resolve)
        return {name: conditions.decide(name) for name in conditions.definitions}

    return evaluate


class _Conditions:
    """The conditions of one template, each evaluated once."""

    def __init__(
        self, template: dict[str, Any], params: dict[str, Any], resolve: Resolve
    ) -> None:
        self.definitions: dict[str, Any] = template.get("Conditions") or {}
        self._mappings = template.get("Mappings") or {}
        self._params = params
        self._resolve = resolve
        self._values: dict[str, bool] = {}

    def decide(self, name: str) -> bool:
        if name not in self.definitions:
            raise ConditionError(
                f"Template format error: Unresolved condition dependency {name} "
                "in the Conditions block of the template"
            )
        if name not in self._values:
            self._values[name] = self._holds(self.definitions[name])
        return self._values[name]

    def _holds(self, expression: Any) -> bool:
        ((function, argument),) = expression.items()
        if function == "Condition":
            return self.decide(argument)
        if function == "Fn::And":
            return all(self._holds(part) for part in argument)
        if function == "Fn::Or":
            return any(self._holds(part) for part in argument)
        if function == "Fn::Not":
            return not self._holds(argument[0])
        if function != "Fn::Equals":
            raise ConditionError(
                f"Template format error: {function} cannot be a condition by itself"
            )
        left, right = (self._value(part) for part in argument)
        return str(left) == str(right)

    def _value(self, part: Any) -> Any:
        # Neither the resources nor the name of the stack are known yet.
        return self._resolve(
            part, {}, self._params, self._values, self._mappings, "", ""
        )

"""Metric math, as far as the templates' alarms use it: one value a period.

Numbers, the ids of metrics, ``+ - * /``, comparisons, brackets, ``IF`` and ``FILL``
with a number. A period without data stays one in everything but ``FILL``. Anything else
is refused when the expression is read, never guessed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from local.step_scaling import UnsupportedError

Value = float | None
Values = Mapping[str, Value]

BINARY: Mapping[type[ast.operator], Callable[[float, float], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    # CloudWatch drops a point that divides by zero.
    ast.Div: lambda left, right: left / right if right else None,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class MetricExpression:
    """A formula over the metrics of an alarm. Raises UnsupportedError."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            # The part of metric math that is read here is spelt as Python is.
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise self._unsupported(str(error)) from error
        self.names = {
            node.id
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Name) and node.id not in {"IF", "FILL"}
        }
        self.value(dict.fromkeys(self.names))
        self.value(dict.fromkeys(self.names, 1.0))

    def value(self, values: Values) -> Value:
        """Return the value of one period, None where there is none."""
        return self._of(self._tree, values)

    def _of(self, node: ast.expr, values: Values) -> Value:
        result: Value
        match node:
            case ast.Constant(value=int() | float() as number):
                result = float(number)
            case ast.Name(id=name) if name in values:
                result = values[name]
            case ast.BinOp(op=sign, left=left, right=right) if type(sign) in BINARY:
                result = self._both(BINARY[type(sign)], left, right, values)
            case ast.Compare(left=left, ops=[sign], comparators=[right]) if (
                type(sign) in COMPARISONS
            ):
                result = self._both(COMPARISONS[type(sign)], left, right, values)
            case ast.Call(
                func=ast.Name(id="FILL"),
                args=[inner, ast.Constant(value=int() | float() as number)],
                keywords=[],
            ):
                value = self._of(inner, values)
                result = float(number) if value is None else value
            case ast.Call(
                func=ast.Name(id="IF"), args=[condition, then, other], keywords=[]
            ):
                holds = self._of(condition, values)
                branches = (self._of(then, values), self._of(other, values))
                result = None if holds is None else branches[not holds]
            case _:
                raise self._unsupported(ast.unparse(node))
        return result

    def _both(
        self,
        act: Callable[[float, float], float | None],
        left: ast.expr,
        right: ast.expr,
        values: Values,
    ) -> Value:
        first, second = self._of(left, values), self._of(right, values)
        if first is None or second is None:
            return None
        result = act(first, second)
        return None if result is None else float(result)

    def _unsupported(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"the expression {self.text!r} holds {what}")

"""Listener rules: the regular expressions that MiniStack drops.

Without the ``RegexValues`` of its conditions, a rule would admit requests that it
refuses on AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from local.emulator.patches.ministack import (
    CreateResult,
    Handlers,
    completed,
    names,
    replace,
)

ALB = names("services.alb")
LISTENER_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
CONFIGS = ("PathPatternConfig", "HostHeaderConfig", "HttpHeaderConfig")
EXPRESSIONS = "_expressions"


def install() -> None:
    """Include regular expressions in DescribeRules."""
    replace("_condition_xml", _with_expressions, ALB)


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the handlers of a rule that keeps regular expressions."""
    return {LISTENER_RULE: completed(handlers[LISTENER_RULE], _keep_expressions)}


def _keep_expressions(result: CreateResult, properties: dict[str, Any]) -> CreateResult:
    conditions = ALB["_rules"][result[0]]["Conditions"]
    declared = properties.get("Conditions") or []
    for condition, declaration in zip(conditions, declared, strict=True):
        for config in CONFIGS:
            if expressions := (declaration.get(config) or {}).get("RegexValues"):
                condition[EXPRESSIONS] = (config, expressions)
    return result


def _with_expressions(
    original: Callable[[dict[str, Any]], str],
) -> Callable[[Any], str]:
    def condition_xml(condition: dict[str, Any]) -> str:
        text = original(condition)
        if EXPRESSIONS not in condition:
            return text
        config, expressions = condition[EXPRESSIONS]
        members = "".join(
            f"<member>{escape(expression)}</member>" for expression in expressions
        )
        expressions = f"<RegexValues>{members}</RegexValues>"
        if f"<{config}>" in text:
            return text.replace(f"</{config}>", f"{expressions}</{config}>", 1)
        end = text.rindex("</")
        return f"{text[:end]}<{config}>{expressions}</{config}>{text[end:]}"

    return condition_xml

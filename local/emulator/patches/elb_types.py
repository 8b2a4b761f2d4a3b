"""Listener rules as MiniStack leaves them incomplete: regular expressions.

It drops the ``RegexValues`` of a condition. What the rule refuses on AWS would pass
here, and nobody would see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from local.emulator.patches.ministack import names, replace

ALB = names("services.alb")
LISTENER_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
CONFIGS = ("PathPatternConfig", "HostHeaderConfig", "HttpHeaderConfig")
KEPT = "_expressions"

Made = tuple[str, dict[str, Any]]


def install() -> None:
    """Show the expressions of a condition from now on."""
    replace("_condition_xml", _showing, ALB)


def completed(handlers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the handlers of a rule whose expressions are kept."""
    native = handlers[LISTENER_RULE]

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Made:
        made: Made = native["create"](logical_id, properties, stack_name)
        return _kept(made, properties)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack_name: str, *more: Any
    ) -> Made:
        return _kept(native["update"](physical_id, old, new, stack_name, *more), new)

    return {LISTENER_RULE: {**native, "create": create, "update": update}}


def _kept(made: Made, properties: dict[str, Any]) -> Made:
    kept = ALB["_rules"][made[0]]["Conditions"]
    for condition, given in zip(kept, properties.get("Conditions") or [], strict=True):
        for config in CONFIGS:
            if found := (given.get(config) or {}).get("RegexValues"):
                condition[KEPT] = (config, found)
    return made


def _showing(original: Callable[[dict[str, Any]], str]) -> Callable[[Any], str]:
    def condition_xml(condition: dict[str, Any]) -> str:
        text = original(condition)
        if KEPT not in condition:
            return text
        config, found = condition[KEPT]
        members = "".join(f"<member>{escape(one)}</member>" for one in found)
        expressions = f"<RegexValues>{members}</RegexValues>"
        if f"<{config}>" in text:
            return text.replace(f"</{config}>", f"{expressions}</{config}>", 1)
        end = text.rindex("</")
        return f"{text[:end]}<{config}>{expressions}</{config}>{text[end:]}"

    return condition_xml

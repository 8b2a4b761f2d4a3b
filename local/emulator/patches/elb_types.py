"""Listener rules and load balancers: what MiniStack drops.

Without the ``RegexValues`` of its conditions, a rule would admit requests that it
refuses on AWS. A load balancer writes a test file as soon as it has access logs, so
that a rollback cannot delete their bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from local.emulator.patches.ministack import (
    CreateResult,
    Handlers,
    account,
    completed,
    names,
    replace,
)

ALB = names("services.alb")
S3 = names("services.s3")
LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER_RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
CONFIGS = ("PathPatternConfig", "HostHeaderConfig", "HttpHeaderConfig")
EXPRESSIONS = "_expressions"


def install() -> None:
    """Include regular expressions in DescribeRules."""
    replace("_condition_xml", _with_expressions, ALB)


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the handlers of rules and load balancers."""
    return {
        LISTENER_RULE: completed(handlers[LISTENER_RULE], _keep_expressions),
        LOAD_BALANCER: completed(handlers[LOAD_BALANCER], _write_test_file),
    }


def _write_test_file(result: CreateResult, properties: dict[str, Any]) -> CreateResult:
    attributes = {
        attribute["Key"]: str(attribute["Value"])
        for attribute in properties.get("LoadBalancerAttributes") or ()
    }
    bucket = S3["_buckets"].get(attributes.get("access_logs.s3.bucket"))
    if attributes.get("access_logs.s3.enabled") == "true" and bucket is not None:
        key = f"AWSLogs/{account()}/ELBAccessLogTestFile"
        record = S3["_build_object_record"](b"Enable AccessLog", {})
        bucket["objects"].setdefault(key, record)
    return result


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

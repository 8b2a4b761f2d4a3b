"""The web firewall: its rules and its log."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from compiler.wiring import Build
from templates import web_firewall
from tests.resolver import deploy

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
BALANCER = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/a/b"
GIVEN = {"LoadBalancerArn": BALANCER, "KeyArn": KEY, "LogDays": "365"}


def deployed(name: str = "airflow") -> dict[str, dict[str, Any]]:
    document = Build().template(web_firewall.define).document
    return deploy(document, {}, GIVEN, name=name).resources


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    return deployed()


@pytest.fixture(scope="module")
def rules(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    web_rules = resources["Firewall"]["Properties"]["Rules"]
    assert [rule["Priority"] for rule in web_rules] == list(range(len(web_rules)))
    return {rule["Name"]: rule for rule in web_rules}


def test_requests_are_not_sampled(
    resources: dict[str, dict[str, Any]], rules: dict[str, dict[str, Any]]
) -> None:
    # Redaction does not reach sampled requests.
    for rule in (resources["Firewall"]["Properties"], *rules.values()):
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False


@pytest.mark.parametrize("stack", ["airflow", "a" * 128])
def test_log_group_name_is_valid_for_waf(stack: str) -> None:
    # WAF calls an ARN invalid that lacks the prefix or ends in :*.
    resources = deployed(stack)
    name = resources["Log"]["Properties"]["LogGroupName"]
    assert name.startswith("aws-waf-logs-")
    assert re.fullmatch(r"[.\-_/#A-Za-z0-9]{1,512}", name)
    (destination,) = resources["Logging"]["Properties"]["LogDestinationConfigs"]
    assert destination == "arn:aws:logs:eu-central-1:123456789012:log-group:<Log>"


def test_blocked_and_counted_requests_are_logged(
    resources: dict[str, dict[str, Any]],
) -> None:
    only = resources["Logging"]["Properties"]["LoggingFilter"]
    (log_filter,) = only["Filters"]
    actions = {
        statement["ActionCondition"]["Action"] for statement in log_filter["Conditions"]
    }
    assert (only["DefaultBehavior"], log_filter["Behavior"]) == ("DROP", "KEEP")
    assert actions == {"BLOCK", "COUNT"}


def test_counted_managed_rules_are_decided_by_an_own_rule(
    rules: dict[str, dict[str, Any]],
) -> None:
    # SizeRestrictions_BODY refuses a variable of 9 KB; dropping the rule for good
    # would open the login page to any body. So: counted there, refused elsewhere.
    common = rules["Common"]["Statement"]["ManagedRuleGroupStatement"]
    counted = {
        each["Name"].lower()
        for each in common["RuleActionOverrides"]
        if "Count" in each["ActionToUse"]
    }
    ours = rules["FreeTextElsewhere"]
    assert "Block" in ours["Action"]
    labelled, outside = ours["Statement"]["AndStatement"]["Statements"]
    labels = {
        statement["LabelMatchStatement"]["Key"].rpartition(":")[2].lower()
        for statement in labelled["OrStatement"]["Statements"]
    }
    assert counted == labels
    assert "sizerestrictions_body" in counted
    assert ours["Priority"] > rules["Common"]["Priority"], "labels come first"
    paths = {
        statement["ByteMatchStatement"]["SearchString"]
        for statement in outside["NotStatement"]["Statement"]["OrStatement"][
            "Statements"
        ]
    }
    assert paths == {"/api/v2/", "/ui/"}


def test_managed_rule_groups_block(rules: dict[str, dict[str, Any]]) -> None:
    groups = {
        rule["Statement"]["ManagedRuleGroupStatement"]["Name"]: rule["OverrideAction"]
        for rule in rules.values()
        if "OverrideAction" in rule
    }
    assert groups == {
        "AWSManagedRulesAmazonIpReputationList": {"None": {}},
        "AWSManagedRulesKnownBadInputsRuleSet": {"None": {}},
        "AWSManagedRulesCommonRuleSet": {"None": {}},
    }


def test_paths_are_normalized_before_comparison(
    rules: dict[str, dict[str, Any]],
) -> None:
    # Else /api/v2/../auth/login would count as the API, /%65xecution as a page.
    text = json.dumps(list(rules.values()))
    compared = re.findall(r'"UriPath": \{\}\}.*?"TextTransformations": (\[.*?\])', text)
    assert len(compared) == 4
    for transformations in compared:
        kinds = [statement["Type"] for statement in json.loads(transformations)]
        assert kinds == ["URL_DECODE", "NORMALIZE_PATH", "LOWERCASE"]


def test_execution_api_is_blocked_first(rules: dict[str, dict[str, Any]]) -> None:
    first = rules["ExecutionApi"]
    assert first["Priority"] == 0
    assert "Block" in first["Action"]
    match = first["Statement"]["ByteMatchStatement"]
    assert (match["SearchString"], match["PositionalConstraint"]) == (
        "/execution",
        "STARTS_WITH",
    )


def test_login_attempts_are_rate_limited(rules: dict[str, dict[str, Any]]) -> None:
    rate = rules["Logins"]["Statement"]["RateBasedStatement"]
    assert "Block" in rules["Logins"]["Action"]
    assert rate["AggregateKeyType"] == "IP"
    assert rate["Limit"] / rate["EvaluationWindowSec"] <= 1 / 3
    path, method = rate["ScopeDownStatement"]["AndStatement"]["Statements"]
    assert path["ByteMatchStatement"]["SearchString"] == "/auth/"
    assert method["ByteMatchStatement"]["SearchString"] == "POST"

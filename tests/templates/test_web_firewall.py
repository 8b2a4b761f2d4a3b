"""The firewall: what it refuses, what it lets operators write, what it must not log."""

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
    document = Build().page(web_firewall.define).document
    return deploy(document, {}, GIVEN, name=name).resources


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    return deployed()


@pytest.fixture(scope="module")
def rules(made: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    listed = made["Firewall"]["Properties"]["Rules"]
    assert [rule["Priority"] for rule in listed] == list(range(len(listed)))
    return {rule["Name"]: rule for rule in listed}


def test_the_rules_stand_before_the_load_balancer(
    made: dict[str, dict[str, Any]],
) -> None:
    # Control 80.
    assert made["Association"]["Properties"] == {
        "ResourceArn": BALANCER,
        "WebACLArn": "<Firewall.Arn>",
    }
    assert made["Firewall"]["Properties"]["Scope"] == "REGIONAL"


def test_tokens_and_cookies_stay_out_of_the_log_and_of_samples(
    made: dict[str, dict[str, Any]], rules: dict[str, dict[str, Any]]
) -> None:
    # Control 81. Redaction does not reach sampled requests, so there are none.
    logging = made["Logging"]["Properties"]
    redacted = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]}
    assert redacted == {"authorization", "cookie"}
    for rule in (made["Firewall"]["Properties"], *rules.values()):
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False


@pytest.mark.parametrize("stack", ["airflow", "a" * 128])
def test_waf_can_write_to_the_log(stack: str) -> None:
    # WAF calls an ARN invalid that lacks the prefix or ends in :*.
    made = deployed(stack)
    name = made["Log"]["Properties"]["LogGroupName"]
    assert name.startswith("aws-waf-logs-")
    assert re.fullmatch(r"[.\-_/#A-Za-z0-9]{1,512}", name)
    (destination,) = made["Logging"]["Properties"]["LogDestinationConfigs"]
    assert destination == "arn:aws:logs:eu-central-1:123456789012:log-group:<Log>"


def test_the_log_is_encrypted_bounded_and_kept(made: dict[str, dict[str, Any]]) -> None:
    # Controls 55 to 57.
    log = made["Log"]
    assert log["Properties"]["KmsKeyId"] == KEY
    assert log["Properties"]["RetentionInDays"] == "365"
    assert log["DeletionPolicy"] == log["UpdateReplacePolicy"] == "Retain"


def test_refusals_and_suspicions_are_logged(made: dict[str, dict[str, Any]]) -> None:
    only = made["Logging"]["Properties"]["LoggingFilter"]
    (kept,) = only["Filters"]
    actions = {one["ActionCondition"]["Action"] for one in kept["Conditions"]}
    assert (only["DefaultBehavior"], kept["Behavior"]) == ("DROP", "KEEP")
    assert actions == {"BLOCK", "COUNT"}


def test_what_a_managed_rule_only_counts_a_rule_of_ours_decides(
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
    ours = rules["TextElsewhere"]
    assert "Block" in ours["Action"]
    labelled, outside = ours["Statement"]["AndStatement"]["Statements"]
    labels = {
        one["LabelMatchStatement"]["Key"].rpartition(":")[2].lower()
        for one in labelled["OrStatement"]["Statements"]
    }
    assert counted == labels
    assert "sizerestrictions_body" in counted
    assert ours["Priority"] > rules["Common"]["Priority"], "labels come first"
    paths = {
        one["ByteMatchStatement"]["SearchString"]
        for one in outside["NotStatement"]["Statement"]["OrStatement"]["Statements"]
    }
    assert paths == {"/api/v2/", "/ui/"}


def test_no_managed_group_is_disarmed(rules: dict[str, dict[str, Any]]) -> None:
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


def test_every_path_is_compared_as_the_server_understands_it(
    rules: dict[str, dict[str, Any]],
) -> None:
    # Else /api/v2/../auth/login would count as the API, /%65xecution as a page.
    text = json.dumps(list(rules.values()))
    compared = re.findall(r'"UriPath": \{\}\}.*?"TextTransformations": (\[.*?\])', text)
    assert len(compared) == 4
    for transformations in compared:
        kinds = [one["Type"] for one in json.loads(transformations)]
        assert kinds == ["URL_DECODE", "NORMALIZE_PATH", "LOWERCASE"]


def test_the_tasks_api_is_refused_here_too(rules: dict[str, dict[str, Any]]) -> None:
    first = rules["TasksApi"]
    assert first["Priority"] == 0
    assert "Block" in first["Action"]
    match = first["Statement"]["ByteMatchStatement"]
    assert (match["SearchString"], match["PositionalConstraint"]) == (
        "/execution",
        "STARTS_WITH",
    )


def test_guessing_passwords_is_slow(rules: dict[str, dict[str, Any]]) -> None:
    rate = rules["Logins"]["Statement"]["RateBasedStatement"]
    assert "Block" in rules["Logins"]["Action"]
    assert rate["AggregateKeyType"] == "IP"
    assert rate["Limit"] / rate["EvaluationWindowSec"] <= 1 / 3
    path, method = rate["ScopeDownStatement"]["AndStatement"]["Statements"]
    assert path["ByteMatchStatement"]["SearchString"] == "/auth/"
    assert method["ByteMatchStatement"]["SearchString"] == "POST"

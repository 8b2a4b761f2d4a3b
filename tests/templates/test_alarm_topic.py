"""What the alarms stack promises."""

from __future__ import annotations

import json
from typing import Any

from compiler.wiring import Build
from templates import alarm_topic
from tests.resolver import Stack, deploy


def stack(email: str = "") -> Stack:
    page = Build().page(alarm_topic.define)
    given = {"KeyArn": "<key>", "Email": email}
    return deploy(json.loads(page.text()), {}, given)


def statements(effect: str) -> list[dict[str, Any]]:
    policy = stack().resources["Publishers"]["Properties"]["PolicyDocument"]
    return [each for each in policy["Statement"] if each["Effect"] == effect]


def test_messages_lie_under_a_customer_key() -> None:
    # Control 53: CloudWatch cannot use alias/aws/sns, and alarms vanish.
    topic = stack().resources["Topic"]["Properties"]
    assert topic["KmsMasterKeyId"] == "<key>"


def test_nobody_but_alarms_and_databases_of_this_account_can_publish() -> None:
    # Control 54: a spoofed alarm sends people the wrong way.
    assert {s["Principal"]["Service"] for s in statements("Allow")} == {
        "cloudwatch.amazonaws.com",
        "events.rds.amazonaws.com",
    }
    for statement in statements("Allow"):
        assert statement["Action"] == ["sns:Publish"]
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": "123456789012"}
        source = condition["ArnLike"]["aws:SourceArn"]
        assert ":123456789012:" in source
        service = statement["Principal"]["Service"].removeprefix("events.")
        assert source.split(":")[2] == service.partition(".")[0]


def test_nothing_is_published_in_clear() -> None:
    (refusal,) = statements("Deny")
    assert refusal["Principal"] == "*"
    assert refusal["Action"] == ["sns:Publish"]
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_an_address_is_subscribed_only_where_one_is_given() -> None:
    assert "EmailSubscription" not in stack().resources
    subscription = stack("ops@example.com").resources["EmailSubscription"]
    assert subscription["Properties"] == {
        "TopicArn": "<Topic>",
        "Protocol": "email",
        "Endpoint": "ops@example.com",
    }

"""The alarm topic: TLS and the e-mail subscription."""

from __future__ import annotations

import json

from compiler.wiring import Build
from templates import alarm_topic
from tests.resolver import Stack, deploy


def stack(email: str = "") -> Stack:
    document = json.loads(Build().template(alarm_topic.define).text())
    return deploy(document, {}, {"KeyArn": "<key>", "Email": email})


def test_publishing_without_tls_is_denied() -> None:
    policy = stack().resources["Publishers"]["Properties"]["PolicyDocument"]
    (deny,) = (each for each in policy["Statement"] if each["Effect"] == "Deny")
    assert deny["Principal"] == "*"
    assert deny["Action"] == ["sns:Publish"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_email_subscription_needs_an_address() -> None:
    assert "EmailSubscription" not in stack().resources
    subscription = stack("ops@example.com").resources["EmailSubscription"]
    assert subscription["Properties"] == {
        "TopicArn": "<Topic>",
        "Protocol": "email",
        "Endpoint": "ops@example.com",
    }

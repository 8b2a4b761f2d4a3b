"""What AWS answers, and what a person is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.retries.standard as retries
import pytest

from cli.errors import (
    AwsError,
    Denied,
    ExitCode,
    Failure,
    Throttled,
    Unable,
    Unreachable,
)
from deploy import aws as module
from deploy.aws import Aws, EmulatorEndpoint, iam_action

GOOD = """<DescribeStacksResponse><DescribeStacksResult><Stacks/>
</DescribeStacksResult></DescribeStacksResponse>"""


def bad(code: str, message: str) -> str:
    return (
        "<ErrorResponse><Error><Type>Sender</Type>"
        f"<Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )


@contextmanager
def serving(*answers: tuple[int, str]) -> Iterator[tuple[Aws, list[str]]]:
    """Answer each request with the next of ``answers``, then with the last."""
    left, requests = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            requests.append(self.rfile.read(length).decode())
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield account(f"http://127.0.0.1:{server.server_address[1]}"), requests
    finally:
        server.shutdown()
        server.server_close()


def account(endpoint: str) -> Aws:
    return Aws(
        emulator=EmulatorEndpoint(
            endpoint=endpoint,
            region="eu-central-1",
            access_key_id="111122223333",
            secret_access_key="testing",  # noqa: S106 - no real key
        )
    )


@pytest.fixture(autouse=True)
def _as_patient_as_with_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on the loopback is treated like AWS here, not like an emulator."""
    monkeypatch.setattr(module, "LOCAL_ATTEMPTS", module.ATTEMPTS)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backing off is botocore's and tested there; only that it tries again is ours."""
    monkeypatch.setattr(
        retries.ExponentialBackoff, "delay_amount", lambda _self, _context: 0
    )


def ask(aws: Aws) -> dict[str, Any]:
    return aws.call(
        "cloudformation", "describe_stacks", "Stack airflow-dev", StackName="x"
    )


def test_throttled_call_is_retried() -> None:
    busy = (400, bad("Throttling", "Rate exceeded"))
    with serving(busy, busy, (200, GOOD)) as (aws, requests):
        assert ask(aws)["Stacks"] == []
    assert len(requests) == 3


def test_endless_throttling_is_reported() -> None:
    with (
        serving((400, bad("Throttling", "Rate exceeded"))) as (aws, requests),
        pytest.raises(Throttled, match="Wait a minute"),
    ):
        ask(aws)
    assert len(requests) == module.ATTEMPTS


def test_server_error_is_retried() -> None:
    with serving((503, bad("ServiceUnavailable", "")), (200, GOOD)) as (aws, requests):
        ask(aws)
    assert len(requests) == 2


def test_message_of_expired_credentials_names_the_login_command() -> None:
    with (
        serving((403, bad("ExpiredToken", "The token is expired"))) as (aws, _),
        pytest.raises(Unable, match=r"have expired.*Sign in again") as caught,
    ):
        ask(aws)
    assert caught.value.exit_code is ExitCode.UNABLE


def test_denied_message_names_action_and_resource() -> None:
    message = (
        "User: arn:aws:iam::111122223333:user/me is not authorized to perform: "
        "cloudformation:DescribeStacks on resource: arn:aws:cloudformation:eu-central-1"
        ":111122223333:stack/x/* because no identity-based policy allows it"
    )
    with (
        serving((403, bad("AccessDenied", message))) as (aws, _),
        pytest.raises(Denied) as caught,
    ):
        ask(aws)
    assert "Allow cloudformation:DescribeStacks on arn:aws:cloudformation" in str(
        caught.value
    )


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_denied_message_without_details_names_the_called_action(code: str) -> None:
    """HEAD of S3 answers 403 and nothing else."""
    with (
        serving((403, bad(code, ""))) as (aws, _),
        pytest.raises(
            Denied, match="cloudformation:DescribeStacks on Stack airflow-dev"
        ),
    ):
        ask(aws)


def test_expected_error_keeps_its_code() -> None:
    gone = bad("ValidationError", "Stack with id x does not exist")
    with serving((400, gone)) as (aws, _), pytest.raises(AwsError) as caught:
        ask(aws)
    assert caught.value.code == "ValidationError"
    assert module.is_missing(caught.value)


def test_crashed_emulator_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCAL_ATTEMPTS", 2)
    with serving((200, GOOD)) as (aws, _):
        ask(aws)
    with pytest.raises(Unreachable, match="does not answer any more"):
        ask(aws)


def test_proxy_page_is_no_answer() -> None:
    with (
        serving((502, "<html>Bad gateway")) as (aws, _),
        pytest.raises(Unreachable),
    ):
        ask(aws)


def test_timeout_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)
    monkeypatch.setattr(module, "LOCAL_ATTEMPTS", 2)
    hanging = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hanging.wait(5)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(Unreachable):
            ask(account(f"http://127.0.0.1:{server.server_address[1]}"))
    finally:
        hanging.set()
        server.shutdown()
        server.server_close()


def test_message_of_missing_credentials_names_the_emulator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Unable, match="--emulator"):
        ask(Aws(region="eu-central-1"))


def test_message_of_missing_region_names_where_to_set_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Unable, match="--region"):
        ask(Aws())


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(Unable, match="no-such-profile"):
        ask(Aws(profile="no-such-profile", region="eu-central-1"))


def test_unknown_region_is_named() -> None:
    with pytest.raises(Failure, match="no region of that name"):
        _ = Aws(region="nowhere").partition


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-central-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
    ],
)
def test_partitions_have_their_dns_suffix(
    region: str, partition: str, suffix: str
) -> None:
    aws = Aws(region=region)
    assert (aws.partition, aws.dns_suffix) == (partition, suffix)


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("s3", "head_object", "s3:GetObject"),
        ("s3", "put_bucket_encryption", "s3:PutEncryptionConfiguration"),
        (
            "elbv2",
            "modify_load_balancer_attributes",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
        ),
        ("cloudformation", "create_change_set", "cloudformation:CreateChangeSet"),
    ],
)
def test_actions_have_the_names_of_iam(
    service: str, operation: str, action: str
) -> None:
    assert iam_action(service, operation) == action

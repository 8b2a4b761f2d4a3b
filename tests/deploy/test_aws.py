"""What AWS answers, and what a person is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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


def test_endless_throttling_is_shown_and_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        serving((400, bad("Throttling", "Rate exceeded"))) as (aws, requests),
        pytest.raises(Throttled, match="Wait a minute"),
    ):
        ask(aws)
    assert len(requests) == module.ATTEMPTS
    shown = capsys.readouterr().err
    assert shown.count("limits the rate of calls. Trying again") == len(requests) - 1


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


def test_unexpected_error_says_what_was_asked_and_what_to_do() -> None:
    with (
        serving((400, bad("Odd", "very odd"))) as (aws, _),
        pytest.raises(AwsError, match=r"odd.*cloudformation:DescribeStacks.*Correct"),
    ):
        ask(aws)


def test_connection_that_is_not_trusted_is_not_tried_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving((200, GOOD)) as (local, _):
        assert local.emulator
        address = local.emulator.endpoint.replace("http:", "https:")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(Unreachable, match="AWS_CA_BUNDLE"):
            ask(Aws(region="eu-central-1"))
    assert "Trying again" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("credential_process = false", "failed without a message"),
        ("credential_process = echo hello", "printed no JSON"),
        ("credential_process = /none/program", "/none/program"),
        ("web_identity_token_file = /none/token\nrole_arn = x", "/none/token"),
        ("role_arn = x\nsource_profile = other", "other"),
        ("aws_access_key_id = a b\naws_secret_access_key = c", "a blank or a line"),
        ("metadata_service_timeout = x", "'x'"),
    ],
)
def test_source_of_credentials_that_fails_is_named_before_a_call(
    settings: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[default]\n{settings}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unable, match=what):
        ask(Aws(region="eu-central-1"))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    ["<html><body>Please log in</body></html>", "<html><br>Please", "{}", ""],
    ids=["XHTML", "HTML", "JSON", "nothing"],
)
@pytest.mark.parametrize("status", [200, 302, 403, 407])
def test_page_of_a_network_login_is_no_answer(
    status: int, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving((status, body)) as (local, _):
        assert local.emulator
        monkeypatch.setenv("AWS_ENDPOINT_URL", local.emulator.endpoint)
        for service, operation in (
            ("cloudformation", "describe_stacks"),
            ("sts", "get_caller_identity"),
            ("ecs", "list_clusters"),
            ("s3", "list_buckets"),
        ):
            with pytest.raises(Unreachable, match=r"Not AWS has answered|\(500\)"):
                Aws(region="eu-central-1").call(service, operation)


def test_address_that_refuses_is_tried_three_times_and_each_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="Check the network"):
        ask(Aws(region="eu-central-1"))
    assert capsys.readouterr().err.count("Trying again") == 2
    with pytest.raises(Unreachable, match="no region of that name"):
        ask(Aws(region="eu-central-9"))
    assert "Trying again" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"AWS_CONFIG_FILE": "README.md"}, "README.md"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9"}, "Correct AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "ftp://127.0.0.1"}, "Correct AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "https://a:99999"}, "Correct AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL_STS": "a:9"}, "Correct AWS_ENDPOINT_URL_STS"),
        ({"AWS_CA_BUNDLE": "/none.pem"}, "/none.pem"),
        ({"AWS_CA_BUNDLE": "README.md"}, "no file of certificates"),
        ({"AWS_DEFAULTS_MODE": "best"}, "best"),
        ({"AWS_REGION": "US-EAST-1"}, "no region of that name"),
        ({"AWS_REGION": "us-east-1a"}, "no region of that name"),
        *(({name: " "}, name) for name in module.VARIABLES),
    ],
    ids=str,
)
def test_setting_that_cannot_work_is_named_before_a_call(
    settings: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Failure, match=what) as caught:
        ask(Aws())
    assert not isinstance(caught.value, Unreachable)


def test_emulator_reads_no_setting_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in module.VARIABLES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_CONFIG_FILE", "README.md")
    monkeypatch.setenv("AWS_PROFILE", "none")
    monkeypatch.setenv("AWS_RETRY_MODE", "often")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving((200, GOOD)) as (aws, _):
        assert ask(aws)["Stacks"] == []


def test_region_is_read_as_by_every_tool_of_aws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert Aws().region == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert Aws().region == "eu-west-1"
    assert Aws(region="eu-north-1").region == "eu-north-1"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 2020 is now earlier than 2026"),
        ("InvalidSignatureException", "Signature not yet current: 2030"),
    ],
)
def test_wrong_clock_is_named(code: str, message: str) -> None:
    with serving((403, bad(code, message))) as (aws, _), pytest.raises(Unable) as said:
        ask(aws)
    assert said.value.problems[0].where == "The clock of this machine"


def test_commands_of_outputs_reach_the_emulator_or_the_profile() -> None:
    text = "TASK=$(aws ecs list-tasks) aws s3 sync dags/ s3://b/"
    local = account("http://127.0.0.1:1").shell_command(text)
    assert local.count("aws --endpoint-url http://127.0.0.1:1 ") == 2
    assert Aws(profile="my prod").shell_command(text).count("--profile 'my prod'") == 2
    assert Aws().shell_command(text) == text


def test_timeout_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)
    monkeypatch.setattr(module, "LOCAL_ATTEMPTS", 2)
    hanging = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hanging.wait(5)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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

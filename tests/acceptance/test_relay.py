"""Both ends of the verification relay, with the objects of S3 in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from cryptography.fernet import Fernet

from acceptance.api import session, status
from acceptance.environment import Environment
from acceptance.relay import RelayError, S3Relay, erase
from fargate_runtime import relay
from fargate_runtime.relay import Relay, derive_key, forward
from local.datastores import Authority
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from tests.acceptance.fakes import environment

PASSWORD = "p/w"  # noqa: S105 - of this test
RUN = "verify-1"
SECRET_BODY = b"username=admin&password=s3cret"


class Bucket:
    """The calls of S3 that both ends make; every version ever written is kept."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[tuple[str, bytes]] = []

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803, ARG002
        self.objects[Key] = Body
        self.written.append((Key, Body))

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803, ARG002
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803, ARG002
        self.objects.pop(Key, None)

    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803, ARG002
        keys = [key for key in list(self.objects) if key.startswith(Prefix)]
        return {"Contents": [{"Key": key} for key in keys]}


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def seen_by(bucket: Bucket, url: str, **options: Any) -> Relay:
    return Relay(
        bucket,
        "logs",
        f"verification/{RUN}",
        Fernet(derive_key(PASSWORD, RUN)),
        lambda request: forward(url, request),
        pause=time.sleep,
        **options,
    )


class LoginPages:
    """Sets a cookie, redirects, and answers with what it was asked."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        if request.target == "/login":
            headers = (("Set-Cookie", "session=abc; Path=/"), ("Location", "/home"))
            return HttpResponse(302, b"", headers)
        return HttpResponse(200, (request.headers.get("Cookie") or "").encode())


@pytest.fixture
def pages() -> LoginPages:
    return LoginPages()


@pytest.fixture
def relayed(
    bucket: Bucket,
    pages: LoginPages,
    authority: Authority,
    serve: Callable[..., HttpServer],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Environment]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.002)
    url = serve(pages.handle).url
    thread = threading.Thread(target=seen_by(bucket, url).serve)
    thread.start()
    client = S3Relay(bucket, "logs", RUN, PASSWORD, pause=lambda _: None)
    yield environment(url=url, ca_path=authority.ca_path, relay=client)
    client.end()
    thread.join(10)
    assert not thread.is_alive()


def test_session_logs_in_by_the_relay(relayed: Environment, pages: LoginPages) -> None:
    with session(relayed) as http:
        home = http.post(f"{relayed.url}/login", data=SECRET_BODY)

    assert home.text == "session=abc"
    assert [request.method for request in pages.requests] == ["POST", "GET"]
    assert pages.requests[0].body == SECRET_BODY


def test_target_is_sent_as_it_is(relayed: Environment, pages: LoginPages) -> None:
    target = "//execution/../%65x"

    assert status(relayed, target) == 200
    assert pages.requests[-1].target == target


def test_objects_reveal_nothing(relayed: Environment, bucket: Bucket) -> None:
    with session(relayed) as http:
        http.post(f"{relayed.url}/login", data=SECRET_BODY)

    assert bucket.written
    assert not any(b"s3cret" in body or b"login" in body for _, body in bucket.written)


def test_only_the_own_address_is_reached(relayed: Environment) -> None:
    with pytest.raises(RelayError, match="begin with a slash"):
        status(relayed, "https://example.org/")


def test_request_with_another_password_is_not_sent(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[object] = []
    end = seen_by(bucket, "")
    end.send = lambda request: sent.append(request) or {}  # type: ignore[func-returns-value]
    other = S3Relay(bucket, "logs", RUN, "other", seconds=0.0)
    with pytest.raises(RelayError, match="has not answered"):
        other.send("GET", "/", (), b"")
    bucket.put_object(Bucket="", **dict(zip(("Key", "Body"), bucket.written[0])))  # type: ignore[arg-type]  # noqa: B905
    other.end()

    assert end.serve() == "verify has ended"
    end._answer_or_log("000000")
    assert not sent
    assert "InvalidToken" in capsys.readouterr().out


def test_listener_that_does_not_answer_is_a_connection_error(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.002)
    end = seen_by(bucket, "http://127.0.0.1:9")
    client = S3Relay(bucket, "logs", RUN, PASSWORD, pause=lambda _: None)
    thread = threading.Thread(target=end.serve)
    thread.start()
    away = environment(url="http://a.example", ca_path="", relay=client)
    with (
        session(away) as http,
        pytest.raises(requests.ConnectionError, match="refused"),
    ):
        http.get("http://a.example/")
    client.end()
    thread.join(10)


def test_relay_ends_when_verify_was_killed(bucket: Bucket) -> None:
    times = iter(range(0, 1000, 50))
    end = seen_by(bucket, "", clock=lambda: float(next(times)))

    assert end.serve() == "no request for 120 s"


def test_every_version_is_erased() -> None:
    deleted: list[Any] = []
    page = {
        "Versions": [{"Key": "a", "VersionId": "1"}],
        "DeleteMarkers": [{"Key": "a", "VersionId": "2"}],
    }
    s3 = SimpleNamespace(
        get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [page]),
        delete_objects=lambda **call: deleted.append(call) or {},  # type: ignore[func-returns-value]
    )

    assert erase(s3, "logs", "verification/") == 2
    assert deleted[0]["Delete"]["Objects"] == [
        {"Key": "a", "VersionId": "1"},
        {"Key": "a", "VersionId": "2"},
    ]

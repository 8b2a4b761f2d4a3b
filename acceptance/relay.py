"""Client of the verification relay, a task inside the VPC that sends HTTP requests.

Requests and responses are encrypted objects in the log bucket, as
``fargate_runtime.relay`` describes.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import requests
import urllib3
from botocore.exceptions import ClientError
from cryptography.fernet import Fernet
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar

from acceptance.environment import Relay, RelayedResponse
from fargate_runtime.contract import RELAY_FOLDER
from fargate_runtime.relay import END, POLL_SECONDS, REQUEST_SECONDS, derive_key

RESPONSE_SECONDS = REQUEST_SECONDS + 30

DELETED_AT_ONCE = 1000
"""What DeleteObjects takes."""

MISSING = frozenset({"NoSuchKey", "404"})


class RelayError(Exception):
    """The relay has not answered, or could not send a request."""


@dataclass
class S3Relay:
    """One run of the relay. Safe to use from several threads."""

    s3: Any
    bucket: str
    run: str
    password: str
    """Of the first administrator; the relay was started with the same one."""
    seconds: float = RESPONSE_SECONDS
    pause: Callable[[float], None] = time.sleep
    requests: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._cipher = Fernet(derive_key(self.password, self.run))

    @property
    def folder(self) -> str:
        """The prefix of this run's objects."""
        return f"{RELAY_FOLDER}/{self.run}"

    def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> RelayedResponse:
        """Send a request to the load balancer. Raises RelayError."""
        name = f"{next(self._numbers):06}"
        request = {
            "method": method,
            "target": target,
            "headers": [list(header) for header in headers],
            "body": base64.b64encode(body).decode(),
        }
        key = f"{self.folder}/requests/{name}"
        encrypted = self._cipher.encrypt(json.dumps(request).encode())
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=encrypted)
        self.requests += 1
        try:
            response = self._response(name)
        finally:
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        if "error" in response:
            raise RelayError(response["error"])
        return RelayedResponse(
            response["status"],
            [(name, value) for name, value in response["headers"]],
            base64.b64decode(response["body"]),
        )

    def _response(self, name: str) -> dict[str, Any]:
        key = f"{self.folder}/responses/{name}"
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            try:
                stored = self.s3.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
                self.pause(POLL_SECONDS)
                continue
            response: dict[str, Any] = json.loads(
                self._cipher.decrypt(stored["Body"].read())
            )
            return response
        raise RelayError(f"The relay has not answered for {self.seconds:.0f} s.")

    def end(self) -> None:
        """Tell the relay to end."""
        key = f"{self.folder}/requests/{END}"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")


class RelayAdapter(HTTPAdapter):
    """Sends the requests of a session by a relay."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def send(  # type: ignore[override] # the other options are those of a connection
        self, request: requests.PreparedRequest, **_connection: Any
    ) -> requests.Response:
        """Send a prepared request; a relay that fails is a ConnectionError."""
        body = request.body or b""
        if not isinstance(body, str | bytes):
            raise TypeError("A relay sends no streams.")
        try:
            answer = self._relay.send(
                str(request.method),
                request.path_url,
                [(name, str(value)) for name, value in request.headers.items()],
                body.encode() if isinstance(body, str) else body,
            )
        except RelayError as error:
            raise requests.ConnectionError(str(error), request=request) from error
        message = Message()
        for name, value in answer.headers:
            message[name] = value
        raw = urllib3.HTTPResponse(
            BytesIO(answer.body),
            headers=urllib3.HTTPHeaderDict(answer.headers),
            status=answer.status,
            preload_content=False,
        )
        response = self.build_response(request, raw)
        response.content  # noqa: B018 - read here, as there is no connection to read
        # requests reads cookies here.
        raw._original_response = SimpleNamespace(msg=message)  # type: ignore[assignment]  # noqa: SLF001
        extract_cookies_to_jar(response.cookies, request, raw)
        return response


def erase(s3: Any, bucket: str, prefix: str) -> int:
    """Delete every version of the objects below a prefix; return how many there were.

    Raises the error of S3 that prevents it.
    """
    deleted = 0
    for page in s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=prefix
    ):
        objects = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for version in page.get(kind, ())
        ]
        for start in range(0, len(objects), DELETED_AT_ONCE):
            batch = objects[start : start + DELETED_AT_ONCE]
            answer = s3.delete_objects(
                Bucket=bucket, Delete={"Objects": batch, "Quiet": True}
            )
            if answer.get("Errors"):
                raise RelayError(f"S3 deletes not all: {answer['Errors'][0]}.")
            deleted += len(batch)
    return deleted

"""Relay of ``build.py verify``: sends HTTP requests from inside the VPC.

An operator's machine may not reach an internal load balancer. ``verify`` then runs this
task for some minutes. Requests and responses are objects in the log bucket, encrypted
with a key that both ends derive from the first administrator's password: the objects
alone reveal nothing, and a request without that key is not sent. The one address that
requests go to is in the task definition.

The task ends when ``verify`` says so, when no request came for two minutes, and after
three quarters of an hour in any case.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fargate_runtime.contract import (
    RELAY_FOLDER,
    RELAY_IDLE_SECONDS,
    RELAY_LIMIT_SECONDS,
    Env,
)
from fargate_runtime.env import EnvError, required

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.25
REQUEST_SECONDS = 60.0
REQUESTS_AT_ONCE = 8

END = "end"
"""Name of the request that ends the relay."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})
"""Headers of one connection; the body is passed on as a whole."""


def derive_key(password: str, run: str) -> bytes:
    """Return the Fernet key of a run. The work factor is scrypt's usual one."""
    key = hashlib.scrypt(password.encode(), salt=run.encode(), n=2**14, r=8, p=1)
    return base64.urlsafe_b64encode(key[:32])


def forward(url: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the address, its target as it is; return the response.

    A redirect is not followed. An address that does not answer gives ``error``.
    """
    if not str(request["target"]).startswith("/"):
        return {"error": "The target does not begin with a slash."}
    address = urlsplit(url)
    host = str(address.hostname)
    connection = HTTPConnection(host, address.port, timeout=REQUEST_SECONDS)
    if address.scheme == "https":
        connection = HTTPSConnection(
            host,
            address.port,
            timeout=REQUEST_SECONDS,
            context=ssl.create_default_context(),
        )
    body = base64.b64decode(request["body"])
    try:
        connection.putrequest(
            request["method"], request["target"], skip_accept_encoding=True
        )
        for name, value in request["headers"]:
            if name.lower() not in {*HOP_BY_HOP, "host", "content-length"}:
                connection.putheader(name, value)
        if body or request["method"] in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()
    return {
        "status": response.status,
        "headers": [
            [name, value]
            for name, value in response.getheaders()
            if name.lower() not in HOP_BY_HOP
        ],
        "body": base64.b64encode(content).decode(),
    }


@dataclass
class Relay:
    """The objects of one run, and what answers them."""

    s3: Any
    bucket: str
    folder: str
    cipher: Any
    """A Fernet of the run's key."""
    send: Callable[[dict[str, Any]], dict[str, Any]]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _seen: set[str] = field(default_factory=set)

    def serve(self) -> str:
        """Answer requests until there will be no more; return why it ended."""
        started = latest = self.clock()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            while self.clock() - started < RELAY_LIMIT_SECONDS:
                names = self._new()
                if END in names:
                    return "verify has ended"
                for name in names:
                    latest = self.clock()
                    pool.submit(self._answer_or_log, name)
                if self.clock() - latest > RELAY_IDLE_SECONDS:
                    return f"no request for {RELAY_IDLE_SECONDS} s"
                self.pause(POLL_SECONDS)
        return f"it ran for {RELAY_LIMIT_SECONDS} s"

    def _new(self) -> list[str]:
        prefix = f"{self.folder}/requests/"
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        names = [
            entry["Key"].removeprefix(prefix) for entry in listed.get("Contents", ())
        ]
        new = [name for name in names if name not in self._seen]
        self._seen.update(new)
        return new

    def _answer_or_log(self, name: str) -> None:
        try:
            self.answer(name)
        except Exception as error:  # noqa: BLE001 - the other requests go on
            print(f"relay: {name}: {type(error).__name__}: {error}")  # noqa: T201

    def answer(self, name: str) -> None:
        """Send one request, and store its response under the same name.

        What is no request of this run's key has no response.
        """
        stored = self.s3.get_object(
            Bucket=self.bucket, Key=f"{self.folder}/requests/{name}"
        )
        request = json.loads(self.cipher.decrypt(stored["Body"].read()))
        response = json.dumps(self.send(request)).encode()
        self.s3.put_object(
            Bucket=self.bucket,
            Key=f"{self.folder}/responses/{name}",
            Body=self.cipher.encrypt(response),
        )


def main() -> None:
    """Serve the run that the environment names."""
    import boto3  # noqa: PLC0415 - only for a run
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as above

    environ = os.environ
    try:
        url, run = required(environ, Env.RELAY_URL), required(environ, Env.RELAY_RUN)
        relay = Relay(
            boto3.client("s3"),
            required(environ, Env.RELAY_BUCKET),
            f"{RELAY_FOLDER}/{run}",
            Fernet(derive_key(required(environ, Env.ADMIN_PASSWORD), run)),
            lambda request: forward(url, request),
        )
    except EnvError as error:
        sys.exit(f"relay: {error}")
    print(f"relay: {relay.serve()}")  # noqa: T201 - to the log


if __name__ == "__main__":
    main()

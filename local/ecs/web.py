"""A small threaded HTTP server, and a client that forwards requests."""

from __future__ import annotations

import http.client
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.iam.http_request import HttpRequest

__all__ = ["HttpRequest", "HttpResponse", "HttpServer", "forward", "print_error"]

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade", "proxy-connection"),
    }
)
"""Headers that concern one connection and are not passed on."""

BODILESS = frozenset({204, 304})


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """Return a header's value, or nothing."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), "")


Handle = Callable[[HttpRequest], HttpResponse]
OnError = Callable[[str], None]


def print_error(problem: str) -> None:
    """Report a failed request on standard error."""
    sys.stderr.write(f"{problem}\n")


class HttpServer:
    """Serves on a thread of its own, each connection on another."""

    def __init__(
        self,
        handle: Handle,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: tuple[Path, Path] | None = None,
        on_error: OnError = print_error,
    ) -> None:
        """Listen at once; ``port`` 0 takes a free one.

        When ``handle`` raises, the client gets status 500 with the error, and
        ``on_error`` the same text.
        """
        handler = type("Handler", (_Handler,), {"handle_request": staticmethod(handle)})
        self._server = _Threading((host, port), handler)
        self._server.on_error = on_error
        self._scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=f"http-{self.port}",
            daemon=True,
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The address."""
        return f"{self._scheme}://{self.host}:{self.port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Threading(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    on_error: OnError

    def handle_error(self, *_: Any) -> None:
        """Report a failed connection, unless the client just went away."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.on_error(f"a connection failed: {type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Threading
    handle_request: Handle

    def __getattr__(self, name: str) -> Any:
        # Every method is served alike.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log of its own."""

    def _serve(self) -> None:
        response = self._response(
            HttpRequest(
                method=self.command,
                # Not self.path, in which two slashes in front have become one.
                target=self.requestline.split()[1],
                headers=self.headers,  # type: ignore[arg-type] # it is an HTTPMessage
                body=self._read(),
                client=str(self.client_address[0]),
            )
        )
        is_bodiless = self.command == "HEAD" or response.status in BODILESS
        self.send_response_only(response.status)
        for name, value in response.headers:
            if name.lower() in HOP_BY_HOP:
                continue
            if name.lower() == "content-length" and not is_bodiless:
                continue
            self.send_header(name, value)
        if not is_bodiless:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if not is_bodiless:
            self.wfile.write(response.body)

    def _response(self, request: HttpRequest) -> HttpResponse:
        try:
            return type(self).handle_request(request)
        except Exception as error:  # noqa: BLE001 - the client must get an answer
            problem = (
                f"{request.method} {request.target.partition('?')[0]} failed: "
                f"{type(error).__name__}: {error}"
            )
            self.server.on_error(problem)
            return HttpResponse(
                500, problem.encode(), (("Content-Type", "text/plain"),)
            )

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass


def forward(
    host: str,
    port: int,
    request: HttpRequest,
    *,
    extra: Iterable[tuple[str, str]] = (),
    timeout: float = 120,
) -> HttpResponse:
    """Forward a request and return the response. Raises OSError and HTTPException.

    ``extra`` replaces headers of the same names.
    """
    added = list(extra)
    replaced = {name.lower() for name, _ in added} | HOP_BY_HOP | {"content-length"}
    link = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        link.putrequest(
            request.method, request.target, skip_host=True, skip_accept_encoding=True
        )
        for name, value in request.headers.items():
            if name.lower() not in replaced and name.lower() != "expect":
                link.putheader(name, value)
        for name, value in added:
            link.putheader(name, value)
        if request.body or request.method in {"POST", "PUT", "PATCH"}:
            link.putheader("Content-Length", str(len(request.body)))
        link.endheaders(request.body or None)
        response = link.getresponse()
        return HttpResponse(
            response.status, response.read(), tuple(response.getheaders())
        )
    finally:
        link.close()

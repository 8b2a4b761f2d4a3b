"""A small OpenID Connect provider: the authorization code flow, with PKCE, for a check.

It asks for no password: who logs in is set by the check. Everything else is checked as
a provider checks it, so that a client that leaves something out fails.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from local.datastores import Authority
from local.ecs.connect_filter import Destination

ALGORITHM = "RS256"
KEY_BITS = 2048
SECONDS = 300
"""Life of a token."""


@dataclass(frozen=True)
class OidcUser:
    """A user of the provider."""

    subject: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class _Grant:
    user: OidcUser
    query: Mapping[str, str]


class OidcError(Exception):
    """A request that the provider refuses."""


class OidcProvider:
    """One provider with one client; ``OutsideServer`` of a local environment."""

    def __init__(
        self, known_as: Destination, *, client_id: str, client_secret: str
    ) -> None:
        """Know the client; listen not before ``start``."""
        self.known_as = known_as
        self.issuer = f"https://{known_as[0]}"
        self.redirect_uri = ""
        """What is registered for the client."""
        self.user: OidcUser | None = None
        """Who is logged in at the provider."""
        self._client_id, self._client_secret = client_id, client_secret
        self._key = RSAKey.generate_key(KEY_BITS, {"use": "sig", "kid": "check"})
        self._grants: dict[str, _Grant] = {}
        self._users: dict[str, OidcUser] = {}
        self._server: ThreadingHTTPServer | None = None

    def start(self, authority: Authority) -> Destination:
        """Listen on this machine; return where."""
        issued = authority.issue("oidc-provider", [self.known_as[0]])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate_path, issued.key_path)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        Thread(target=self._server.serve_forever, daemon=True).start()
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def stop(self) -> None:
        """Listen no more."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    # The endpoints. Each returns a document, or an address to lead to.

    def discovery(self) -> dict[str, Any]:
        """Return the document with all addresses."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    def keys(self) -> dict[str, Any]:
        """Return the public key."""
        return {"keys": [self._key.as_dict(private=False)]}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return where the browser goes with a code."""
        expected = {
            "client_id": self._client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        for name, value in expected.items():
            if query.get(name) != value:
                raise OidcError(f"{name} is {query.get(name)!r}, not {value!r}")
        if "openid" not in query.get("scope", "").split() or not self.user:
            raise OidcError("no scope openid, or no user")
        code = secrets.token_urlsafe()
        self._grants[code] = _Grant(self.user, query)
        answer = urlencode({"code": code, "state": query.get("state", "")})
        return f"{self.redirect_uri}?{answer}"

    def visit(self, url: str) -> str:
        """Return where a browser is led that comes to the authorization endpoint."""
        return self.authorize(_single(urlsplit(url).query))

    def token(self, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        """Return the tokens of a code, once."""
        login = f"{self._client_id}:{self._client_secret}".encode()
        expected = f"Basic {base64.b64encode(login).decode()}"
        if not hmac.compare_digest(authorization, expected):
            raise OidcError("wrong client or secret")
        grant = self._grants.pop(form.get("code", ""), None)
        if grant is None or form.get("redirect_uri") != self.redirect_uri:
            raise OidcError("unknown code, or another redirect URI")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != grant.query.get("code_challenge"):
            raise OidcError("another code verifier")
        access_token, now = secrets.token_urlsafe(), int(time.time())
        self._users[access_token] = grant.user
        claims = {
            "iss": self.issuer,
            "sub": grant.user.subject,
            "aud": self._client_id,
            "iat": now,
            "exp": now + SECONDS,
            "nonce": grant.query.get("nonce", ""),
            "groups": list(grant.user.groups),
        }
        header = {"alg": ALGORITHM, "kid": self._key.kid}
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": SECONDS,
            "id_token": jwt.encode(header, claims, self._key),
        }

    def userinfo(self, authorization: str) -> dict[str, Any]:
        """Return what the ID token leaves out."""
        user = self._users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise OidcError("unknown token")
        return {
            "sub": user.subject,
            "email": f"{user.subject}@example.com",
            "given_name": "Check",
            "family_name": user.subject,
        }


def _handler(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = _single(url.query)
            authorization = self.headers.get("Authorization", "")
            self._answer(
                {
                    "/.well-known/openid-configuration": provider.discovery,
                    "/keys": provider.keys,
                    "/authorize": lambda: provider.authorize(query),
                    "/userinfo": lambda: provider.userinfo(authorization),
                }.get(url.path)
            )

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            form = _single(self.rfile.read(length).decode())
            authorization = self.headers.get("Authorization", "")
            self._answer(
                (lambda: provider.token(form, authorization))
                if self.path == "/token"
                else None
            )

        def _answer(self, endpoint: Any) -> None:
            try:
                answer = endpoint() if endpoint else None
            except OidcError as error:
                self.send_error(400, str(error))
                return
            if answer is None:
                self.send_error(404)
            elif isinstance(answer, str):
                self.send_response(302)
                self.send_header("Location", answer)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Write nothing."""

    return Handler


def _single(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}

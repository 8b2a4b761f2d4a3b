"""Whether the image and the provider are ready for single sign-on.

Asked before a version's services start: otherwise the mistake would show at the first
login, when the password form may be closed.
"""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

from fargate_runtime.contract import Env
from fargate_runtime.single_sign_on.settings import discovery_url

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT = "authlib.integrations.flask_client"
SECONDS = 10.0
PAUSES = (2.0, 5.0, 0.0)
"""Seconds after each attempt that got no answer."""

MOST_BYTES = 1_000_000
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class IdentityProviderError(Exception):
    """No user could log in; the message is for the operator of the stack."""


def check(environ: Mapping[str, str]) -> None:
    """Raise IdentityProviderError if logins by the issuer, if any, could not work."""
    issuer = environ.get(Env.OIDC_ISSUER, "")
    if not issuer:
        return
    try:
        import_module(CLIENT)
    except ImportError as error:
        raise IdentityProviderError(
            f"the image cannot log in by OidcIssuer ({error}); add authlib to "
            "image/requirements.txt and build the image"
        ) from error
    url = discovery_url(issuer)
    document = _document(url)
    if document.get("issuer") != issuer:
        raise IdentityProviderError(
            f"OidcIssuer is {issuer}, and {url} is the document of the issuer "
            f"{document.get('issuer')}; write that one"
        )
    if missing := [name for name in NEEDED if not document.get(name)]:
        raise IdentityProviderError(
            f"{url} has no {', '.join(missing)}; OidcIssuer is no provider that logs "
            "in with an authorization code"
        )


def _document(url: str) -> dict[str, Any]:
    for pause in PAUSES:
        try:
            with urlopen(url, timeout=SECONDS) as response:  # noqa: S310 - https only
                document = json.loads(response.read(MOST_BYTES))
        except HTTPError as error:
            raise IdentityProviderError(
                f"{url} answers {error.code}; correct OidcIssuer"
            ) from error
        except (OSError, HTTPException) as error:
            if not pause:
                reason = getattr(error, "reason", error)
                raise IdentityProviderError(
                    f"{url} does not answer ({reason}); correct OidcIssuer, or let "
                    "tasks reach it: InternetAccess, OutboundHttpsCidr"
                ) from error
            time.sleep(pause)
        except ValueError as error:
            raise IdentityProviderError(
                f"{url} is no JSON; correct OidcIssuer"
            ) from error
        else:
            if isinstance(document, dict):
                return document
            raise IdentityProviderError(f"{url} is no JSON object; correct OidcIssuer")
    raise AssertionError("the last pause is none")

"""The settings of FAB for a login by an OpenID Connect provider."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flask_appbuilder.const import AUTH_OAUTH

from fargate_runtime.contract import Env
from fargate_runtime.env import required
from fargate_runtime.single_sign_on.security_manager import SignOnSecurityManager
from fargate_runtime.single_sign_on.settings import (
    PROVIDER,
    SignOnSettings,
    discovery_url,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 10
"""For each answer of the provider; a browser waits for it."""


def flask_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings. Raises EnvError if the environment lacks one."""
    settings = SignOnSettings.read(environ)
    client = {
        "client_id": settings.client_id,
        "client_secret": required(environ, Env.OIDC_CLIENT_SECRET),
        # Read at the first login, and the provider's keys with it.
        "server_metadata_url": discovery_url(settings.issuer),
        "client_kwargs": {
            "scope": settings.scopes,
            "code_challenge_method": "S256",
            "timeout": SECONDS,
            # requests does not heed the variable that Python's own clients do.
            "verify": os.environ.get("SSL_CERT_FILE") or True,
        },
    }
    return {
        "AUTH_TYPE": AUTH_OAUTH,
        "OAUTH_PROVIDERS": [
            {
                "name": PROVIDER,
                "icon": "fa-sign-in",
                "token_key": "access_token",
                "remote_app": client,
            }
        ],
        "SECURITY_MANAGER_CLASS": SignOnSecurityManager,
    }

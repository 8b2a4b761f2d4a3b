"""Functions with the credentials of their role, from whoever checks them.

MiniStack gives a function the account's own. With ``AWS_ENDPOINT_URL`` naming the
gateway of ``local.ecs``, a function gets a session of its role there, and each of its
calls is held against the role's policies.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from local.emulator.patches.ministack import names, replace

SECONDS = 10.0
GATEWAY_SECONDS = 8.0
"""For a gateway that is not up yet: whoever starts both starts the emulator first."""
PAUSE_SECONDS = 0.2


class GatewayError(RuntimeError):
    """Nobody gives the function the credentials of its role."""


def install() -> None:
    """Ask for the credentials of every function from now on, where somebody issues."""
    if gateway := os.environ.get("AWS_ENDPOINT_URL"):
        replace(
            "execution_credentials",
            lambda _original: lambda config: _issued(gateway, config),
            names("core.lambda_runtime"),
            names("services.lambda_svc"),
        )


def _issued(gateway: str, config: Mapping[str, Any]) -> dict[str, str]:
    role = quote(str(config.get("Role", "")), safe="")
    # No proxy stands between this machine and itself.
    web = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{gateway}/_local/credentials?role={role}"
    deadline = time.monotonic() + GATEWAY_SECONDS
    while True:
        try:
            with web.open(url, timeout=SECONDS) as said:
                found: dict[str, str] = json.load(said)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise GatewayError(
                    f"the gateway at {gateway} gives no credentials: {error}"
                ) from error
            time.sleep(PAUSE_SECONDS)
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["Token"],
    }

"""Credentials of their role for Lambda functions, from the local ECS agent.

MiniStack gives a function the account's own. When ``AWS_ENDPOINT_URL`` is the AWS proxy
of ``local.ecs``, a function gets credentials of its role from there, and the proxy
checks each of its calls against the role's policies.
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
PROXY_SECONDS = 8.0
"""How long to wait for a proxy that is not up: the emulator starts first."""
PAUSE_SECONDS = 0.2


class ProxyError(RuntimeError):
    """The proxy gives a function no credentials."""


def install() -> None:
    """Get credentials of functions from the proxy, if there is one."""
    if proxy := os.environ.get("AWS_ENDPOINT_URL"):
        replace(
            "execution_credentials",
            lambda _original: lambda config: _role_credentials(proxy, config),
            names("core.lambda_runtime"),
            names("services.lambda_svc"),
        )


def _role_credentials(proxy: str, config: Mapping[str, Any]) -> dict[str, str]:
    role = quote(str(config.get("Role", "")), safe="")
    # No HTTP proxy for the loopback.
    web = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{proxy}/_local/credentials?role={role}"
    deadline = time.monotonic() + PROXY_SECONDS
    while True:
        try:
            with web.open(url, timeout=SECONDS) as response:
                document: dict[str, str] = json.load(response)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise ProxyError(
                    f"the AWS proxy at {proxy} gives no credentials: {error}"
                ) from error
            time.sleep(PAUSE_SECONDS)
    return {
        "AWS_ACCESS_KEY_ID": document["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": document["SecretAccessKey"],
        "AWS_SESSION_TOKEN": document["Token"],
    }

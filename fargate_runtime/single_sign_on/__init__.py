"""Single sign-on: Airflow's FAB auth manager as a client of an OpenID Connect provider.

FAB reads a file of Python with its settings. The API server's start writes one that
takes them from the environment, so the client's secret is in no file. The provider is
first asked at the first login: Airflow starts without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fargate_runtime.contract import Env

if TYPE_CHECKING:
    from collections.abc import MutableMapping

CONFIG_FILE = "AIRFLOW__FAB__CONFIG_FILE"

SETTINGS = """\
# Written by the container's start.
import os

from fargate_runtime.single_sign_on.flask_settings import flask_settings

globals().update(flask_settings(os.environ))
"""


def configure(environ: MutableMapping[str, str]) -> None:
    """Let FAB log in by the provider, if there is one and this is an API server."""
    path = environ.get(Env.SIGN_ON_CONFIG, "")
    if not path or not environ.get(Env.OIDC_ISSUER):
        return
    Path(path).write_text(SETTINGS, encoding="utf-8")
    environ[CONFIG_FILE] = path

"""A real browser, where one is installed: it logs in and looks at a finished run.

The driver has an environment of its own (``requirements/browser.txt``), installed when
there is a browser to drive; it brings no browser itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acceptance.check import NotProven
from local.datastores.venvs import installed as environment

PROGRAMS = (
    *("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    "chrome-headless-shell",
)
NOT_INSTALLED = (
    "no Chromium is installed; on Debian and Ubuntu apt-get install chromium brings one"
)
INSIDE = Path(__file__).with_name("browser_inside.py")
SECONDS = 300.0
CONNECT_SECONDS = 10.0
HTTPS = 443

REPORTS = Path(".local/reports")
"""In the project: what a rehearsal leaves for people to look at."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What to look at, and as whom."""

    url: str
    user: str
    password: str
    dag_id: str
    run_id: str
    task_id: str
    """Of the run, to be shown with it."""
    picture: Path
    """Where the screenshot goes."""
    ca_path: Path
    """The authority that has signed for the address, if it is HTTPS."""
    patience_seconds: float = 90.0
    """For each thing that a page should show: a busy machine, a large page."""


def installed() -> Path | None:
    """Return the browser that is installed here, if there is one."""
    found = (shutil.which(name) for name in PROGRAMS)
    return next((Path(path) for path in found if path), None)


def visit(program: Path, what: Visit, *, remedy: str) -> None:
    """Log in, find the DAG, see its run, and take a picture.

    Raises NotProven with what the page did not show; the picture then is of that page.
    """
    what.picture.parent.mkdir(parents=True, exist_ok=True)
    asked = {
        "program": str(program),
        "url": what.url,
        "user": what.user,
        "password": what.password,
        "dag_id": what.dag_id,
        "run_id": what.run_id,
        "task_id": what.task_id,
        "picture": str(what.picture),
        "trusted_key": _key(what.url, what.ca_path),
        "patience_seconds": what.patience_seconds,
    }
    python = environment("browser") / "bin" / "python"
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [python, INSIDE],
            env={"PATH": os.defpath, "HOME": str(what.picture.parent)},
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotProven(
            f"The browser was not done after {SECONDS:.0f} s.", remedy
        ) from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise NotProven(f"{said[-1]} Picture: {what.picture}.", remedy)


def _key(url: str, ca_path: Path) -> str:
    """Return by what Chromium knows the key of a server that ``ca_path`` vouches for.

    Chromium reads no file of authorities: it is told this one key to trust, the
    SHA-256 of its public part.
    """
    at = urlsplit(url)
    if at.scheme != "https":
        return ""
    trusted = ssl.create_default_context(cafile=str(ca_path))
    host, port = str(at.hostname), at.port or HTTPS
    with (
        socket.create_connection((host, port), CONNECT_SECONDS) as link,
        trusted.wrap_socket(link, server_hostname=host) as safe,
    ):
        shown = safe.getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(shown or b"").public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()

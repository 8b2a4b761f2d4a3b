"""Login in a real browser, where one is installed.

The driver has a virtual environment of its own (``requirements/browser.txt``),
installed when there is a browser to drive; it brings no browser itself.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acceptance.check import CheckFailed
from local.datastores.venvs import installed as installed_venv

PROGRAMS = (
    *("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    "chrome-headless-shell",
)
NOT_INSTALLED = (
    "no Chromium is installed; on Debian and Ubuntu apt-get install chromium brings one"
)
MAIN = Path(__file__).with_name("browser_main.py")
SECONDS = 300.0
CONNECT_SECONDS = 10.0
HTTPS = 443

REPORTS = Path(".local/reports")
"""In the project: screenshots that stay for people to look at."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A login, and the page to look at."""

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
    paths = (shutil.which(name) for name in PROGRAMS)
    return next((Path(path) for path in paths if path), None)


def visit(program: Path, target: Visit, *, remedy: str) -> None:
    """Log in, find the DAG, see its run, and take a picture.

    Raises CheckFailed with what the page did not show; the picture is of that page.
    """
    target.picture.parent.mkdir(parents=True, exist_ok=True)
    request = {
        **asdict(target),
        "program": str(program),
        "picture": str(target.picture),
        "trusted_key": _key(target.url, target.ca_path),
    }
    del request["ca_path"]
    python = installed_venv("browser") / "bin" / "python"
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [python, MAIN],
            env={"PATH": os.defpath, "HOME": str(target.picture.parent)},
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(
            f"The browser was not done after {SECONDS:.0f} s.", remedy
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["The browser wrote no error."]
        raise CheckFailed(f"{lines[-1]} Picture: {target.picture}.", remedy)


def _key(url: str, ca_path: Path) -> str:
    """Return how Chromium names the key of a server that ``ca_path`` has signed for.

    Chromium reads no file of authorities: it is given this one key to trust, the
    SHA-256 of its public part.
    """
    address = urlsplit(url)
    if address.scheme != "https":
        return ""
    context = ssl.create_default_context(cafile=str(ca_path))
    host, port = str(address.hostname), address.port or HTTPS
    with (
        socket.create_connection((host, port), CONNECT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(certificate or b"").public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()

"""Certificate authority of one local environment, and the certificates it signs.

It is in place of the authorities of RDS and of Amazon Trust Services, which sign the
certificates of Aurora and ElastiCache. Its key is never written to a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

LOCAL_NAMES = ("localhost", "127.0.0.1")
LIFE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and its key."""

    certificate_path: Path
    key_path: Path


class Authority:
    """Signs the certificates of one local environment."""

    def __init__(self, folder: Path, name: str = "Local CA") -> None:
        """Make an authority; its certificate is ``folder/ca.pem``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(organization_name=name)
        self.ca_path = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_path)

    def issue(self, purpose: str, names: Iterable[str] = ()) -> Certificate:
        """Return a certificate for ``names`` and for the names of this machine."""
        now = datetime.now(UTC)
        signed = self._ca.issue_cert(
            *dict.fromkeys((*LOCAL_NAMES, *names)),
            common_name=purpose,
            not_before=now - CLOCK_SKEW,
            not_after=now + LIFE,
        )
        issued = Certificate(
            certificate_path=self._folder / f"{purpose}.pem",
            key_path=self._folder / f"{purpose}.key",
        )
        (certificate,) = signed.cert_chain_pems
        certificate.write_to_path(issued.certificate_path)
        _write_secret(issued.key_path, signed.private_key_pem.bytes())
        return issued


def _write_secret(path: Path, text: bytes) -> None:
    """Write a file that only its owner can read; trustme gives keys mode 0644."""
    path.unlink(missing_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as f:
        f.write(text)

"""A certificate authority of the rehearsal's own, and what it signs.

It stands in for the authorities of RDS and for Amazon Trust Services, which sign the
certificates of Aurora and ElastiCache. Its key never leaves the folder, which is the
rehearsal's own and goes with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL_NAMES = ("localhost", "127.0.0.1")
LIFE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and its key."""

    certificate_path: Path
    key_path: Path


class Authority:
    """Signs for the engines of one rehearsal."""

    def __init__(self, folder: Path, name: str = "Rehearsal CA") -> None:
        """Make an authority; its certificate is ``folder/ca.pem``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        limits = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(limits, critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_path = folder / "ca.pem"
        self.ca_path.write_bytes(_pem(self._certificate))

    def issue(self, purpose: str, names: Iterable[str] = ()) -> Certificate:
        """Return a certificate for ``names`` and for this machine by its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = dict.fromkeys((*LOCAL_NAMES, *names))
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            self._builder(_name(purpose), key.public_key())
            .add_extension(
                x509.SubjectAlternativeName(map(_alternative, alternatives)),
                critical=False,
            )
            .add_extension(server, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Certificate(
            certificate_path=self._folder / f"{purpose}.pem",
            key_path=self._folder / f"{purpose}.key",
        )
        issued.certificate_path.write_bytes(_pem(certificate))
        _write_secret(issued.key_path, key)
        return issued

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._key.public_key()
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + LIFE)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key), critical=False
            )
            # Python 3.13 checks strictly: without it, every client refuses us.
            .add_extension(identifier, critical=False)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_secret(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as f:
        f.write(text)

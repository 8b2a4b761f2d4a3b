"""Certificates of the datastores: strict clients accept them, keys are secret."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from local.datastores.certificates import Authority, Certificate

NAME = "environment.cluster-abc.eu-west-1.rds.amazonaws.com"


def greet(certificate: Certificate, ca_path: Path, name: str) -> str | None:
    """Return the version of TLS that a strict client speaks with the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.certificate_path, certificate.key_path)
    client = ssl.create_default_context(cafile=str(ca_path))
    # The default from Python 3.13 on.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    with near, far:
        serving = threading.Thread(target=_serve, args=(server, far))
        serving.start()
        try:
            with client.wrap_socket(near, server_hostname=name) as link:
                return link.version()
        finally:
            near.close()
            serving.join()


def _serve(context: ssl.SSLContext, link: socket.socket) -> None:
    try:
        context.wrap_socket(link, server_side=True).close()
    except (ssl.SSLError, ConnectionError):
        return  # the client has refused it


@pytest.mark.parametrize("name", [NAME, "localhost", "127.0.0.1"])
def test_strict_client_accepts_the_certificate(name: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("postgres", [NAME])
    assert greet(issued, authority.ca_path, name) == "TLSv1.3"


def test_another_name_or_authority_is_refused(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    issued = authority.issue("postgres", [NAME])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        greet(issued, authority.ca_path, "other.example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(issued, other.ca_path, NAME)


def test_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for _ in range(2):
        issued = authority.issue("valkey")
        assert issued.key_path.stat().st_mode & 0o777 == 0o600

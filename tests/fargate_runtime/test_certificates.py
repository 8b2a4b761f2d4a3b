"""The certificate authorities of Amazon RDS that go with the runtime."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from fargate_runtime.start import of_region, write_certificates

BUNDLE = (Path(__file__).parents[2] / "fargate_runtime" / "rds-ca.pem").read_text()
CERTIFICATES = x509.load_pem_x509_certificates(BUNDLE.encode())
COMMON_REGIONS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1"),
    *("ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "ap-south-1"),
    "sa-east-1",
)


def name(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


def test_every_certificate_is_a_root_of_rds_that_signed_itself() -> None:
    for root in CERTIFICATES:
        assert re.fullmatch(r"Amazon RDS [a-z]+-[a-z]+-\d Root CA \w+ G1", name(root))
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        root.verify_directly_issued_by(root)
    assert len({name(root) for root in CERTIFICATES}) == len(CERTIFICATES)


def test_containers_that_share_a_folder_write_different_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each container numbers its processes alike, and both write at the same moment.
    names = []

    def replace(self: Path, target: str) -> None:
        assert target == str(tmp_path / "ca.pem")
        names.append(self.name)

    monkeypatch.setattr(Path, "replace", replace)
    for _ in range(2):
        write_certificates({"PGSSLROOTCERT": str(tmp_path / "ca.pem")})
    assert len(set(names)) == 2


def test_no_certificate_expires_soon() -> None:
    # The roots of 2019 ended in 2024, and verify-full with them.
    soon = datetime.now(UTC) + timedelta(days=365)
    for root in CERTIFICATES:
        assert root.not_valid_before_utc < datetime.now(UTC)
        assert root.not_valid_after_utc > soon, name(root)


def test_each_certificate_stands_under_its_own_name() -> None:
    headings = re.findall(r"^# (Amazon RDS .+)\n-----BEGIN", BUNDLE, re.MULTILINE)
    assert headings == [name(root) for root in CERTIFICATES]


@pytest.mark.parametrize("region", COMMON_REGIONS)
def test_region_has_a_root_for_each_kind_of_key(region: str) -> None:
    own = of_region(BUNDLE, region)
    names = {name(root) for root in x509.load_pem_x509_certificates(own.encode())}
    assert names == {
        f"Amazon RDS {region} Root CA {kind} G1"
        for kind in ("RSA2048", "RSA4096", "ECC384")
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=own)
    assert len(context.get_ca_certs()) == 3

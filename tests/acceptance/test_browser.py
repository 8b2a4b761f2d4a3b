"""The browser: found or left out, and told whom to trust."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from acceptance import browser
from acceptance.check import Skipped, CheckFailed
from acceptance.checks import login
from local.datastores import Authority
from local.ecs.web import Answer, Server
from tests.acceptance.fakes import environment


def test_without_a_browser_the_line_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser.installed() is None
    with pytest.raises(Skipped, match="apt-get install chromium"):
        login.in_browser(environment())


def test_the_first_browser_of_the_path_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "google-chrome"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser.installed() == program


def test_a_key_is_trusted_only_if_the_authority_vouches_for_it(tmp_path: Path) -> None:
    own, other = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    issued = own.issue("door")
    server = HttpServer(
        lambda _: HttpResponse(200),
        certificate=(issued.certificate_path, issued.key_path),
    )
    try:
        key = browser._key(server.url, own.ca_path)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            browser._key(server.url, other.ca_path)
    finally:
        server.close()

    private = load_pem_private_key(issued.key_path.read_bytes(), None)
    public = private.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    assert key == base64.b64encode(hashlib.sha256(public).digest()).decode()


def test_plain_http_needs_no_key(tmp_path: Path) -> None:
    assert browser._key("http://127.0.0.1:8080", tmp_path / "none.pem") == ""


@pytest.mark.slow
@pytest.mark.skipif(browser.installed() is None, reason=browser.NOT_INSTALLED)
def test_a_page_that_is_no_airflow_is_told_with_a_picture(tmp_path: Path) -> None:
    program = browser.installed()
    assert program
    server = HttpServer(lambda _: HttpResponse(200, b"<h1>nothing to log in to</h1>"))
    picture = tmp_path / "seen.png"
    try:
        with pytest.raises(CheckFailed, match=r"Username.* Picture: .*seen\.png"):
            browser.visit(
                program,
                browser.Visit(
                    url=server.url,
                    user="admin",
                    password="x",  # noqa: S106 - of nobody
                    dag_id="a",
                    run_id="r",
                    task_id="t",
                    picture=picture,
                    ca_path=tmp_path / "none.pem",
                    patience_seconds=1,
                ),
                remedy="",
            )
    finally:
        server.close()

    assert picture.stat().st_size

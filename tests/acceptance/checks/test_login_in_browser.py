"""Login in a browser: skipped without one, and told which key to trust."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from acceptance import browser
from acceptance.check import CheckFailed, Skipped
from acceptance.checks import login
from local.datastores import Authority
from local.datastores.certificates import Certificate
from local.ecs.web import HttpResponse, HttpServer
from tests.acceptance.fakes import environment


def test_without_a_browser_it_is_skipped_and_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser.installed() is None
    with pytest.raises(Skipped, match="apt-get install chromium"):
        login.in_browser(environment())


def test_first_browser_of_the_path_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "google-chrome"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser.installed() == program


def test_key_is_trusted_only_if_the_authority_has_signed_for_it(
    serve: Callable[..., HttpServer],
    issued: Certificate,
    authority: Authority,
    other_authority: Authority,
) -> None:
    server = serve(lambda _: HttpResponse(200))
    key = browser._key(server.url, authority.ca_path)
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        browser._key(server.url, other_authority.ca_path)

    private = load_pem_private_key(issued.key_path.read_bytes(), None)
    public = private.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    assert key == base64.b64encode(hashlib.sha256(public).digest()).decode()


def test_plain_http_needs_no_key(tmp_path: Path) -> None:
    assert browser._key("http://127.0.0.1:8080", tmp_path / "none.pem") == ""


@pytest.mark.slow
@pytest.mark.skipif(browser.installed() is None, reason=browser.NOT_INSTALLED)
def test_page_that_is_not_airflow_fails_with_a_picture(tmp_path: Path) -> None:
    program = browser.installed()
    assert program
    server = HttpServer(lambda _: HttpResponse(200, b"<h1>nothing to log in to</h1>"))
    picture = tmp_path / "page.png"
    try:
        with pytest.raises(CheckFailed, match=r"Username.* Picture: .*page\.png"):
            browser.visit(
                program,
                browser.Visit(
                    url=server.url,
                    user="admin",
                    password="x",  # noqa: S106 - of no account
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

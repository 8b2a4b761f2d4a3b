"""The migration job's question to the provider of single sign-on."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from email.message import Message
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from fargate_runtime.migration import identity_provider
from fargate_runtime.migration.identity_provider import IdentityProviderError, check

ISSUER = "https://login.example.com/tenant"
URL = f"{ISSUER}/.well-known/openid-configuration"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}

Answers = Callable[..., list[str]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Let the provider give these answers in turn; return what was urls for."""
    urls: list[str] = []

    def install(*replies: object) -> list[str]:
        left = list(replies)

        def urlopen(url: str, **_options: Any) -> io.BytesIO:
            urls.append(url)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(
                answer.encode()
                if isinstance(answer, str)
                else json.dumps(answer).encode()
            )

        monkeypatch.setattr(identity_provider, "urlopen", urlopen)
        monkeypatch.setattr(time, "sleep", lambda _seconds: None)
        monkeypatch.setattr(
            identity_provider, "import_module", lambda _name: ModuleType("authlib")
        )
        return urls

    return install


def test_without_an_issuer_nothing_is_requested(answers: Answers) -> None:
    urls = answers(DOCUMENT)
    check({})
    check({"OIDC_ISSUER": ""})
    assert urls == []


def test_provider_that_answers_is_accepted(answers: Answers) -> None:
    urls = answers(DOCUMENT)
    check({"OIDC_ISSUER": ISSUER})
    assert urls == [URL]


def test_question_is_repeated_while_there_is_no_answer(answers: Answers) -> None:
    urls = answers(URLError("timed out"), TimeoutError(), DOCUMENT)
    check({"OIDC_ISSUER": ISSUER})
    assert urls == [URL] * 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (URLError("timed out"), "does not answer (timed out); correct OidcIssuer, or"),
        (HTTPError(URL, 404, "Not found", Message(), None), "answers 404"),
        ("<html>", "is no JSON"),
        ([], "is no JSON object"),
        ({**DOCUMENT, "issuer": f"{ISSUER}/"}, f"of the issuer {ISSUER}/; write that"),
        ({**DOCUMENT, "jwks_uri": ""}, "has no jwks_uri"),
    ],
)
def test_launch_ends_with_the_reason(
    answers: Answers, answer: object, reason: str
) -> None:
    answers(answer)
    with pytest.raises(IdentityProviderError) as caught:
        check({"OIDC_ISSUER": ISSUER})
    assert reason in str(caught.value)


def test_image_without_authlib_is_refused(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'authlib'")

    urls = answers(DOCUMENT)
    monkeypatch.setattr(identity_provider, "import_module", fail)
    with pytest.raises(IdentityProviderError, match=r"authlib.*image/requirements.txt"):
        check({"OIDC_ISSUER": ISSUER})
    assert urls == []

"""The Fernet key from a generated secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import given
from hypothesis import strategies as st

from fargate_runtime.env import EnvError
from fargate_runtime.keys import fernet

ROOT = Path(__file__).parents[2]
SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126), min_size=32, max_size=64
)


@given(SECRETS)
def test_any_generated_secret_becomes_a_real_key(secret: str) -> None:
    # Secrets Manager's 43 random characters are no key: 44 are needed.
    key = fernet({"FERNET_SECRET": secret})
    assert len(key) == 44
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"connection")) == b"connection"
    assert key == fernet({"FERNET_SECRET": secret, "FERNET_SECRET_PREVIOUS": ""})


@given(SECRETS, SECRETS)
def test_rotation_encrypts_with_the_new_key_and_reads_both(new: str, old: str) -> None:
    written = Fernet(fernet({"FERNET_SECRET": old})).encrypt(b"old")
    both = fernet({"FERNET_SECRET": new, "FERNET_SECRET_PREVIOUS": old})
    keys = MultiFernet([Fernet(key) for key in both.split(",")])
    assert keys.decrypt(written) == b"old"
    rotated = keys.rotate(written)
    assert Fernet(fernet({"FERNET_SECRET": new})).decrypt(rotated) == b"old"


def test_derivation_never_changes() -> None:
    # Another derivation in a later version would lose every stored connection.
    # The value is openssl's: dgst -sha256 -binary | base64 | tr '+/' '-_'.
    expected = "-1Js1K0OyXjBqeePfAcocRE5l4Qk1hjrIovlniEYiXA="
    assert fernet({"FERNET_SECRET": "0123456789" * 4}) == expected


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "FERNET_SECRET is not set"),
        ({"FERNET_SECRET": "short"}, "FERNET_SECRET is shorter than 32"),
        (
            {"FERNET_SECRET": "x" * 40, "FERNET_SECRET_PREVIOUS": "short"},
            "FERNET_SECRET_PREVIOUS is shorter",
        ),
    ],
)
def test_secret_that_makes_no_key_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(EnvError, match=words) as caught:
        fernet(environ)
    assert "short'" not in str(caught.value)


def test_command_prints_the_key_alone() -> None:
    secret = "0123456789" * 4
    result = subprocess.run(
        [sys.executable, "-m", "fargate_runtime.keys", "fernet"],
        env={"PYTHONPATH": str(ROOT), "FERNET_SECRET": secret},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == fernet({"FERNET_SECRET": secret})

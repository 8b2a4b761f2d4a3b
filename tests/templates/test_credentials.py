"""Credentials: their recipes, and the rotation of the Fernet key."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from compiler.wiring import Build
from templates import credentials
from templates.types import FernetKeyRotation
from tests.resolver import Stack, deploy

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
FIRST, SECOND = "<FernetFirst>", "<FernetSecond>"
EXISTING = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:fernet-AbCdEf"
SLOTS = {
    "first": (FIRST, ""),
    "first-second": (FIRST, SECOND),
    "second-first": (SECOND, FIRST),
    "second": (SECOND, ""),
}
RECIPES = {
    "FernetFirst": {"PasswordLength": 64, "ExcludePunctuation": True},
    "FernetSecond": {"PasswordLength": 64, "ExcludePunctuation": True},
    "Jwt": {"PasswordLength": 96, "ExcludePunctuation": True},
    "Api": {"PasswordLength": 64, "ExcludePunctuation": True},
    "Admin": {
        "SecretStringTemplate": '{"username": "admin"}',
        "GenerateStringKey": "password",
        "PasswordLength": 48,
        "ExcludePunctuation": True,
    },
    "Flower": {
        "SecretStringTemplate": '{"username": "flower"}',
        "GenerateStringKey": "password",
        "PasswordLength": 48,
        "ExcludePunctuation": True,
    },
}


def deployed(slots: str, enable_flower: str = "true", existing: str = "") -> Stack:
    document = Build().template(credentials.define).document
    inputs = {
        "KeyArn": KEY,
        "FernetKeyRotation": slots,
        "FernetKeySecretArn": existing,
        "EnableFlower": enable_flower,
    }
    return deploy(document, {}, inputs)


@pytest.fixture(scope="module")
def secrets() -> dict[str, dict[str, Any]]:
    both = deployed("first-second").resources
    assert {secret["Type"] for secret in both.values()} == {
        "AWS::SecretsManager::Secret"
    }
    return both


def test_recipes_never_change(secrets: dict[str, dict[str, Any]]) -> None:
    # CloudFormation generates a new value when the recipe changes: with Fernet every
    # connection is lost, with the others every user is logged out.
    recipes = {
        name: secret["Properties"]["GenerateSecretString"]
        for name, secret in secrets.items()
    }
    assert recipes == RECIPES


def test_jwt_secret_is_long_enough_for_hs512(
    secrets: dict[str, dict[str, Any]],
) -> None:
    recipe = secrets["Jwt"]["Properties"]["GenerateSecretString"]
    assert recipe["PasswordLength"] >= 64


def test_flower_has_a_login_only_where_it_runs() -> None:
    assert "Flower" in deployed("first").resources
    without = deployed("first", enable_flower="false")
    assert "Flower" not in without.resources
    assert without.outputs["FlowerSecretArn"] == ""


def test_every_state_of_fernet_key_rotation_is_tested() -> None:
    assert list(SLOTS) == FernetKeyRotation.rules["AllowedValues"]


@pytest.mark.parametrize(("slots", "expected"), SLOTS.items())
def test_first_fernet_key_encrypts_and_the_other_decrypts(
    slots: str, expected: tuple[str, str]
) -> None:
    stack = deployed(slots)
    outputs = stack.outputs
    primary, previous = expected
    assert outputs["FernetSecretArn"] == primary
    assert outputs["PreviousFernetSecretArn"] == previous
    keys = {f"<{name}>" for name in stack.resources if name.startswith("Fernet")}
    assert keys == {primary, previous} - {""}


@pytest.mark.parametrize(("slots", "generated"), SLOTS.items())
def test_existing_fernet_secret_takes_the_place_of_the_first(
    slots: str, generated: tuple[str, str]
) -> None:
    # The rotation leads from a restored key to one of this stack.
    stack = deployed(slots, existing=EXISTING)
    expected = [EXISTING if arn == FIRST else arn for arn in generated]
    outputs = stack.outputs
    arns = [outputs["FernetSecretArn"], outputs["PreviousFernetSecretArn"]]
    assert arns == expected
    assert outputs["ExistingFernetSecretArn"] == (
        EXISTING if FIRST in generated else ""
    )
    keys = {f"<{name}>" for name in stack.resources if name.startswith("Fernet")}
    assert keys == {*expected} - {EXISTING, ""}
    assert deployed(slots).outputs["ExistingFernetSecretArn"] == ""


def test_fernet_key_rotation_reads_every_value() -> None:
    # While services are replaced, tasks of both states run side by side: each has to
    # have the key that the other encrypts with.
    circle = ["first", "first-second", "second-first", "second"]
    circle += [*reversed(circle)]
    for before, after in pairwise(circle):
        assert SLOTS[before][0] in SLOTS[after], f"{before} -> {after}"
        assert SLOTS[after][0] in SLOTS[before], f"{before} -> {after}"
    assert SLOTS["second"][0] not in SLOTS["first"], "skipping the middle would show"

"""Credentials: generated once, never guessed, and the Fernet key never lost."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from compiler.wiring import Build
from templates import credentials
from templates.types import FernetKeyRotation
from tests.resolver import Stack, deploy

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
FIRST, SECOND = "<FernetFirst>", "<FernetSecond>"
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


def deployed(slots: str) -> Stack:
    document = Build().page(credentials.define).document
    return deploy(document, {}, {"KeyArn": KEY, "FernetKeyRotation": slots})


@pytest.fixture(scope="module")
def secrets() -> dict[str, dict[str, Any]]:
    both = deployed("first-second").resources
    assert {one["Type"] for one in both.values()} == {"AWS::SecretsManager::Secret"}
    return both


def test_a_recipe_never_changes(secrets: dict[str, dict[str, Any]]) -> None:
    # CloudFormation makes a new value when the recipe changes: for Fernet that is the
    # loss of every connection (C5), for the others a log-out of everybody.
    made = {
        name: secret["Properties"]["GenerateSecretString"]
        for name, secret in secrets.items()
    }
    assert made == RECIPES


def test_every_value_is_generated_under_our_key_and_safe_in_a_url(
    secrets: dict[str, dict[str, Any]],
) -> None:
    # Controls 38 to 40; # / ? [ ] @ % in a password break one of three parsers (C1),
    # and Airflow expands $ and ~ in a plain setting (C3).
    for name, secret in secrets.items():
        assert secret["Properties"]["KmsKeyId"] == KEY, name
        assert "SecretString" not in secret["Properties"], name
        recipe = secret["Properties"]["GenerateSecretString"]
        assert recipe["ExcludePunctuation"] is True, name
        assert not recipe.get("IncludeSpace"), name
        assert recipe["PasswordLength"] >= 40, name


def test_the_jwt_secret_is_long_enough_for_hs512(
    secrets: dict[str, dict[str, Any]],
) -> None:
    recipe = secrets["Jwt"]["Properties"]["GenerateSecretString"]
    assert recipe["PasswordLength"] >= 64


def test_only_what_data_is_encrypted_with_outlives_the_stack(
    secrets: dict[str, dict[str, Any]],
) -> None:
    kept = {
        name
        for name, secret in secrets.items()
        if secret["DeletionPolicy"] == secret["UpdateReplacePolicy"] == "Retain"
    }
    assert kept == {"FernetFirst", "FernetSecond"}


def test_a_login_is_json_with_the_keys_that_ecs_picks(
    secrets: dict[str, dict[str, Any]],
) -> None:
    for name in ("Admin", "Flower"):
        recipe = secrets[name]["Properties"]["GenerateSecretString"]
        shape = json.loads(recipe["SecretStringTemplate"])
        assert {*shape, recipe["GenerateStringKey"]} == {"username", "password"}


def test_every_state_of_the_fernet_key_rotation_is_tested() -> None:
    assert list(SLOTS) == FernetKeyRotation.rules["AllowedValues"]


@pytest.mark.parametrize(("slots", "expected"), SLOTS.items())
def test_the_key_named_first_encrypts_and_the_other_still_decrypts(
    slots: str, expected: tuple[str, str]
) -> None:
    stack = deployed(slots)
    outputs = stack.outputs
    primary, previous = expected
    assert outputs["KeysFernetSecretArn"] == primary
    assert outputs["KeysPreviousFernetSecretArn"] == previous
    made = {f"<{name}>" for name in stack.resources if name.startswith("Fernet")}
    assert made == {primary, previous} - {""}


def test_a_full_circle_of_renewal_meets_no_value_it_cannot_read() -> None:
    # While services are replaced, tasks of both states run side by side: each has to
    # know the key that the other encrypts with.
    circle = ["first", "first-second", "second-first", "second"]
    circle += [*reversed(circle)]
    for before, after in pairwise(circle):
        assert SLOTS[before][0] in SLOTS[after], f"{before} -> {after}"
        assert SLOTS[after][0] in SLOTS[before], f"{before} -> {after}"
    assert SLOTS["second"][0] not in SLOTS["first"], "skipping the middle would show"

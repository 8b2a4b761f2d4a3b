"""Generated secrets hold no character that the template excludes.

MiniStack ignored ExcludePunctuation, and Flower, whose logins are separated by commas,
refused its own password.
"""

from __future__ import annotations

import json
import string
from typing import Any

import pytest

from tests.local.emulator.cloud import Cloud

LENGTH = 400
"""Long enough that every character class occurs."""


def generated(cloud: Cloud, **options: Any) -> str:
    properties = {"GenerateSecretString": {"PasswordLength": LENGTH, **options}}
    stack = cloud.create(
        {
            "Resources": {
                "Login": {
                    "Type": "AWS::SecretsManager::Secret",
                    "Properties": properties,
                }
            },
            "Outputs": {"Arn": {"Value": {"Ref": "Login"}}},
        }
    )
    client = cloud.client("secretsmanager")
    answer = client.get_secret_value(SecretId=stack.outputs["Arn"])
    return str(answer["SecretString"])


@pytest.mark.parametrize("switch", [True, "true"])
def test_excluded_punctuation_does_not_occur(cloud: Cloud, switch: object) -> None:
    text = generated(cloud, ExcludePunctuation=switch)

    assert len(text) == LENGTH
    assert text.isalnum()


def test_excluded_characters_do_not_occur_in_a_login(cloud: Cloud) -> None:
    text = generated(
        cloud,
        SecretStringTemplate='{"username": "flower"}',
        GenerateStringKey="password",
        ExcludePunctuation=True,
        ExcludeNumbers=True,
    )

    login = json.loads(text)
    assert login["username"] == "flower"
    assert login["password"].isalpha()


def test_other_characters_occur(cloud: Cloud) -> None:
    text = generated(cloud, ExcludePunctuation="false", ExcludeCharacters="a")

    assert set(text) & set(string.punctuation)
    assert "a" not in text


def test_a_generated_secret_has_not_drifted(cloud: Cloud) -> None:
    # Ref returns the ARN of a secret, and MiniStack looked for it by that.
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Description": "A"}}
    stack = cloud.create({"Resources": {"Login": secret}})
    detection = cloud.cloudformation.detect_stack_drift(StackName=stack.id)
    status = cloud.cloudformation.describe_stack_drift_detection_status(
        StackDriftDetectionId=detection["StackDriftDetectionId"]
    )
    assert status["StackDriftStatus"] == "IN_SYNC"

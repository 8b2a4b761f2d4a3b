"""References, generated secrets and encryption of buckets as AWS has them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from local.emulator.patches.ministack import CreateResult, Handlers, completed, names

SECRETS = names("services.secretsmanager")
S3 = names("services.s3")

SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type
BUCKET = "AWS::S3::Bucket"
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"

EXCLUDED = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
    "ExcludeUppercase": string.ascii_uppercase,
}
"""Exclusions of a generated secret that MiniStack ignores."""


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the corrected handlers of buckets, secrets and target groups."""
    return {
        BUCKET: completed(handlers[BUCKET], _with_encryption),
        SECRET: _by_arn(_without_excluded(handlers[SECRET])),
        TARGET_GROUP: completed(handlers[TARGET_GROUP], _with_full_name),
    }


def _by_arn(native: Handlers) -> Handlers:
    """Make Ref return a secret's ARN; MiniStack returns the name."""

    def create(*rest: Any) -> CreateResult:
        _, attributes = native["create"](*rest)
        return attributes["Id"], attributes

    def update(arn: str, *rest: Any) -> CreateResult:
        _, attributes = native["update"](_name(arn), *rest)
        return attributes["Id"], attributes

    def delete(arn: str, *rest: Any) -> None:
        native["delete"](_name(arn), *rest)

    return {**native, "create": create, "update": update, "delete": delete}


def _without_excluded(native: Handlers) -> Handlers:
    """Apply every exclusion to generated secrets."""

    def with_all_exclusions(properties: Mapping[str, Any]) -> dict[str, Any]:
        generate = properties.get("GenerateSecretString")
        if not generate:
            return dict(properties)
        kinds = (kind for name, kind in EXCLUDED.items() if _is_set(generate.get(name)))
        excluded = "".join([generate.get("ExcludeCharacters", ""), *kinds])
        generated = {**generate, "ExcludeCharacters": excluded}
        return {**properties, "GenerateSecretString": generated}

    def create(
        logical_id: str, properties: Mapping[str, Any], *rest: Any
    ) -> CreateResult:
        result: CreateResult = native["create"](
            logical_id, with_all_exclusions(properties), *rest
        )
        return result

    def update(
        name: str, old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any
    ) -> CreateResult:
        result: CreateResult = native["update"](
            name, with_all_exclusions(old), with_all_exclusions(new), *rest
        )
        return result

    return {**native, "create": create, "update": update}


def _is_set(switch: object) -> bool:
    """Return whether a Boolean of a template is true, in either spelling."""
    return str(switch).lower() == "true"


def _name(arn: str) -> str:
    """Return the name under which MiniStack stores a secret."""
    for name, secret in SECRETS["_secrets"].items():
        if secret["ARN"] == arn:
            return str(name)
    return arn


def _with_encryption(
    result: CreateResult, properties: Mapping[str, Any]
) -> CreateResult:
    """Give a bucket the default encryption of its template; MiniStack has its own."""
    encryption = properties.get("BucketEncryption") or {}
    configuration = Element("ServerSideEncryptionConfiguration")
    for rule in encryption.get("ServerSideEncryptionConfiguration") or ():
        child = SubElement(configuration, "Rule")
        default = SubElement(child, "ApplyServerSideEncryptionByDefault")
        for name, value in rule["ServerSideEncryptionByDefault"].items():
            SubElement(default, name).text = str(value)
        has_key = _is_set(rule.get("BucketKeyEnabled"))
        SubElement(child, "BucketKeyEnabled").text = str(has_key).lower()
    if len(configuration):
        S3["_put_bucket_encryption"](result[0], tostring(configuration))
    return result


def _with_full_name(result: CreateResult, _properties: Any) -> CreateResult:
    """Begin the full name with ``targetgroup/``, as the dimensions of metrics do."""
    arn, attributes = result
    return arn, {**attributes, "TargetGroupFullName": arn.rsplit(":", 1)[1]}

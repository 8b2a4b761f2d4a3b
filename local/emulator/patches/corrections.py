"""References, generated secrets and encryption of buckets as AWS has them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from local.emulator.patches.ministack import CreateResult, Handlers, completed, names
from local.emulator.patches.nested_stacks import SUFFIX_LENGTH, child_name

DRIFT = names("services.cloudformation.drift")
SECRETS = names("services.secretsmanager")
S3 = names("services.s3")

LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LOG_GROUP = "AWS::Logs::LogGroup"
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


def install() -> None:
    """Let the detection of drift find a secret by its ARN, which Ref returns here."""
    readers = DRIFT["_DRIFT_READERS"]
    read, compared = readers[SECRET]

    def read_by_arn(arn: str, properties: Mapping[str, Any]) -> Any:
        return read(_name(arn), properties)

    readers[SECRET] = (read_by_arn, compared)


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the corrected handlers."""
    return {
        BUCKET: completed(handlers[BUCKET], _with_encryption),
        LOAD_BALANCER: _named_after_stack(handlers[LOAD_BALANCER], "Name", _short_name),
        LOG_GROUP: _named_after_stack(handlers[LOG_GROUP], "LogGroupName", child_name),
        SECRET: _by_arn(_without_excluded(handlers[SECRET])),
        TARGET_GROUP: completed(
            _named_after_stack(handlers[TARGET_GROUP], "Name", _short_name),
            _with_full_name,
        ),
    }


def _named_after_stack(
    native: Handlers, property_name: str, name_of: Callable[[str, str], str]
) -> Handlers:
    """Give a resource without a name one in CloudFormation's form, and leave it."""

    def create(
        logical_id: str, properties: Mapping[str, Any], stack: str
    ) -> CreateResult:
        named = {property_name: name_of(stack, logical_id), **properties}
        result: CreateResult = native["create"](logical_id, named, stack)
        return result

    def update(
        physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any
    ) -> CreateResult:
        named = {property_name: _name_in(physical_id)}
        result: CreateResult = native["update"](
            physical_id, {**named, **old}, {**named, **new}, *rest
        )
        return result

    return {**native, "create": create, "update": update}


def _short_name(stack: str, logical_id: str) -> str:
    """Return a name of 32 characters: it keeps five of the stack's."""
    return f"{stack[:5]}-{logical_id[:5]}-{child_name('', '')[-SUFFIX_LENGTH:]}"


def _name_in(physical_id: str) -> str:
    """Return the name in an ARN of Elastic Load Balancing, or in a name."""
    if not physical_id.startswith("arn:"):
        return physical_id
    return physical_id.split("/")[-2]


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

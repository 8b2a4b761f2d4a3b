"""What MiniStack makes in another form than AWS, put right: references and secrets."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from local.emulator.patches.ministack import names

SECRETS = names("services.secretsmanager")

SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type
TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"

EXCLUDED = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
    "ExcludeUppercase": string.ascii_uppercase,
}
"""MiniStack heeds ``ExcludeCharacters`` alone where a template generates a secret."""

Handlers = dict[str, Any]
Made = tuple[str, dict[str, Any]]


def corrected(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the handlers of the types whose references need it."""
    return {
        SECRET: _by_arn(_without_excluded(handlers[SECRET])),
        TARGET_GROUP: _with_full_name(handlers[TARGET_GROUP]),
    }


def _by_arn(native: Handlers) -> Handlers:
    """Let Ref be a secret's ARN, as on AWS; MiniStack's is the name."""

    def create(*given: Any) -> Made:
        _, attributes = native["create"](*given)
        return attributes["Id"], attributes

    def update(arn: str, *given: Any) -> Made:
        _, attributes = native["update"](_name(arn), *given)
        return attributes["Id"], attributes

    def delete(arn: str, *given: Any) -> None:
        native["delete"](_name(arn), *given)

    return {**native, "create": create, "update": update, "delete": delete}


def _without_excluded(native: Handlers) -> Handlers:
    """Let a generated secret hold no character of a kind that is excluded."""

    def spelt_out(props: Mapping[str, Any]) -> dict[str, Any]:
        asked = props.get("GenerateSecretString")
        if not asked:
            return dict(props)
        kinds = (kind for name, kind in EXCLUDED.items() if _is_set(asked.get(name)))
        excluded = "".join([asked.get("ExcludeCharacters", ""), *kinds])
        generated = {**asked, "ExcludeCharacters": excluded}
        return {**props, "GenerateSecretString": generated}

    def create(logical_id: str, props: Mapping[str, Any], *given: Any) -> Made:
        made: Made = native["create"](logical_id, spelt_out(props), *given)
        return made

    def update(
        name: str, old: Mapping[str, Any], new: Mapping[str, Any], *given: Any
    ) -> Made:
        made: Made = native["update"](name, spelt_out(old), spelt_out(new), *given)
        return made

    return {**native, "create": create, "update": update}


def _is_set(switch: object) -> bool:
    """Return whether a Boolean of a template is true, in either spelling."""
    return str(switch).lower() == "true"


def _name(arn: str) -> str:
    """Return the name a secret is kept by."""
    for name, secret in SECRETS["_secrets"].items():
        if secret["ARN"] == arn:
            return str(name)
    return arn


def _with_full_name(native: Handlers) -> Handlers:
    """Let the full name begin with ``targetgroup/``: metrics ask for that."""

    def completing(make: Callable[..., Made]) -> Callable[..., Made]:
        def made(*given: Any) -> Made:
            arn, attributes = make(*given)
            return arn, {**attributes, "TargetGroupFullName": arn.rsplit(":", 1)[1]}

        return made

    return {
        **native,
        "create": completing(native["create"]),
        "update": completing(native["update"]),
    }

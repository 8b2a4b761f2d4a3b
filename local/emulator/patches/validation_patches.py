"""Puts strict checks, template URLs and conditions in the place of MiniStack's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.emulator.patches import (
    conditions,
    partitions,
    template_urls,
    template_validation,
)
from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import (
    CHANGE_SETS,
    ENGINE,
    HANDLERS,
    HELPERS,
    STACKS,
    names,
    region,
    replace,
)
from local.emulator.patches.schemas import Registry

S3 = names("services.s3")


def install(registry: Registry) -> None:
    """Refuse what AWS refuses from now on."""
    replace("_resolve_parameters", _with_parameters, HANDLERS, CHANGE_SETS)
    replace(
        "validate_template_support", _with_references(registry), HANDLERS, CHANGE_SETS
    )
    # MiniStack checks capabilities only where it checks every caller's rights.
    replace("_capabilities_enforced", lambda _original: lambda: True, HANDLERS)
    replace("_resolve_document", _with_urls, HELPERS)
    replace(
        "_resolve_refs",
        lambda original: partitions.resolving(original, region),
        ENGINE,
        HANDLERS,
        CHANGE_SETS,
        STACKS,
    )
    _install_conditions()


def _install_conditions() -> None:
    """Evaluate conditions by what references already resolve to."""

    def resolve(*given: Any) -> Any:
        return ENGINE["_resolve_refs"](*given)

    replace(
        "_evaluate_conditions",
        lambda _original: conditions.evaluating(resolve),
        ENGINE,
        HANDLERS,
        CHANGE_SETS,
        STACKS,
    )


def _with_parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(
        template: dict[str, Any],
        given: list[dict[str, Any]],
        previous: dict[str, Any] | None = None,
    ) -> Any:
        template_validation.check_parameters(template, given)
        return original(template, given, previous)

    return resolve


def _with_references(
    registry: Registry,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def validate(
            template: dict[str, Any],
            conditions: dict[str, bool],
            params: dict[str, Any] | None = None,
        ) -> None:
            original(template, conditions, params)
            template_validation.check_references(template, conditions, registry.find)

        return validate

    return wrap


def _with_urls(original: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(
        request: dict[str, Any], body_key: str, url_key: str, label: str
    ) -> tuple[str | None, Any]:
        url = HELPERS["_p"](request, url_key)
        if HELPERS["_p"](request, body_key) or not url:
            found: tuple[str | None, Any] = original(request, body_key, url_key, label)
            return found
        try:
            return read(url), None
        except template_urls.UnreadableError as refusal:
            return None, HELPERS["_error"]("ValidationError", str(refusal))

    return resolve


def read(url: str) -> str:
    """Return the template behind a URL, or refuse in CloudFormation's words."""
    place = template_urls.place(url)
    largest = HELPERS["TEMPLATE_URL_MAX_BYTES"]
    if FAULTS.hides(place.key):
        raise template_urls.s3_error("Access Denied")
    if S3["_buckets"].get(place.bucket) is None:
        raise template_urls.s3_error("The specified bucket does not exist")
    content = S3["_get_object_data"](place.bucket, place.key, place.version or None)
    if content is None:
        raise template_urls.s3_error("The specified key does not exist.")
    if len(content) > largest:
        raise template_urls.UnreadableError(
            f"Template may not exceed {largest} bytes in size."
        )
    text: str = content.decode()
    return text

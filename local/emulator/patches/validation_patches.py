"""Installs template validation, template URLs and conditions in MiniStack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudformation.schemas import SchemaRegistry
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

S3 = names("services.s3")


def install(registry: SchemaRegistry) -> None:
    """Install the replacements."""
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
    """Evaluate conditions with MiniStack's resolver of references."""

    def resolve(*values: Any) -> Any:
        return ENGINE["_resolve_refs"](*values)

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
        values: list[dict[str, Any]],
        previous: dict[str, Any] | None = None,
    ) -> Any:
        template_validation.check_parameters(template, values)
        parameters = original(template, values, previous)
        template_validation.trim_lists(template, parameters)
        return parameters

    return resolve


def _with_references(
    registry: SchemaRegistry,
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
            result: tuple[str | None, Any] = original(request, body_key, url_key, label)
            return result
        try:
            return read(url), None
        except template_urls.UnreadableTemplateError as refusal:
            return None, HELPERS["_error"]("ValidationError", str(refusal))

    return resolve


def read(url: str) -> str:
    """Return the template at a URL. Raises UnreadableTemplateError."""
    location = template_urls.location(url)
    largest = HELPERS["TEMPLATE_URL_MAX_BYTES"]
    if FAULTS.hides(location.key):
        raise template_urls.s3_error("Access Denied")
    if S3["_buckets"].get(location.bucket) is None:
        raise template_urls.s3_error("The specified bucket does not exist")
    content = S3["_get_object_data"](
        location.bucket, location.key, location.version or None
    )
    if content is None:
        raise template_urls.s3_error("The specified key does not exist.")
    if len(content) > largest:
        raise template_urls.UnreadableTemplateError(
            f"Template may not exceed {largest} bytes in size."
        )
    text: str = content.decode()
    return text

"""Find Ref, GetAtt and Sub references in a template."""

from __future__ import annotations

import re
from collections.abc import Iterator


def references(document: object) -> Iterator[tuple[str, str]]:
    """Yield every reference in a template as (logical ID, attribute).

    The attribute is empty for a Ref.
    """
    match document:
        case {"Ref": str(name)}:
            yield name, ""
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            yield name, attribute
        case {"Fn::Sub": text, **rest} if not rest:
            template, values = text if isinstance(text, list) else (text, {})
            for name in re.findall(r"\$\{([^!][^}]*)\}", template):
                if name not in values:
                    logical_id, _, attribute = name.partition(".")
                    yield logical_id, attribute
            yield from references(values)
        case dict():
            for value in document.values():
                yield from references(value)
        case list():
            for value in document:
                yield from references(value)
        case _:
            return

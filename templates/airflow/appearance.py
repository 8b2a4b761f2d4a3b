"""Name and colour of an environment in the Airflow UI, as options that are defaults."""

from __future__ import annotations

import json

from troposphere import Sub

from templates.types import Text

DEVELOPMENT_HUE = 55.0
"""Orange, in degrees of OKLCH; production keeps Airflow's own blue."""

SHADES = {
    50: (0.971, 0.013),
    100: (0.936, 0.032),
    200: (0.885, 0.062),
    300: (0.808, 0.114),
    400: (0.704, 0.17),
    500: (0.637, 0.17),
    600: (0.577, 0.15),
    700: (0.505, 0.13),
    800: (0.444, 0.11),
    900: (0.396, 0.1),
    950: (0.258, 0.07),
}
"""Lightness and chroma of each shade that ``[api] theme`` requires. They follow the
example of Airflow's documentation, the chroma within what a screen shows of the hue."""


def default_options(*, hue: float | None) -> Text:
    """Return the default options: the stack's name, and a theme of a hue if any."""
    options = {"api.instance_name": "${AWS::StackName}"}
    if hue is not None:
        brand = {
            str(shade): {"value": f"oklch({lightness} {chroma} {hue:g})"}
            for shade, (lightness, chroma) in SHADES.items()
        }
        theme = {"tokens": {"colors": {"brand": brand}}}
        options["api.theme"] = json.dumps(theme, separators=(",", ":"))
    return Text(Sub(json.dumps(options, separators=(",", ":"))))

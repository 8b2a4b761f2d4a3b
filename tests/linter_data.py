"""Tables of AWS that cfn-lint ships, read without importing the linter.

The import takes seconds, in every parallel worker.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def linter_data(path: str) -> dict[str, Any]:
    """Return a JSON file of cfn-lint's ``data`` folder."""
    spec = importlib.util.find_spec("cfnlint")
    assert spec
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "data" / path
    return dict(json.loads(file.read_text()))

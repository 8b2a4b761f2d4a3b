"""Everything that is compiled, once for all tests."""

from __future__ import annotations

import json

import pytest

from cli import product
from tests.compliance.environments import Environments, Library


@pytest.fixture(scope="session")
def library() -> Library:
    """Every compiled template, by its file name in dist/."""
    return {
        template.path: json.loads(template.text())
        for template in product.compile_templates()
    }


@pytest.fixture(scope="session")
def environments(library: Library) -> Environments:
    """Production and its variants, for the numbered controls."""
    return Environments(library)

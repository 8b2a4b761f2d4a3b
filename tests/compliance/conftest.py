"""Everything that is compiled, once for all house rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cli import product
from tests.compliance.environments import Estates
from tests.resolver import Stack, deploy

ROOT = product.ROOT
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "parameters").glob("*.json"))

Library = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="session")
def library() -> Library:
    """Every compiled template, by its file name in dist/."""
    return {page.path: json.loads(page.text()) for page in product.compile_pages()}


@pytest.fixture(scope="session")
def children(library: Library) -> Library:
    """The nested templates."""
    roots = ("parent.template.json", "service-catalog.template.json")
    return {name: page for name, page in library.items() if name not in roots}


def deployed(library: Library, environment: str, name: str = "airflow") -> Stack:
    """What an environment's stack would be."""
    chosen = json.loads((ROOT / "parameters" / f"{environment}.json").read_text())
    return deploy(
        library["parent.template.json"], library, chosen["Parameters"], name=name
    )


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def environment_name(request: pytest.FixtureRequest) -> str:
    """Each environment's name in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def environment(environment_name: str, library: Library) -> Stack:
    """Each environment in turn, resolved."""
    return deployed(library, environment_name)


@pytest.fixture(scope="session")
def digests() -> set[str]:
    """The digests of the assets, which change with every line of the runtime."""
    return {asset.sha256 for asset in product.assets().values()}


@pytest.fixture(scope="session")
def production(library: Library) -> Stack:
    """The production environment, resolved."""
    return deployed(library, "prod")


@pytest.fixture(scope="session")
def estates(library: Library) -> Estates:
    """Production and its variants, for the numbered controls."""
    return Estates(library)

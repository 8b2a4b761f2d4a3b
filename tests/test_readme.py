"""README and docs agree with the templates and the Makefile."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli import product
from compiler import pipeline, reference

LINES = re.MULTILINE
README = product.ROOT / "README.md"


@pytest.fixture(scope="module")
def root() -> dict[str, Any]:
    return pipeline.root_template(product.project()).document


def test_parameter_reference_is_up_to_date(root: dict[str, Any]) -> None:
    page = (product.ROOT / reference.PATH).read_text()
    assert page == reference.page(root), "run `make reference`"


def test_every_parameter_has_a_row(root: dict[str, Any]) -> None:
    table = reference.table(root)
    for name, spec in root["Parameters"].items():
        assert f"| `{name}` |" in table
        assert spec["Description"] in table


def test_every_make_target_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", README.read_text(), LINES))
    rules = (product.ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", rules, LINES))
    assert named <= targets, named - targets


def test_every_link_within_the_project_leads_somewhere() -> None:
    pages = [README, *README.parent.glob("*.md"), *README.parent.glob("docs/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"

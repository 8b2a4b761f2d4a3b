"""README and docs agree with the templates and the Makefile."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli import cost_table, product
from compiler import pipeline, reference
from compiler.wiring import Template
from templates import permissions_page

LINES = re.MULTILINE
README = product.ROOT / "README.md"


@pytest.fixture(scope="module")
def parent() -> Template:
    return pipeline.root_template(product.project())


@pytest.fixture(scope="module")
def root(parent: Template) -> dict[str, Any]:
    return parent.document


def test_permissions_are_up_to_date(parent: Template) -> None:
    page = (product.ROOT / permissions_page.PATH).read_text()
    assert page == permissions_page.page(parent.walk()), "run `make reference`"


def test_cost_table_is_up_to_date(parent: Template) -> None:
    page = (product.ROOT / cost_table.PATH).read_text()
    assert page == cost_table.page(parent), "run `make reference`"
    assert "| Together |" in page


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

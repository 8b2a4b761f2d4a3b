"""The README says what the templates say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cli import product
from compiler import reference

LINES = re.MULTILINE
README = product.ROOT / "README.md"


@pytest.fixture(scope="module")
def parent() -> dict[str, Any]:
    pages = {page.name: page.document for page in product.compile_pages()}
    return pages["parent"]


def test_the_table_of_parameters_is_not_stale(parent: dict[str, Any]) -> None:
    text = README.read_text()
    assert reference.written_into(text, parent) == text, "run `make reference`"


def test_every_parameter_has_a_row(parent: dict[str, Any]) -> None:
    table = reference.table(parent)
    for name, spec in parent["Parameters"].items():
        assert f"| `{name}` |" in table
        assert spec["Description"] in table


def test_a_page_without_a_place_for_the_table_is_refused(
    parent: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="no <!-- parameters"):
        reference.written_into("# A page\n", parent)


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

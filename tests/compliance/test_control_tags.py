"""No tag of a user is taken for one by which roles and the autoscaler decide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compiler.tags import OWNERS, objections
from deploy.roles import BOUNDARY_TAG
from fargate_runtime.contract import POOL_TAG
from templates.resources.stack_tag import STACK_TAG

GOLDEN = Path(__file__).parents[1] / "golden" / "templates"
CONDITION = re.compile(r"aws:(?:Resource|Request)Tag/([^\"$]+)")


@pytest.mark.parametrize("name", [POOL_TAG, STACK_TAG, BOUNDARY_TAG, "Airflow:Pool"])
def test_stack_tags_named_like_a_control_tag_are_refused(name: str) -> None:
    (why,) = objections(name, "default", ())
    assert "belong to the templates" in why


def test_conditions_on_tags_name_tags_that_no_user_can_set() -> None:
    names = {
        name
        for template in GOLDEN.glob("*.json")
        for name in CONDITION.findall(template.read_text())
    }
    assert {POOL_TAG, STACK_TAG} <= names
    others = {name for name in names if not name.startswith(tuple(OWNERS))}
    assert others == set()

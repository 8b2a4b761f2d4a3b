"""Every input that was once answered badly is answered as the table says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.listed_inputs import ROWS, Row, answer, login_page, prepared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    with login_page() as address:
        yield address


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}: {row.script[:60]}")
def test_listed_input_is_answered_well(row: Row, page: str, tmp_path: Path) -> None:
    said = answer(row, prepared(tmp_path, row), page)
    assert said.faults(row) == [], said.text

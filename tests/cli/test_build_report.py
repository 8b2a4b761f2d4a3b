"""What a build prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from cli import build_report
from cli.product import project
from compiler.pipeline import BuildOutcome
from compiler.quotas import BYTES, RESOURCES


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    resources = {f"Topic{n}": {"Type": "AWS::SNS::Topic"} for n in range(400)}
    for name, document in (("small", {}), ("large", {"Resources": resources})):
        (tmp_path / f"{name}.template.json").write_text(json.dumps(document))
    return tmp_path


def test_table_has_a_line_for_each_template_with_every_quota(dist: Path) -> None:
    console = Console(width=100)
    with console.capture() as said:
        console.print(build_report.table(dist))
    lines = said.get().splitlines()
    size = len((dist / "large.template.json").read_bytes())
    assert lines[0].split() == [
        *("Template", "Resources", "Parameters", "Outputs", "Bytes", "SHA-256")
    ]
    assert lines[1].split()[1] == f"{RESOURCES.limit}"
    assert lines[1].split()[-1] == f"{BYTES.limit:,}"
    assert lines[2].split()[:5] == ["large", "400", "0", "0", f"{size:,}"]
    assert lines[3].split()[:2] == ["small", "0"]


def test_table_fits_a_screen_of_eighty_columns(dist: Path) -> None:
    (dist / "service-catalog.template.json").write_text(
        json.dumps({"M": "x" * 899_999})
    )
    console = Console(width=80)
    with console.capture() as said:
        console.print(build_report.table(dist))
    assert "service-catalog" in said.get()
    assert "…" not in said.get()


def test_figure_near_its_quota_is_coloured(dist: Path) -> None:
    console = Console(width=100, force_terminal=True, color_system="standard")
    with console.capture() as said:
        console.print(build_report.table(dist))
    yellow = "\x1b[33m"
    large, small = said.get().splitlines()[2:]
    assert yellow in large
    assert yellow not in small


def test_unchanged_build_is_reported(
    dist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_report.print_build(project(dist), BuildOutcome(has_changed=False))
    assert "Unchanged" in capsys.readouterr().out


def test_check_notes_what_only_a_launch_can_decide(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = BuildOutcome(
        has_changed=True, environments=("prod",), unchecked=("Rule X is not checked.",)
    )
    build_report.print_check(outcome)
    said = capsys.readouterr()
    assert said.out == "prod: every value can be launched.\n"
    assert said.err == "note   Rule X is not checked.\n"

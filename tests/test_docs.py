"""The documentation names what exists: links, anchors, actions and alarms."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from acceptance.aws import suite
from cli import product
from cli.main import main
from deploy.aws import IAM_ACTIONS

DOCS = product.ROOT / "docs"
PAGES = [
    *product.ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    *product.ROOT.glob("examples/*.yml"),
]
CALL = re.compile(r'\.(?:call|pages)\(\s*"([a-z0-9-]+)",\s*"(\w+)"')


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_headings_lead_to_a_heading(page: Path) -> None:
    for path, anchor in re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text()):
        target = page.parent / path if path else page
        assert anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    text = page.read_text()
    for name, rest in re.findall(r"\./build\.py ([a-z]+)([^`\n|#]*)", text):
        assert name in main.commands, name
        command = main.commands[name]
        if isinstance(command, click.Group):
            command = command.commands[rest.split()[0]]
        options = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        named = set(re.findall(r"(?<!\S)--[a-z-]+", rest.partition(" -- ")[0]))
        assert named <= options, f"{name}: {named - options}"


@pytest.mark.parametrize("folder", ["deploy", "acceptance/aws"])
def test_permissions_list_every_action_that_is_called(folder: str) -> None:
    calls = {
        match.groups()
        for file in (product.ROOT / folder).glob("*.py")
        for match in CALL.finditer(file.read_text())
    } - {("sts", "get_caller_identity")}
    assert len(calls) > 30
    text = (DOCS / "permissions.md").read_text().lower()
    for service, operation in sorted(calls):
        action = IAM_ACTIONS.get(f"{service}:{operation}", operation)
        name = action.rpartition(":")[2].replace("_", "").lower()
        assert name in text, f"{service}:{operation}"


def test_decision_13_names_checks_of_verify() -> None:
    page = DOCS / "decisions/0013-unverified-until-first-launch.md"
    section = page.read_text().split("## Answered by")[1]
    rows = re.findall(r"^\| .* \| (.*?) \| .* \|$", section, re.MULTILINE)[2:]
    assert len(rows) > 15
    assert set(rows) <= set(suite.needs())


def test_troubleshooting_names_alarms_that_exist() -> None:
    section = (DOCS / "troubleshooting.md").read_text().split("## Workers")[1]
    named = set(re.findall(r"`([A-Z][A-Za-z0-9]+)`", section))
    alarms = {
        title
        for template in product.compile_templates()
        for title, resource in template.document["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    parameters = {"DatabaseMaxCapacity"}
    assert named - parameters <= alarms, named - parameters - alarms

"""Both linters really read what was staged, and what they say is acted upon."""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.errors import ExitCode, Failure
from compiler import lint
from compiler.lint import LintException, LintFinding
from templates.lint_exceptions import EXCEPTIONS

WHY = {"com.aws.cloudformation.Context": {"why": "A test needs it."}}

CHILD: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "A topic.",
    "Metadata": {"com.aws.cloudformation.Context": {"arch": "One topic."}},
    "Parameters": {"DisplayName": {"Type": "String", "Description": "Its name."}},
    "Resources": {
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Metadata": WHY,
            "Properties": {"DisplayName": {"Ref": "DisplayName"}},
        }
    },
    "Outputs": {"TopicArn": {"Description": "The topic.", "Value": {"Ref": "Topic"}}},
}

PARENT: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "A parent.",
    "Metadata": {"com.aws.cloudformation.Context": {"arch": "One nested stack."}},
    "Parameters": {
        "Size": {
            "Type": "String",
            "Description": "How large.",
            "AllowedValues": ["small", "large"],
            "Default": "small",
        }
    },
    "Resources": {
        "Child": {
            "Type": "AWS::CloudFormation::Stack",
            "Metadata": WHY,
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "TemplateURL": "child.template.json",
                "Parameters": {"DisplayName": {"Ref": "Size"}},
            },
        },
        "Other": {
            "Type": "AWS::CloudFormation::Stack",
            "Metadata": WHY,
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "TemplateURL": "child.template.json",
                "Parameters": {
                    "DisplayName": {"Fn::GetAtt": ["Child", "Outputs.TopicArn"]}
                },
            },
        },
    },
    "Outputs": {
        "TopicArn": {
            "Description": "The topic.",
            "Value": {"Fn::GetAtt": ["Child", "Outputs.TopicArn"]},
        }
    },
}

TASKS = (
    lint.LintTask(template="parent.template.json", weight=2),
    lint.LintTask(template="child.template.json", weight=1),
)


@pytest.fixture(scope="module")
def cfn_lint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lint.CfnLint]:
    home = tmp_path_factory.mktemp("home")
    (home / ".cfnlintrc").write_text("ignore_checks: [E]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_DEFAULT_REGION", "cn-north-1")
        workers = lint.CfnLint(workers=2)
    with workers:
        yield workers


@pytest.fixture
def templates() -> dict[str, Any]:
    return copy.deepcopy({"parent": PARENT, "child": CHILD})


def stage(folder: Path, templates: dict[str, Any]) -> Path:
    for name, template in templates.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template, indent=1))
    return folder


def unanswered(findings: list[LintFinding]) -> list[LintFinding]:
    return lint.unanswered(findings, EXCEPTIONS)


def rules(findings: list[LintFinding]) -> set[tuple[str, str]]:
    return {(finding.rule, finding.place) for finding in unanswered(findings)}


@pytest.mark.slow
def test_both_linters_accept_correct_connections(
    cfn_lint: lint.CfnLint, templates: dict[str, Any], tmp_path: Path
) -> None:
    stage(tmp_path, templates)
    assert rules(cfn_lint.run(tmp_path, TASKS)) == set()
    assert rules(lint.validate(tmp_path, TASKS)) == set()


def rename_output(templates: dict[str, Any]) -> None:
    outputs = templates["child"]["Outputs"]
    outputs["RenamedArn"] = outputs.pop("TopicArn")


def rename_parameter(templates: dict[str, Any]) -> None:
    parameters = templates["child"]["Parameters"]
    parameters["Renamed"] = parameters.pop("DisplayName")
    templates["child"]["Resources"]["Topic"]["Properties"]["DisplayName"] = "x"


def forget_parameter(templates: dict[str, Any]) -> None:
    templates["parent"]["Resources"]["Child"]["Properties"]["Parameters"] = {}


@pytest.mark.parametrize(
    ("break_a_wire", "expected"),
    [
        (rename_output, {"E1010", "E6101"}),
        (rename_parameter, {"E3043"}),
        (forget_parameter, {"E3043"}),
    ],
)
@pytest.mark.slow
def test_cfn_lint_reports_a_broken_connection(
    break_a_wire: Callable[[dict[str, Any]], None],
    expected: set[str],
    cfn_lint: lint.CfnLint,
    templates: dict[str, Any],
    tmp_path: Path,
) -> None:
    # With an absolute TemplateURL, or run from another folder, cfn-lint checks no
    # wire and says nothing about it.
    break_a_wire(templates)
    findings = rules(cfn_lint.run(stage(tmp_path, templates), TASKS))
    assert expected <= {rule for rule, _ in findings}


@pytest.mark.slow
def test_cloudformation_validate_sees_a_property_that_does_not_exist(
    templates: dict[str, Any], tmp_path: Path
) -> None:
    templates["child"]["Resources"]["Topic"]["Properties"]["Colour"] = "blue"
    findings = unanswered(lint.validate(stage(tmp_path, templates), TASKS))
    assert {f.template for f in findings} == {"child.template.json"}
    assert {f.place.split(".")[:2] == ["Resources", "Topic"] for f in findings} == {
        True
    }
    assert any("Colour" in f.message for f in findings)


@pytest.mark.slow
def test_values_of_an_environment_are_linted(
    cfn_lint: lint.CfnLint, templates: dict[str, Any], tmp_path: Path
) -> None:
    task = replace(
        TASKS[0], environments={"dev": {"Size": "small"}, "prod": {"Size": "huge"}}
    )
    findings = unanswered(cfn_lint.run(stage(tmp_path, templates), [task]))
    assert {(f.rule, f.environment) for f in findings} == {("E2900", "prod")}


@pytest.mark.slow
def test_value_that_breaks_a_resource_names_its_environment(
    cfn_lint: lint.CfnLint, templates: dict[str, Any], tmp_path: Path
) -> None:
    parameters = templates["child"]["Parameters"]
    parameters["Days"] = {"Type": "Number", "Description": "How long."}
    templates["child"]["Resources"]["Log"] = {
        "Type": "AWS::Logs::LogGroup",
        "Metadata": WHY,
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"RetentionInDays": {"Ref": "Days"}},
    }
    values = {"dev": {"Days": "7"}, "prod": {"Days": "8"}}
    task = replace(
        TASKS[1],
        environments={name: {**v, "DisplayName": "x"} for name, v in values.items()},
    )
    folder = stage(tmp_path, templates)
    said = [f.message for f in unanswered(cfn_lint.run(folder, [task]))]
    assert any("prod" in message for message in said)
    assert not any("dev" in message for message in said)
    findings = unanswered(lint.validate(folder, [task]))
    assert {f.environment for f in findings} == {"prod"}


@pytest.mark.slow
def test_informational_rules_are_on(
    cfn_lint: lint.CfnLint, templates: dict[str, Any], tmp_path: Path
) -> None:
    templates["child"]["Resources"]["Log"] = {
        "Type": "AWS::Logs::LogGroup",
        "Metadata": WHY,
        "Properties": {"RetentionInDays": 7},
    }
    findings = rules(cfn_lint.run(stage(tmp_path, templates), TASKS))
    assert findings == {("I3011", "Resources.Log")}


@pytest.mark.slow
def test_configuration_of_the_home_folder_is_ignored(
    cfn_lint: lint.CfnLint, templates: dict[str, Any], tmp_path: Path
) -> None:
    # The fixture starts the workers with one that would switch off every error.
    rename_output(templates)
    assert rules(cfn_lint.run(stage(tmp_path, templates), TASKS))


@pytest.mark.slow
def test_failure_of_the_linter_is_reported(
    cfn_lint: lint.CfnLint, tmp_path: Path
) -> None:
    missing = [lint.LintTask(template="missing.template.json")]
    with pytest.raises(Failure, match="cfn-lint itself failed") as failed:
        cfn_lint.run(tmp_path, missing)
    assert failed.value.exit_code is ExitCode.UNABLE


def test_too_little_memory_is_said_instead_of_an_abort(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = (200_000_000, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits)
    with pytest.raises(Failure, match="200 MB of memory"):
        lint.validate(tmp_path, [])


def test_death_of_a_worker_is_reported(
    templates: dict[str, Any], tmp_path: Path
) -> None:
    with lint.CfnLint(workers=2) as workers:
        os.killpg(workers._process.pid, signal.SIGKILL)
        with pytest.raises(Failure, match="its process was ended"):
            workers.run(stage(tmp_path, templates), TASKS)


@pytest.mark.slow
def test_workers_end_with_the_build_that_started_them(tmp_path: Path) -> None:
    # A build that is killed cannot say goodbye: its workers must notice.
    workers = lint.CfnLint(workers=2)
    workers.run(tmp_path, [])
    for connection in workers._connections:
        connection.close()
    assert workers._process.wait(timeout=30) == 0
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.killpg(workers._process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a worker outlived its build")


FINDING = LintFinding(
    linter="cfn-lint",
    rule="E3030",
    template="load-balancer.template.json",
    place="Resources.Listener.Properties.Port",
    line=12,
    message="80 is not one of [443]",
    why="Checks the values",
)


def test_message_says_where_what_why_and_what_to_do(tmp_path: Path) -> None:
    page = tmp_path / "templates" / "load_balancer.py"
    page.parent.mkdir()
    page.write_text('\n\nListener(\n    "Listener",\n)\n')
    (problem,) = lint.problems(
        [replace(FINDING, environment="prod")], EXCEPTIONS, tmp_path / "templates"
    )
    assert problem.where == (
        "load-balancer.template.json:12 Resources.Listener.Properties.Port"
    )
    assert problem.what == "80 is not one of [443] (cfn-lint E3030, with prod)."
    assert problem.why == "Checks the values."
    assert "templates/load_balancer.py:4" in problem.remedy
    assert "templates/lint_exceptions.py" in problem.remedy


def test_messages_do_not_depend_on_the_order_of_findings(tmp_path: Path) -> None:
    findings = [
        replace(FINDING, linter=linter, line=line, environment=environment)
        for linter in ("cfn-lint", "cloudformation-validate")
        for line in (12, 3)
        for environment in ("prod", "dev")
    ]
    problems = lint.problems(findings, (), tmp_path)
    assert problems == lint.problems(findings[::-1], (), tmp_path)
    assert [problem.where.split()[0].rsplit(":")[1] for problem in problems] == [
        *("3", "3", "12", "12")
    ]
    assert {problem.what.partition(", with ")[2] for problem in problems} == {
        "dev, prod)."
    }


@pytest.mark.parametrize(
    ("exception", "holds"),
    [
        ({}, True),
        ({"place": "Resources.Listener*"}, True),
        ({"place": "Resources.Other*"}, False),
        ({"template": "database*"}, False),
        ({"rule": "E3031"}, False),
        ({"linter": "cloudformation-validate"}, False),
    ],
)
def test_exception_applies_only_to_its_place(
    exception: dict[str, Any], *, holds: bool
) -> None:
    lint_exception = LintException(
        **{"linter": "cfn-lint", "rule": "E3030", "reason": "Why not.", **exception}
    )
    assert lint_exception.excuses(FINDING) is holds


def test_every_exception_has_a_reason() -> None:
    assert all(
        exception.reason.endswith(".") and " " in exception.reason
        for exception in EXCEPTIONS
    )

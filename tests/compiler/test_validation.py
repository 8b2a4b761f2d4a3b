"""Validation of parameter files: all problems are reported at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.parameters import EnvironmentFile, load
from compiler.validation import Finding, Findings, check, validate
from compiler.values import FileValue, Number

ROOT = Path(__file__).parents[2]

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Owner": {"Type": "String", "Description": "Who answers for it."},
        "Minimum": {"Type": "Number", "Default": "1", "MinValue": 0, "MaxValue": 10},
        "Maximum": {"Type": "Number", "Default": "2", "MinValue": 0, "MaxValue": 10},
        "Profile": {
            "Type": "String",
            "Default": "development",
            "AllowedValues": ["development", "production"],
        },
    },
    "Rules": {
        "ProductionHasTwo": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "Profile"}, "production"]},
            "Assertions": [
                {
                    "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Minimum"}, "1"]}]},
                    "AssertDescription": "Production needs two.",
                }
            ],
        }
    },
}


MINIMUM = Number(FileValue(name="Minimum"))
MAXIMUM = Number(FileValue(name="Maximum"))


def crossed(minimum: Number, maximum: Number) -> Finding | None:
    if minimum.number <= maximum.number:
        return None
    return Finding(what=f"{minimum.text} is above {maximum.text}.", remedy="Swap them.")


CROSSED = check("in order", crossed, MINIMUM, MAXIMUM)


def environment_file(**parameters: str) -> EnvironmentFile:
    return EnvironmentFile(
        name="dev",
        source="parameters/dev.json",
        parameters=MappingProxyType(parameters),
        lines=MappingProxyType({name: i for i, name in enumerate(parameters, 3)}),
    )


def messages(findings: Findings) -> list[str]:
    return [str(problem) for problem in findings.problems]


def test_a_valid_file_has_no_problems() -> None:
    findings = validate(environment_file(Owner="data"), TEMPLATE, [CROSSED])

    assert findings == Findings(problems=())


def test_values_of_the_command_line_are_checked_as_those_of_the_file() -> None:
    environment = environment_file(Owner="data", Maximum="0").with_overrides(
        {"Maximum": "4", "Minimum": "5", "Minimm": "1", "Profile": "test"}
    )
    assert [p.where for p in validate(environment, TEMPLATE, [CROSSED]).problems] == [
        "--set Minimm",
        "--set Profile",
        "--set Minimum",
    ]


def test_all_four_questions_are_answered_at_once(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(
        '{"Parameters": {\n"Profil": "x",\n"Profile": "production",\n'
        '"Maximum": "0",\n"Owner": 3\n}}'
    )

    findings = messages(validate(load(path), TEMPLATE, [CROSSED]))

    for line, words in (
        (5, "Owner: Its value is the number 3, not a string."),
        (2, 'Profil: The parent template has no parameter "Profil". Did you mean Prof'),
        (
            3,
            'not hold. Production needs two. Profile is "production", Minimum is "1".',
        ),
        (4, "Maximum: 1 is above 0. Swap them."),
    ):
        assert any(
            f"dev.json:{line} " in finding and words in finding for finding in findings
        ), words
    assert len(findings) == 4


def test_a_missing_parameter_is_described() -> None:
    (findings,) = messages(validate(environment_file(), TEMPLATE))

    assert findings == (
        "parameters/dev.json Owner: It is missing, and has no default. "
        'Who answers for it. Add "Owner" to "Parameters".'
    )


def test_an_invalid_value_is_left_out_of_checks() -> None:
    findings = validate(
        environment_file(Owner="data", Minimum="11", Profile="production"),
        TEMPLATE,
        [CROSSED],
    )

    assert messages(findings) == [
        "parameters/dev.json:4 Minimum: 11 is too large. Write 10 or less."
    ]


def test_an_invalid_default_is_reported_for_the_template() -> None:
    wrong = {"Parameters": {"A": {"Type": "Number", "Default": "5", "MaxValue": 4}}}

    (problem,) = validate(environment_file(), wrong).problems

    assert problem.where == "parent Parameters.A"


def test_a_parameter_that_cannot_be_checked_is_an_error() -> None:
    odd = {"Parameters": {"A": {"Type": "AWS::EC2::VPC::Id", "Default": "vpc-1"}}}

    (problem,) = validate(environment_file(), odd, name="root").problems

    assert str(problem).startswith("root Parameters.A: Parameter files are not checked")


def test_a_check_of_a_renamed_parameter_is_never_skipped() -> None:
    # A renamed parameter once switched a check off, unnoticed for months.
    renamed = check("in order", crossed, Number(FileValue(name="Minimun")), MAXIMUM)

    (problem,) = validate(environment_file(Owner="data"), TEMPLATE, [renamed]).problems

    assert problem.where == 'The check "in order"'
    assert "it reads Minimun, which the parent template does not have" in problem.what
    assert problem.remedy == "Did you mean Minimum?"


def test_a_check_reads_the_parameters_of_its_values_in_order() -> None:
    def sums(pairs: tuple[Number, ...], fixed: Number) -> Finding | None:
        total = sum(value.number for value in (*pairs, fixed))
        return Finding(what=f"{total}.", remedy="None.")

    fixed = Number(FileValue(name="cpu of a pool", text="0.5", is_fixed=True))
    sum_ = check("sum", sums, (MAXIMUM, MINIMUM), fixed)

    assert sum_.reads == ("Maximum", "Minimum")
    assert messages(
        validate(environment_file(Owner="x", Minimum="2"), TEMPLATE, [sum_])
    ) == ["parameters/dev.json:4 Minimum: 4.5. None."]


def test_a_value_that_fails_its_check_is_left_out_of_others() -> None:
    def odd(minimum: Number) -> Finding | None:
        wrong = minimum.number % 2
        return Finding(what="Odd.", remedy="Write an even one.") if wrong else None

    even = check("even", odd, MINIMUM)
    findings = validate(
        environment_file(Owner="data", Minimum="9"), TEMPLATE, [CROSSED, even]
    )

    assert messages(findings) == [
        "parameters/dev.json:4 Minimum: Odd. Write an even one."
    ]


def test_a_finding_points_at_the_line_that_the_file_states() -> None:
    findings = validate(
        environment_file(Owner="data", Maximum="0"), TEMPLATE, [CROSSED]
    )

    (problem,) = findings.problems
    assert problem.where == "parameters/dev.json:4 Maximum"


def test_rules_on_account_values_are_listed_as_unchecked() -> None:
    rule = {
        "Assertions": [
            {
                "Assert": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-central-1"]},
                "AssertDescription": "Only in Frankfurt.",
            }
        ]
    }
    findings = validate(
        environment_file(Owner="data"), TEMPLATE | {"Rules": {"Here": rule}}
    )

    assert findings.problems == ()
    assert " ".join(findings.unchecked) == (
        "parameters/dev.json: rule Here is not checked before launch, for AWS::Region "
        "is known at launch only. Only in Frankfurt."
    )


@given(
    st.dictionaries(
        st.sampled_from([*TEMPLATE["Parameters"], "Other", "minimum", ""]),
        st.text() | st.integers(-2, 12).map(str) | st.sampled_from(["production"]),
    )
)
def test_validation_agrees_with_cloudformation(
    parameters: dict[str, str],
) -> None:
    defaults = {"Minimum": "1", "Maximum": "2", "Profile": "development"}
    values = defaults | parameters
    bounds = {str(number) for number in range(11)}
    is_right = (
        values.keys() == {"Owner", *defaults}
        and values["Profile"] in ("development", "production")
        and {values["Minimum"], values["Maximum"]} <= bounds
        and (values["Profile"] != "production" or values["Minimum"] != "1")
        and len(values["Owner"].encode(errors="replace")) <= 4096
    )

    findings = validate(environment_file(**parameters), TEMPLATE)

    assert (findings.problems == ()) is is_right


def test_checking_a_file_loads_nothing_heavy() -> None:
    # It runs at every build, in milliseconds: no linter, no SDK, no template kernel.
    program = (
        "import sys, compiler.parameter_formats, compiler.validation; "
        "heavy = {'boto3', 'botocore', 'cfnlint', 'templates', 'troposphere', 'yaml'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    process = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stdout.strip() == ""


@pytest.mark.parametrize("kind", ["String", "Number", "CommaDelimitedList"])
def test_a_json_number_for_a_default_is_read_as_its_text(kind: str) -> None:
    template = {"Parameters": {"A": {"Type": kind, "Default": 2}}}

    assert validate(environment_file(), template).problems == ()


def test_rule_on_a_value_that_is_found_at_the_launch_is_listed_as_unchecked() -> None:
    rule = {
        "Assertions": [
            {
                "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, ""]}]},
                "AssertDescription": "Set it.",
            }
        ]
    }
    template = {
        "Metadata": {"FoundAtLaunch": ["Size"]},
        "Parameters": {"Size": {"Type": "String", "Default": ""}},
        "Rules": {"Sized": rule},
    }
    findings = validate(environment_file(), template)

    assert findings.problems == ()
    assert "Size is found at the launch" in " ".join(findings.unchecked)

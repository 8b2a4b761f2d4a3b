"""Rules are evaluated as AWS documents them; nothing is passed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.rules import RulesResult, Unknown, evaluate

VALUES: dict[str, Any] = {
    "Profile": "production",
    "Certificate": "",
    "Zones": ("a", "b"),
    "Days": "365",
    "Reported": Unknown(),
}


def judge(
    assertion: object, condition: object = None, message: str = "No."
) -> RulesResult:
    rule: dict[str, Any] = {
        "Assertions": [{"Assert": assertion, "AssertDescription": message}]
    }
    if condition is not None:
        rule["RuleCondition"] = condition
    return evaluate({"Rules": {"R": rule}}, VALUES, "parent")


def holds(assertion: object) -> bool | None:
    """Whether an assertion holds; None when it is unknown."""
    verdict = judge(assertion)
    assert verdict.problems == ()
    if verdict.unchecked:
        return None
    return not verdict.broken


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def equals(left: object, right: object) -> dict[str, Any]:
    return {"Fn::Equals": [left, right]}


TRUE, FALSE = equals("a", "a"), equals("a", "b")
UNKNOWN = equals({"Ref": "AWS::Region"}, "eu-central-1")


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        (equals(ref("Profile"), "production"), True),
        (equals(ref("Profile"), "Production"), False),
        (equals(ref("Days"), 365), True),
        ({"Fn::Equals": [True, "true"]}, True),
        (equals(ref("Zones"), ["a", "b"]), True),
        (equals(ref("Zones"), ["a"]), False),
        (equals([], []), True),
        ({"Fn::Not": [FALSE]}, True),
        ({"Fn::Not": [TRUE]}, False),
        ({"Fn::And": [TRUE, TRUE]}, True),
        ({"Fn::And": [TRUE, FALSE]}, False),
        ({"Fn::Or": [FALSE, TRUE]}, True),
        ({"Fn::Or": [FALSE, FALSE]}, False),
        ({"Fn::Contains": [["365", "400"], ref("Days")]}, True),
        ({"Fn::Contains": [[365, 400], ref("Days")]}, True),
        ({"Fn::Contains": [["30"], ref("Days")]}, False),
        ({"Fn::Contains": [ref("Zones"), "b"]}, True),
        ({"Fn::Contains": [[], "b"]}, False),
    ],
)
def test_functions_follow_the_documentation_of_aws(
    assertion: object, *, expected: bool
) -> None:
    assert holds(assertion) is expected


@pytest.mark.parametrize(
    "assertion",
    [
        UNKNOWN,
        {"Fn::Not": [UNKNOWN]},
        {"Fn::And": [TRUE, UNKNOWN]},
        {"Fn::Or": [FALSE, UNKNOWN]},
        {"Fn::Contains": [[ref("AWS::Region")], "x"]},
    ],
)
def test_assertion_about_unknown_values_is_unchecked(
    assertion: object,
) -> None:
    verdict = judge(assertion, message="Subnets lie in the VPC.")

    assert (verdict.broken, verdict.problems) == ((), ())
    (unchecked,) = verdict.unchecked
    assert unchecked.rule == "R"
    assert unchecked.message == "Subnets lie in the VPC."
    assert "known" in unchecked.reason


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        ({"Fn::And": [FALSE, UNKNOWN]}, False),
        ({"Fn::And": [UNKNOWN, FALSE]}, False),
        ({"Fn::Or": [UNKNOWN, TRUE]}, True),
        ({"Fn::Contains": [[ref("AWS::Region"), "x"], "x"]}, True),
    ],
)
def test_known_part_decides_where_it_can(assertion: object, *, expected: bool) -> None:
    assert holds(assertion) is expected


def test_reported_value_is_not_reported_again() -> None:
    verdict = judge(equals(ref("Reported"), "x"))

    assert verdict == RulesResult(broken=(), unchecked=(), problems=())


def test_a_rule_applies_only_where_its_condition_holds() -> None:
    assert judge(FALSE, condition=FALSE).broken == ()
    assert judge(FALSE, condition=TRUE).broken != ()
    assert judge(FALSE, condition=UNKNOWN).broken == ()
    assert judge(FALSE, condition=UNKNOWN).unchecked != ()
    assert judge(TRUE, condition=UNKNOWN).unchecked == ()


def test_broken_rule_names_its_parameters() -> None:
    verdict = judge(
        {"Fn::Not": [equals(ref("Certificate"), "")]},
        condition=equals(ref("Profile"), "production"),
        message="Production needs a certificate.",
    )

    (broken,) = verdict.broken
    assert broken.message == "Production needs a certificate."
    assert broken.reads == ("Profile", "Certificate")


def test_every_assertion_of_a_rule_is_judged_by_itself() -> None:
    rule = {
        "Assertions": [
            {"Assert": equals(ref("Days"), "1"), "AssertDescription": "first"},
            {"Assert": TRUE, "AssertDescription": "second"},
            {"Assert": equals(ref("Profile"), "x"), "AssertDescription": "third"},
        ]
    }
    verdict = evaluate({"Rules": {"R": rule}}, VALUES, "parent")

    assert [(violation.message, violation.reads) for violation in verdict.broken] == [
        ("first", ("Days",)),
        ("third", ("Profile",)),
    ]


@pytest.mark.parametrize(
    ("assertion", "what", "remedy"),
    [
        ({"Fn::If": ["C", "a", "b"]}, "Fn::If is not evaluated in Rules.", "Write one"),
        ({"Condition": "C"}, "Condition is not evaluated in Rules.", "Fn::And"),
        ({"Fn::Contain": [[], ""]}, "Fn::Contain is not", "Fn::Contains,"),
        (equals({"Fn::Join": ["", []]}, ""), "Fn::Join is not evaluated", "Ref"),
        (equals(ref("Profil"), ""), 'Ref names "Profil"', "Did you mean Profile?"),
        ({"Fn::ValueOf": ["Zones", "VpcId"]}, "Fn::ValueOf is not evaluated", "Ref"),
        ({"Fn::EachMemberIn": [[], []]}, "Fn::EachMemberIn is not", "Fn::Contains"),
        (ref("Zones"), "another kind of function", "Fn::And"),
        (equals(TRUE, "true"), "another kind of function", "Ref"),
        ({"Fn::And": [TRUE]}, "Fn::And has 1 conditions.", "2 to 10"),
        ({"Fn::Or": [TRUE] * 11}, "Fn::Or has 11 conditions.", "2 to 10"),
        ({"Fn::Not": TRUE}, "Fn::Not has {", "Give it a list of 1."),
        ({"Fn::Equals": ["a"]}, 'Fn::Equals has ["a"]', "Give it a list of 2."),
        (equals(ref("Zones"), ""), "compares a list with a text", "Fn::Contains"),
        ({"Fn::Contains": ["a", "a"]}, "a text where a list belongs", "a list"),
        ({"Fn::Contains": [["a"], ref("Zones")]}, "a list where a text", "one text"),
        ({"Fn::Contains": [[["a"]], "a"]}, "A list has a list", "one text"),
        (True, "true stands where a function belongs.", "Fn::Equals"),
        ({**TRUE, **ref("Days")}, "stands where a function belongs.", "Write one of"),
        (equals(None, "a"), "null stands where a function belongs.", "Ref"),
    ],
)
def test_unsupported_expression_is_an_error(
    assertion: object, what: str, remedy: str
) -> None:
    # Also where the condition does not hold: CloudFormation refuses the template.
    for condition in (None, FALSE):
        (problem,) = judge(assertion, condition=condition).problems
        assert problem.where == "parent Rules.R"
        assert what in problem.what
        assert remedy in problem.remedy


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({}, "The rule asserts nothing."),
        ({"Assertions": []}, "The rule asserts nothing."),
        ({"Assertion": []}, "A rule has no Assertion."),
        ({"Assertions": [{}]}, "{} is no assertion."),
        ({"Assertions": [{"Asser": TRUE}]}, "An assertion has no Asser."),
        ({"Assertions": [{"Assert": TRUE, "AssertDescription": 1}]}, "no assertion."),
        ({"Assertions": ["x"]}, '"x" is no object.'),
        ([], "[] is no object."),
    ],
)
def test_a_rule_of_the_wrong_shape_is_an_error(rule: object, what: str) -> None:
    (problem,) = evaluate({"Rules": {"R": rule}}, VALUES, "parent").problems

    assert what in problem.what


EXPRESSIONS = st.recursive(
    st.sampled_from([TRUE, FALSE, UNKNOWN]),
    lambda inner: st.one_of(
        inner.map(lambda condition: {"Fn::Not": [condition]}),
        st.lists(inner, min_size=2, max_size=4).map(lambda all_: {"Fn::And": all_}),
        st.lists(inner, min_size=2, max_size=4).map(lambda all_: {"Fn::Or": all_}),
    ),
)


def replaced(expression: Any, by: object) -> Any:
    if expression is UNKNOWN or expression == UNKNOWN:
        return by
    if expression in (TRUE, FALSE):
        return expression
    ((function, parts),) = expression.items()
    return {function: [replaced(part, by) for part in parts]}


@given(EXPRESSIONS)
def test_result_is_unknown_only_if_both_answers_are_possible(expression: Any) -> None:
    verdict = holds(expression)

    if verdict is not None:
        for answer in (TRUE, FALSE):
            assert holds(replaced(expression, answer)) is verdict

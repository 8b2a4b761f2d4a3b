"""One value against its definition, with CloudFormation's semantics."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.constraints import definition_faults, elements, value_faults
from compiler.wiring import Value
from templates import types

CIDR = types.Cidr.rules | {"Type": "String"}


def said(definition: dict[str, Any], value: str) -> list[str]:
    return [f"{f.what} {f.why} {f.remedy}" for f in value_faults(definition, value)]


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ({"Type": "String"}, ""),
        ({"Type": "String", "AllowedPattern": "a|bc"}, "bc"),
        ({"Type": "String", "AllowedPattern": "^[a-z]+$"}, "abc"),
        ({"Type": "String", "AllowedValues": ["", "a"]}, ""),
        ({"Type": "String", "MinLength": "2", "MaxLength": 2}, "ab"),
        ({"Type": "String", "MaxLength": 2}, "😀"),
        ({"Type": "Number", "MinValue": 0.5, "MaxValue": "4"}, "0.5"),
        ({"Type": "Number", "AllowedValues": [2, 3]}, "3"),
        ({"Type": "Number", "MinValue": -3}, "-2.5"),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "[a-c]"}, "a, b ,c"),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "b,a,b"),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "a?"}, ""),
        ({"Type": "String"}, "x" * 4096),
    ],
)
def test_value_that_cloudformation_accepts_is_accepted(
    definition: dict[str, Any], value: str
) -> None:
    assert not list(definition_faults(definition))
    assert said(definition, value) == []


@pytest.mark.parametrize(
    ("definition", "value", "words"),
    [
        (CIDR, "10.0.0.0", "does not match"),
        (CIDR, "10.0.0.0", "An IPv4 block such as 10.0.0.0/16."),
        # Java's matches() takes the whole value; a search would find a part.
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "abc1", "the whole value"),
        ({"Type": "String", "AllowedPattern": "^[a-z]+$"}, "abc\n", "does not match"),
        # Java's \d knows ASCII digits only.
        ({"Type": "String", "AllowedPattern": r"\d"}, "٣", "does not match"),
        ({"Type": "String", "AllowedValues": ["true", "false"]}, "True", "Did you mea"),
        ({"Type": "String", "MinLength": 1}, "", "Write 1 or more."),
        ({"Type": "String", "MaxLength": 1}, "😀", "has 2 characters."),
        ({"Type": "Number", "MinValue": 1}, "0", "Write 1 or more."),
        ({"Type": "Number", "MaxValue": 0.5}, "0.6", "Write 0.5 or less."),
        ({"Type": "Number", "AllowedValues": [2, 3]}, "4", "Write one of 2, 3."),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "[a-c]"}, "a,d", '"d" does'),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "[a-c]"}, "a,", '"" does'),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a"]}, "a,b", '"b" is not'),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "a?"}, " ", "is blank"),
        ({"Type": "String"}, "x" * 4097, "has 4,097 bytes."),
        ({"Type": "String"}, "é" * 2049, "has 4,098 bytes."),
    ],
)
def test_value_that_cloudformation_refuses_has_a_remedy(
    definition: dict[str, Any], value: str, words: str
) -> None:
    (message,) = said(definition, value)

    assert words in message


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("01", "1"),
        ("+1", "1"),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        (" -0 ", "0"),
        ("NaN", "digits"),
        ("1e999999999", "digits"),
    ],
)
def test_number_in_another_notation_gets_the_plain_one(value: str, plain: str) -> None:
    (message,) = said({"Type": "Number"}, value)

    assert f"Write {plain}" in message


@pytest.mark.parametrize(
    "value",
    [*("", "x", "1e3", "0x10", "01", "+1", "1.", ".5", " 1", "1 ", "-0", "1.0", "1,5")],
)
def test_number_has_one_notation(value: str) -> None:
    # Rules compare text: "01" would pass MinValue 1 and be no "1" to them.
    assert "is not a plain number" in said({"Type": "Number"}, value)[0]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"Type": "AWS::EC2::VPC::Id"}, "not checked for the type AWS::EC2::VPC::Id"),
        ({"Type": "String", "MinValue": 1}, "does not check MinValue of a String"),
        ({"Type": "Number", "AllowedPattern": "1"}, "does not check AllowedPattern"),
        ({"Type": "String", "AllowedPattern": r"[a-z&&[^b]]"}, "differently"),
        ({"Type": "String", "AllowedPattern": r"(?P<a>b)"}, "differently"),
        ({"Type": "String", "AllowedPattern": r"(?<a>b)"}, "differently"),
        ({"Type": "String", "AllowedPattern": r"\p{Alpha}"}, "differently"),
        ({"Type": "String", "AllowedPattern": r"a\Z"}, "differently"),
        ({"Type": "String", "AllowedPattern": r"("}, "differently"),
        ({"Type": "String", "AllowedPattern": r"[a--b]"}, "differently"),
    ],
)
def test_definition_that_cannot_be_checked_is_refused(
    definition: dict[str, Any], words: str
) -> None:
    assert any(words in fault.what for fault in definition_faults(definition))


def test_every_parameter_type_of_the_templates_can_be_checked() -> None:
    for kind in vars(types).values():
        if isinstance(kind, type) and issubclass(kind, Value):
            assert not list(definition_faults({"Type": kind.type} | kind.rules)), kind


PATTERNS = sorted(
    {
        kind.rules["AllowedPattern"]
        for kind in vars(types).values()
        if isinstance(kind, type)
        and issubclass(kind, Value)
        and kind.type == "String"
        and "AllowedPattern" in kind.rules
    }
)


@given(st.data())
def test_text_is_accepted_only_if_it_matches_entirely(
    data: st.DataObject,
) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    like = st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
    value = data.draw(like)
    spoilt = data.draw(st.sampled_from([value + "\n", value + " ", "\u0663" + value]))
    definition = {"Type": "String", "AllowedPattern": pattern}

    assert said(definition, value) == []
    matches = re.fullmatch(pattern, spoilt, re.ASCII) is not None
    assert (said(definition, spoilt) == []) is matches


@given(st.data())
def test_number_is_accepted_only_within_bounds(
    data: st.DataObject,
) -> None:
    numbers = st.decimals(-9999, 9999, places=1) | st.integers(-9999, 9999)
    least, most, value = (data.draw(numbers) for _ in range(3))
    definition = {"Type": "Number", "MinValue": str(least), "MaxValue": str(most)}
    spelt = f"{Decimal(value).normalize() + 0:f}"

    is_within = least <= value <= most
    assert (said(definition, spelt) == []) is is_within


@given(st.lists(st.text().filter(lambda text: "," not in text), min_size=1))
def test_a_list_has_one_element_more_than_commas(texts: list[str]) -> None:
    assert elements(",".join(texts)) == tuple(text.strip() for text in texts)

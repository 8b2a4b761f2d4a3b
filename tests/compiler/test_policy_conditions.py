import pytest
from awacs.aws import ArnLike, StringLike

from compiler.policy_conditions import all_of


def test_tests_of_one_operator_must_all_hold() -> None:
    condition = all_of(
        [
            StringLike("aws:tag", "a*"),
            ArnLike("aws:arn", "b*"),
            StringLike("kms:via", "c"),
        ]
    )
    assert condition.JSONrepr() == {
        "StringLike": {"aws:tag": "a*", "kms:via": "c"},
        "ArnLike": {"aws:arn": "b*"},
    }


def test_condition_key_is_tested_once() -> None:
    with pytest.raises(
        ValueError, match="StringLike has the condition key aws:tag twice"
    ):
        all_of([StringLike("aws:tag", "a"), StringLike("aws:tag", "b")])

"""Stacks that cannot be checked: one clear line each, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from acceptance.aws.environment import launched
from cli.errors import (
    AwsError,
    Denied,
    ExitCode,
    Failure,
    Problem,
)
from deploy.aws import Aws
from tests.acceptance.aws.recorded import RecordedAws

STACK = {
    "StackId": "arn:aws:cloudformation:::stack/airflow-dev/1",
    "StackName": "airflow-dev",
    "StackStatus": "CREATE_COMPLETE",
    "Outputs": [
        {"OutputKey": "Version", "OutputValue": "2"},
        {"OutputKey": "WebUrl", "OutputValue": "https://a.example/"},
    ],
}
MISSING = AwsError(
    Problem(where="Stack airflow-dev", what="Stack does not exist"),
    code="ValidationError",
    message="Stack with id airflow-dev does not exist",
)
DENIED = Denied(Problem(where="*", what="x may not cloudformation:DescribeStacks."))


def stack(**changes: Any) -> dict[str, Any]:
    return {"Stacks": [{**STACK, **changes}]}


def launch(answer: Any) -> tuple[RecordedAws, Any]:
    aws = RecordedAws()
    aws.answers = {"cloudformation:describe_stacks": answer}
    environment = launched(
        cast(Aws, aws), "dev", "airflow-dev", project=Path(), version="2"
    )
    return aws, environment


def test_complete_stack_of_this_version_is_taken() -> None:
    _, environment = launch(stack())

    assert environment.url == "https://a.example"


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (MISSING, ExitCode.USAGE, "There is no stack of that name in eu-central-1."),
        (
            stack(StackStatus="CREATE_IN_PROGRESS"),
            ExitCode.REFUSED,
            "It is CREATE_IN_PROGRESS, so there is nothing complete to check.",
        ),
        (
            stack(StackStatus="ROLLBACK_COMPLETE", StackStatusReason="Why."),
            ExitCode.REFUSED,
            "It is ROLLBACK_COMPLETE, so there is nothing complete to check. Why.",
        ),
        (
            stack(Outputs=[{"OutputKey": "Version", "OutputValue": "1"}]),
            ExitCode.REFUSED,
            "It is 1, and this checkout is 2.",
        ),
        (DENIED, ExitCode.UNABLE, "x may not cloudformation:DescribeStacks."),
    ],
    ids=["none", "half created", "rolled back", "older", "no rights"],
)
def test_stack_that_cannot_be_checked_is_one_line(
    answer: Any, code: ExitCode, text: str
) -> None:
    with pytest.raises(Failure) as failed:
        launch(answer)

    (problem,) = failed.value.problems
    assert failed.value.exit_code == code
    assert text in str(problem)
    assert "\n" not in str(problem)

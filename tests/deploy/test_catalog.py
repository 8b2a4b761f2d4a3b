"""Versions of the product are added and deprecated, never edited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cli.errors import Denied, ExitCode, Failure, Problem, UsageError
from deploy import catalog
from deploy.catalog import CatalogVersion, offer, release
from tests.deploy.fakes import (
    BEGINNING,
    REGION,
    FakeAws,
    described,
    dist,
    error,
    histories,
    row,
    stack_id,
)

NAME = "airflow-catalog-dev"
SET = "arn:aws:cloudformation:::changeSet/build/1"
ROLE = "arn:aws:iam::111122223333:role/Launch"


def version(number: int, **more: Any) -> dict[str, Any]:
    return {
        "Id": f"pa-{number}",
        "Name": f"v{number}",
        "CreatedTime": BEGINNING + timedelta(days=number),
        "Active": True,
        "Guidance": "DEFAULT",
        **more,
    }


def account(*versions: dict[str, Any], is_new: bool = False, **more: Any) -> FakeAws:
    there = described(
        NAME,
        "CREATE_COMPLETE",
        Outputs=[
            {"OutputKey": "ProductId", "OutputValue": "prod-1"},
            {"OutputKey": "LaunchRoleArn", "OutputValue": ROLE},
        ],
        Parameters=[
            {"ParameterKey": "FirstVersionName", "ParameterValue": "v0"},
            {"ParameterKey": "FirstVersionUrl", "ParameterValue": "https://first"},
        ],
    )
    missing = error("ValidationError", "Stack does not exist")
    begun = [row(1, NAME, NAME, "CREATE_IN_PROGRESS")]
    ended = [row(2, NAME, NAME, "CREATE_COMPLETE")]
    aws = FakeAws(
        **{
            "head_bucket": {"BucketRegion": REGION},
            "head_object": {},
            "get_bucket_policy": {"Policy": "TlsOnly"},
            "describe_stacks": [missing, missing, there] if is_new else there,
            "get_template": {"TemplateBody": {"Resources": {}}},
            "create_change_set": {"Id": SET, "StackId": stack_id(NAME)},
            "describe_change_set": {
                "Status": "CREATE_COMPLETE",
                "ChangeSetId": SET,
                "StackId": stack_id(NAME),
            }
            if is_new
            else {"Status": "FAILED", "StatusReason": "didn't contain changes"},
            "delete_change_set": {},
            "execute_change_set": {},
            "list_provisioning_artifacts": {
                "ProvisioningArtifactDetails": list(versions)
            },
            "describe_provisioning_artifact": {"Info": {"TemplateUrl": "https://x"}},
            "create_provisioning_artifact": {},
            "update_provisioning_artifact": {},
            "simulate_principal_policy": {"EvaluationResults": []},
            **more,
        }
    )

    def history(**options: Any) -> dict[str, Any]:
        is_begun = aws.parameters("execute_change_set")
        return histories(*begun, *(ended if is_begun else ()))(**options)

    aws.answers["describe_stack_events"] = history
    return aws


def offered(aws: FakeAws, **options: Any) -> ExitCode:
    built = dist()
    return offer(
        aws,
        built,
        built.environment("dev", NAME),
        **{
            "bucket": None,
            "version": "v9",
            "keep": 3,
            "parameters": {},
            "dry_run": False,
            "yes": True,
            **options,
        },
    )


def known(*versions: dict[str, Any]) -> list[CatalogVersion]:
    return [
        CatalogVersion(v["Id"], v["Name"], v["CreatedTime"], v["Guidance"], v["Active"])
        for v in versions
    ]


def test_a_new_version_is_added_and_the_oldest_are_deprecated() -> None:
    aws = account(*(version(n) for n in (3, 1, 2)))
    assert offered(aws) is ExitCode.OK
    added = aws.parameters("create_provisioning_artifact")
    assert [a["Parameters"]["Name"] for a in added] == ["v9"]
    url = added[0]["Parameters"]["Info"]["LoadTemplateFromURL"]
    assert url.startswith("https://airflow-on-fargate-111122223333-eu-central-1.s3.")
    assert aws.parameters("update_provisioning_artifact") == [
        {
            "ProductId": "prod-1",
            "ProvisioningArtifactId": "pa-1",
            "Guidance": "DEPRECATED",
        }
    ]


def test_no_version_is_ever_edited_or_deleted() -> None:
    """A launched version must not change."""
    aws = account(version(9), *(version(n) for n in range(1, 6)))
    offered(aws)
    assert aws.parameters("create_provisioning_artifact") == []
    for update in aws.parameters("update_provisioning_artifact"):
        assert set(update) == {"ProductId", "ProvisioningArtifactId", "Guidance"}
    assert "delete_provisioning_artifact" not in {name for name, _ in aws.requests}


def test_first_release_creates_the_product_with_its_version() -> None:
    aws = account(is_new=True)
    assert offered(aws) is ExitCode.OK
    parameters = aws.parameters("create_change_set")[0]
    assert parameters["Parameters"] == [
        {"ParameterKey": "FirstVersionName", "ParameterValue": "v9"}
    ]
    assert "service-catalog" in parameters["TemplateURL"]
    assert aws.parameters("create_provisioning_artifact") == []


def test_plan_of_the_portfolio_has_the_purposes_of_its_resources(
    capsys: pytest.CaptureFixture[str],
) -> None:
    added = {
        "Action": "Add",
        "LogicalResourceId": "Portfolio",
        "ResourceType": "AWS::ServiceCatalog::Portfolio",
    }
    there = {
        "Status": "CREATE_COMPLETE",
        "ChangeSetId": SET,
        "StackId": stack_id(NAME),
        "Changes": [{"ResourceChange": added}],
    }
    offered(account(is_new=True, describe_change_set=there))
    assert "Users find it here." in capsys.readouterr().out


def test_update_keeps_the_first_version() -> None:
    """CloudFormation deletes a version whose name or address changes."""
    aws = account(version(1))
    offered(aws, parameters={"LauncherArn": "arn:aws:iam:::role/Data"})
    assert aws.parameters("create_change_set")[0]["Parameters"] == [
        {"ParameterKey": "FirstVersionName", "ParameterValue": "v0"},
        {"ParameterKey": "FirstVersionUrl", "ParameterValue": "https://first"},
        {"ParameterKey": "LauncherArn", "ParameterValue": "arn:aws:iam:::role/Data"},
    ]


@pytest.mark.parametrize("name", ["FirstVersionUrl", "Nothing"])
def test_unknown_parameter_of_the_portfolio_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="It has: LauncherArn"):
        offered(account(version(1)), parameters={name: "x"})


def test_a_dry_run_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    aws = account(*(version(n) for n in (1, 2, 3)))
    offered(aws, dry_run=True)
    output = capsys.readouterr().err
    assert "Would add version v9" in output
    assert "Would deprecate version v1" in output
    changing = ("execute", "create_prov", "update_prov", "put_")
    assert not [n for n, _ in aws.requests if n.startswith(changing)]


def test_a_dry_run_of_a_first_release_leaves_nothing() -> None:
    aws = account(is_new=True)
    aws.answers["describe_stacks"] = error("ValidationError", "does not exist")
    aws.answers["list_change_sets"] = {"Summaries": []}
    assert offered(aws, dry_run=True) is ExitCode.OK
    assert aws.parameters("execute_change_set") == []
    assert len(aws.parameters("delete_change_set")) == 1


def test_the_stack_is_updated_before_a_version_is_added() -> None:
    """The launch role has to be able to do what the new version takes."""
    aws = account(version(1))
    offered(aws)
    order = [name for name, _ in aws.requests]
    assert order.index("create_change_set") < order.index(
        "create_provisioning_artifact"
    )


def test_launch_role_without_access_to_a_template_is_a_failure() -> None:
    barred = {
        "EvaluationResults": [
            {"EvalResourceName": "arn:x", "EvalDecision": "implicitDeny"}
        ]
    }
    with pytest.raises(Failure, match="cannot read it"):
        offered(account(version(1), simulate_principal_policy=barred))


def test_denied_check_of_the_launch_role_is_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    denied = Denied(Problem(where="iam", what="no"))
    aws = account(version(1), simulate_principal_policy=denied)
    assert offered(aws) is ExitCode.OK
    assert "Not checked" in capsys.readouterr().err


def test_versions_beyond_a_page_are_counted() -> None:
    aws = account()
    aws.answers["list_provisioning_artifacts"] = [
        {"ProvisioningArtifactDetails": [version(1)], "NextPageToken": "more"},
        {"ProvisioningArtifactDetails": [version(2), version(3)]},
    ]
    offered(aws)
    assert len(aws.parameters("update_provisioning_artifact")) == 1
    assert aws.parameters("list_provisioning_artifacts")[1]["PageToken"] == "more"


def test_deprecated_versions_are_not_counted() -> None:
    old = [version(n, Guidance="DEPRECATED") for n in (1, 2)]
    assert release("v9", known(*old, version(3)), keep=2).deprecated == ()


def test_the_same_release_again_changes_nothing() -> None:
    again = release("v3", known(version(1), version(2), version(3)), keep=3)
    assert again.exists
    assert again.deprecated == ()


def test_version_name_with_spaces_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        offered(account(version(1)), version="my version")


def test_the_same_content_gets_the_same_name() -> None:
    aws = account(version(1))
    offered(aws, version=None)
    name = aws.parameters("create_provisioning_artifact")[0]["Parameters"]["Name"]
    assert name.startswith("build-")
    assert catalog.VERSION.fullmatch(name)

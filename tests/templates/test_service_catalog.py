"""The product, who may launch it, and as whom."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cli import product
from compiler.launch_permissions import LONGEST, POLICIES_PER_ROLE, POLICY_CHARACTERS
from compiler.values import ASSET_BUCKET
from compiler.wiring import Build, Template
from templates import parent as parent_page
from templates import service_catalog
from tests.resolver import Stack, deploy

BOUNDARY = "arn:aws:iam::123456789012:policy/Boundary"
EXTRA = "arn:aws:iam::123456789012:policy/ReadTheLake"


@pytest.fixture(scope="module")
def parent() -> Template:
    return Build(product.assets()).root(parent_page.define)


@pytest.fixture(scope="module")
def document(parent: Template) -> dict[str, Any]:
    compiled = Build().root(service_catalog.define_for(parent))
    assert compiled.path == "service-catalog.template.json"
    return compiled.document


def resources(document: dict[str, Any], **given: str) -> dict[str, dict[str, Any]]:
    return deploy(document, {}, given, name="catalog").resources


def of_type(document: dict[str, Any], name: str, **given: str) -> list[dict[str, Any]]:
    made = resources(document, **given).values()
    return [resource for resource in made if resource["Type"].endswith(f"::{name}")]


def statements(document: dict[str, Any], **given: str) -> list[dict[str, Any]]:
    return [
        statement
        for policy in of_type(document, "ManagedPolicy", **given)
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


# The product and its versions.


def test_the_first_version_is_the_published_parent(
    document: dict[str, Any], parent: Template
) -> None:
    # Publishing rewrites the default, like every TemplateURL.
    assert document["Parameters"]["FirstVersionUrl"]["Default"] == parent.path
    (product,) = of_type(document, "CloudFormationProduct")
    (version,) = product["Properties"]["ProvisioningArtifactParameters"]
    assert version["Info"] == {"LoadTemplateFromURL": parent.path}
    assert " " not in version["Name"]


def test_a_new_release_leaves_the_first_version_as_it_is(
    document: dict[str, Any],
) -> None:
    # CloudFormation deletes a version whose name or URL changes, launched or not.
    # Both are parameters, and an update keeps the values of parameters.
    (version,) = document["Resources"]["Product"]["Properties"][
        "ProvisioningArtifactParameters"
    ]
    assert version["Name"] == {"Ref": "FirstVersionName"}
    assert version["Info"]["LoadTemplateFromURL"] == {"Ref": "FirstVersionUrl"}
    (product,) = of_type(document, "CloudFormationProduct")
    assert product["Properties"]["ReplaceProvisioningArtifacts"] is False


def test_the_form_refuses_what_the_parent_refuses(
    document: dict[str, Any], parent: Template
) -> None:
    (constraint,) = of_type(document, "LaunchTemplateConstraint")
    assert json.loads(constraint["Properties"]["Rules"]) == parent.document["Rules"]


def test_constraints_wait_for_the_product_to_be_in_the_portfolio(
    document: dict[str, Any],
) -> None:
    # Service Catalog refuses a constraint on a product that the portfolio lacks.
    constraints = {
        name: resource
        for name, resource in document["Resources"].items()
        if resource["Type"].endswith("Constraint")
    }
    assert len(constraints) == 3
    for name, resource in constraints.items():
        assert resource["DependsOn"] == "ProductInPortfolio", name


# Who may launch.


def test_nobody_may_launch_until_somebody_is_named(document: dict[str, Any]) -> None:
    assert not of_type(document, "PortfolioPrincipalAssociation")


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:iam::123456789012:role/Data", "IAM"),
        ("arn:aws:iam:::role/Data*", "IAM_PATTERN"),
    ],
)
def test_a_principal_without_an_account_is_a_pattern(
    document: dict[str, Any], arn: str, kind: str
) -> None:
    pattern = document["Parameters"]["LauncherArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, arn)
    (launcher,) = of_type(document, "PortfolioPrincipalAssociation", LauncherArn=arn)
    assert launcher["Properties"]["PrincipalType"] == kind


def test_a_tag_has_key_and_value(document: dict[str, Any]) -> None:
    stack = Stack((), document, {"TagKey": "", "TagValue": ""}, {}, "catalog")
    (rule,) = document["Rules"]["ATagHasKeyAndValue"]["Assertions"]
    for key, value, holds in (("", "", 1), ("a", "b", 1), ("a", "", 0), ("", "b", 0)):
        stack.parameters = {"TagKey": key, "TagValue": value}
        assert stack.resolve(rule["Assert"]) is bool(holds)
    assert not of_type(document, "TagOption")
    assert of_type(document, "TagOption", TagKey="team", TagValue="data")


# As whom.


def test_only_service_catalog_can_assume_the_launch_role(
    document: dict[str, Any],
) -> None:
    (role,) = of_type(document, "Role")
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "servicecatalog.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole"]
    assert trust["Condition"] == {
        "StringEqualsIfExists": {"aws:SourceAccount": "123456789012"}
    }
    (constraint,) = of_type(document, "LaunchRoleConstraint")
    assert constraint["Properties"]["RoleArn"] == "<LaunchRole.Arn>"


def test_the_launch_role_stays_within_iam_s_quotas(document: dict[str, Any]) -> None:
    given = {"RoleBoundaryArn": BOUNDARY, "ExtraPolicyArns": EXTRA}
    (role,) = of_type(document, "Role", **given)
    assert len(role["Properties"]["ManagedPolicyArns"]) <= POLICIES_PER_ROLE
    for policy in of_type(document, "ManagedPolicy", **given):
        text = json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"))
        text = text.replace("bucket-named-at-publish", LONGEST["${Bucket}"])
        assert len(text) <= POLICY_CHARACTERS


def test_the_policy_of_given_arns_cannot_outgrow_its_quota(
    document: dict[str, Any],
) -> None:
    # A parameter has at most 4,096 characters, and each ARN adds three in JSON.
    shortest = "arn:aws:iam::aws:policy/A"
    longest = ",".join([shortest] * (4096 // (len(shortest) + 1)))
    policies = resources(document, ExtraPolicyArns=longest)
    extra = policies["ExtraPolicy"]["Properties"]["PolicyDocument"]
    assert len(json.dumps(extra, separators=(",", ":"))) <= POLICY_CHARACTERS


def test_roles_are_passed_to_named_services_only(document: dict[str, Any]) -> None:
    # Control 126.
    passing = [s for s in statements(document) if "iam:PassRole" in s["Action"]]
    assert passing
    for statement in passing:
        assert statement["Condition"]["StringEquals"]["iam:PassedToService"]
        assert all(":role/SC-" in arn for arn in statement["Resource"])


def test_the_published_files_can_be_read_and_no_others(
    document: dict[str, Any],
) -> None:
    reading = [s for s in statements(document) if "s3:GetObject" in s["Action"]]
    assert [(s["Resource"], s.get("Condition")) for s in reading] == [
        ([f"arn:aws:s3:::{ASSET_BUCKET}/*"], None),
        (
            ["*"],
            {
                "StringEquals": {
                    "s3:ExistingObjectTag/servicecatalog:provisioning": "true"
                }
            },
        ),
    ]


def test_launched_roles_carry_the_boundary_where_one_is_given(
    document: dict[str, Any],
) -> None:
    # A launch writes its own policies: without a boundary they may allow anything.
    assert not [s for s in statements(document) if s["Effect"] == "Deny"]

    given = {"RoleBoundaryArn": BOUNDARY}
    (denied,) = (s for s in statements(document, **given) if s["Effect"] == "Deny")
    assert {"iam:CreateRole", "iam:PutRolePermissionsBoundary"} <= {*denied["Action"]}
    assert denied["Condition"] == {
        "StringNotEquals": {"iam:PermissionsBoundary": BOUNDARY}
    }
    (role,) = of_type(document, "Role", **given)
    assert "<BoundaryPolicy>" in role["Properties"]["ManagedPolicyArns"]
    assert not [
        s
        for s in statements(document, **given)
        if "iam:DeleteRolePermissionsBoundary" in s["Action"]
    ]


def test_every_launched_role_can_carry_the_boundary(parent: Template) -> None:
    # The launch role refuses to make one that cannot, in the middle of a launch.
    for page in parent.walk():
        for name, resource in page.document["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role":
                assert "PermissionsBoundary" in resource["Properties"], (
                    f"{page.name}.{name}"
                )


def test_only_policies_that_somebody_names_are_attached(
    document: dict[str, Any],
) -> None:
    def attachable(**given: str) -> set[str]:
        return {
            arn
            for statement in statements(document, **given)
            if "iam:AttachRolePolicy" in statement["Action"]
            for test in statement["Condition"].values()
            for arn in test["iam:PolicyARN"]
        }

    usual = attachable()
    assert "arn:aws:iam::aws:policy/AdministratorAccess" not in usual
    assert all("*" not in arn or ":policy/SC-123456789012-pp-" in arn for arn in usual)
    assert attachable(ExtraPolicyArns=EXTRA) == usual | {EXTRA}


def test_the_launch_role_carries_its_own_boundary_where_one_is_given(
    document: dict[str, Any],
) -> None:
    (role,) = of_type(document, "Role")
    assert "PermissionsBoundary" not in role["Properties"]
    (role,) = of_type(document, "Role", LaunchRoleBoundaryArn=BOUNDARY)
    assert role["Properties"]["PermissionsBoundary"] == BOUNDARY


def test_every_policy_says_why_it_reaches_as_far_as_it_does(
    document: dict[str, Any],
) -> None:
    why = document["Resources"]["SecretPolicy"]["Metadata"][
        "com.aws.cloudformation.Context"
    ]["why"]
    assert "secretsmanager: A secret's generated name" in why
    assert "kms:CreateKey on *: A key that is yet to be made has no ARN." in why

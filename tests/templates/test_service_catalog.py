"""The Service Catalog product, its users and its launch role."""

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


def resources(document: dict[str, Any], **parameters: str) -> dict[str, dict[str, Any]]:
    return deploy(document, {}, parameters, name="catalog").resources


def of_type(
    document: dict[str, Any], name: str, **parameters: str
) -> list[dict[str, Any]]:
    items = resources(document, **parameters).values()
    return [resource for resource in items if resource["Type"].endswith(f"::{name}")]


def statements(document: dict[str, Any], **parameters: str) -> list[dict[str, Any]]:
    """Return the statements of the policies of the launch role."""
    return [
        statement
        for name, policy in resources(document, **parameters).items()
        if policy["Type"].endswith("::ManagedPolicy") and name != "RoleBoundary"
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


# The product and its versions.


def test_first_version_is_the_published_parent(
    document: dict[str, Any], parent: Template
) -> None:
    # Publishing rewrites the default, like every TemplateURL.
    assert document["Parameters"]["FirstVersionUrl"]["Default"] == parent.path
    (product,) = of_type(document, "CloudFormationProduct")
    (version,) = product["Properties"]["ProvisioningArtifactParameters"]
    assert version["Info"] == {"LoadTemplateFromURL": parent.path}
    assert " " not in version["Name"]


def test_new_release_keeps_the_first_version(
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


def test_no_version_gets_the_rules_of_another(document: dict[str, Any]) -> None:
    # A template constraint applies to all versions: a rule with a new parameter would
    # stop every update of an older one.
    assert not of_type(document, "LaunchTemplateConstraint")


def test_constraints_depend_on_the_product_in_the_portfolio(
    document: dict[str, Any],
) -> None:
    # Service Catalog refuses a constraint on a product that the portfolio lacks.
    constraints = {
        name: resource
        for name, resource in document["Resources"].items()
        if resource["Type"].endswith("Constraint")
    }
    assert len(constraints) == 2
    for name, resource in constraints.items():
        assert resource["DependsOn"] == "ProductInPortfolio", name


# Its users.


def test_portfolio_has_no_user_by_default(document: dict[str, Any]) -> None:
    assert not of_type(document, "PortfolioPrincipalAssociation")


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:iam::123456789012:role/Data", "IAM"),
        ("arn:aws:iam:::role/Data*", "IAM_PATTERN"),
    ],
)
def test_principal_without_account_is_a_pattern(
    document: dict[str, Any], arn: str, kind: str
) -> None:
    pattern = document["Parameters"]["LauncherArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, arn)
    (launcher,) = of_type(document, "PortfolioPrincipalAssociation", LauncherArn=arn)
    assert launcher["Properties"]["PrincipalType"] == kind


def test_tag_of_launches_is_no_control_tag(document: dict[str, Any]) -> None:
    pattern = document["Parameters"]["TagKey"]["AllowedPattern"]
    keys = ["", "team", "airflows", "airflow:pool", "Airflow:Stack", "aws:x"]
    taken = [key for key in keys if re.search(pattern, key)]
    assert taken == ["", "team", "airflows"]


def test_tag_needs_key_and_value(document: dict[str, Any]) -> None:
    stack = Stack((), document, {"TagKey": "", "TagValue": ""}, {}, "catalog")
    (rule,) = document["Rules"]["ATagHasKeyAndValue"]["Assertions"]
    for key, value, holds in (("", "", 1), ("a", "b", 1), ("a", "", 0), ("", "b", 0)):
        stack.parameters = {"TagKey": key, "TagValue": value}
        assert stack.resolve(rule["Assert"]) is bool(holds)
    assert not of_type(document, "TagOption")
    assert of_type(document, "TagOption", TagKey="team", TagValue="data")


# Its launch role.


def test_launch_role_is_assumed_by_service_catalog_only(
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


def test_launch_role_stays_within_iam_quotas(document: dict[str, Any]) -> None:
    parameters = {"RoleBoundaryArn": BOUNDARY, "ExtraPolicyArns": EXTRA}
    (role,) = of_type(document, "Role", **parameters)
    assert len(role["Properties"]["ManagedPolicyArns"]) <= POLICIES_PER_ROLE
    for policy in of_type(document, "ManagedPolicy", **parameters):
        text = json.dumps(policy["Properties"]["PolicyDocument"], separators=(",", ":"))
        text = text.replace("bucket-named-at-publish", LONGEST["${Bucket}"])
        assert len(text) <= POLICY_CHARACTERS


def test_policy_of_extra_arns_stays_within_its_quota(
    document: dict[str, Any],
) -> None:
    # A parameter has at most 4,096 characters, and each ARN adds three in JSON.
    shortest = "arn:aws:iam::aws:policy/A"
    longest = ",".join([shortest] * (4096 // (len(shortest) + 1)))
    policies = resources(document, ExtraPolicyArns=longest)
    extra = policies["ExtraPolicy"]["Properties"]["PolicyDocument"]
    assert len(json.dumps(extra, separators=(",", ":"))) <= POLICY_CHARACTERS


def test_launch_role_passes_roles_to_named_services_only(
    document: dict[str, Any],
) -> None:
    passing = [s for s in statements(document) if "iam:PassRole" in s["Action"]]
    assert passing
    for statement in passing:
        assert statement["Condition"]["StringEquals"]["iam:PassedToService"]
        assert all(":role/SC-" in arn for arn in statement["Resource"])


def test_launch_role_reads_published_files_only(
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


@pytest.mark.parametrize(
    ("parameters", "boundary"),
    [({}, "<RoleBoundary>"), ({"RoleBoundaryArn": BOUNDARY}, BOUNDARY)],
)
def test_launched_roles_must_carry_the_boundary(
    document: dict[str, Any], parameters: dict[str, str], boundary: str
) -> None:
    # A launch writes its own policies: without a boundary they may allow anything.
    for statement in statements(document, **parameters):
        bounded = {"iam:CreateRole", "iam:AttachRolePolicy"} & {*statement["Action"]}
        if bounded:
            tests = statement["Condition"]["StringEquals"]
            assert tests["iam:PermissionsBoundary"] == boundary


def test_launch_role_attaches_named_policies_only(
    document: dict[str, Any],
) -> None:
    def attachable(**parameters: str) -> set[str]:
        return {
            arn
            for statement in statements(document, **parameters)
            if "iam:AttachRolePolicy" in statement["Action"]
            for test in statement["Condition"].values()
            for arn in test.get("iam:PolicyARN", ())
        }

    usual = attachable()
    assert "arn:aws:iam::aws:policy/AdministratorAccess" not in usual
    assert all("*" not in arn or ":policy/SC-123456789012-pp-" in arn for arn in usual)
    assert attachable(ExtraPolicyArns=EXTRA) == usual | {EXTRA}


def test_launch_role_carries_its_own_boundary(
    document: dict[str, Any],
) -> None:
    (role,) = of_type(document, "Role")
    assert "PermissionsBoundary" not in role["Properties"]
    (role,) = of_type(document, "Role", LaunchRoleBoundaryArn=BOUNDARY)
    assert role["Properties"]["PermissionsBoundary"] == BOUNDARY


def test_policies_explain_their_scope(
    document: dict[str, Any],
) -> None:
    def why(policy: str) -> str:
        metadata = document["Resources"][policy]["Metadata"]
        return str(metadata["com.aws.cloudformation.Context"]["why"])

    assert "secretsmanager: A secret's generated name" in why("SecretPolicy")
    assert "kms:CreateKey on *: A key has no ARN" in why("AnyResourcePolicy")


def test_one_policy_alone_reaches_every_resource(document: dict[str, Any]) -> None:
    reaching = {
        logical_id
        for logical_id, resource in resources(document).items()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if "*" in statement["Resource"]
    }
    # A boundary allows nothing by itself.
    assert reaching == {"AnyResourcePolicy", "RoleBoundary"}

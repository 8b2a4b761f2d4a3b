"""Permissions of a launch: every action, no others, on as few resources as possible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from awacs.aws import Action, Allow, Statement
from troposphere import (
    AWSObject,
    GetAtt,
    Join,
    Ref,
    Sub,
    athena,
    cloudformation,
    encode_to_dict,
    iam,
    kms,
    logs,
    sns,
)

from cli import product
from cloudformation import schemas
from compiler import handler_permissions
from compiler.handler_permissions import collect, text
from compiler.iam_scopes import (
    STACK_NAME_TAG,
    UNLISTED_PERMISSIONS,
    HandlerPermissions,
    LaunchScopes,
    further_actions,
)
from compiler.launch_permissions import (
    KEY_USES,
    POLICY_CHARACTERS,
    LaunchedTemplates,
    characters,
    check_count,
    check_size,
    owner_of,
    permissions_by_policy_group,
    required_permissions,
    service_of,
)
from compiler.wiring import Build, Template, WiringError
from templates import parent
from templates.resources.launch_scopes import LAUNCH_SCOPES
from tests.linter_data import linter_data

Policy = list[dict[str, Any]]

HANDLERS = LAUNCH_SCOPES.handlers
PREFIXES = {service.prefix for service in LAUNCH_SCOPES.services}

EXAMPLE = {
    "${AWS::Partition}": "aws",
    "${AWS::Region}": "eu-central-1",
    "${AWS::AccountId}": "123456789012",
    "${Partition}": "aws",
    "${Region}": "eu-central-1",
    "${Account}": "123456789012",
    "${Bucket}": "published",
    "${HostedZoneId}": "Z0123456789",
}

BOUNDARY = "arn:aws:iam::123456789012:policy/deployment/Boundary"


@pytest.fixture(scope="module")
def compiled_templates() -> list[Template]:
    """Everything that a launch nests."""
    return list(Build(product.assets()).root(parent.define).walk())


@pytest.fixture(scope="module")
def granted(compiled_templates: list[Template]) -> Policy:
    return documents(required_permissions(compiled_templates, LAUNCH_SCOPES, BOUNDARY))


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """IAM's own list of actions, and of the resources each is checked against."""
    return linter_data("AdditionalSpecs/Policies.json")


def launched(templates: list[Template]) -> LaunchedTemplates:
    return LaunchedTemplates([t.document for t in templates], LAUNCH_SCOPES)


def template_of(*resources: AWSObject) -> Template:
    """Return a compiled template of these resources."""
    template = Template("example", "An example.", "", Build(), is_root=True)
    for resource in resources:
        template.add(resource, "Part of an example.")
    template.document = template.to_dict()
    return template


def documents(statements: list[Statement]) -> Policy:
    """Return statements as IAM reads them, with example values filled in."""
    return [filled(encode_to_dict(statement)) for statement in statements]


def filled(value: Any) -> Any:
    match value:
        case {"Fn::Sub": [text, _]} | {"Fn::Sub": text}:
            for name, example in EXAMPLE.items():
                text = text.replace(name, example)
            return text
        case dict():
            return {key: filled(each) for key, each in value.items()}
        case list():
            return [filled(each) for each in value]
        case _:
            return value


def of(resources: list[AWSObject], scopes: LaunchScopes = LAUNCH_SCOPES) -> Policy:
    return documents(required_permissions([template_of(*resources)], scopes, BOUNDARY))


def allowing(action: str, policy: Policy) -> Policy:
    return [statement for statement in policy if action in statement["Action"]]


def each_action(policy: Policy) -> Iterator[tuple[str, dict[str, Any]]]:
    for statement in policy:
        for action in statement["Action"]:
            yield action, statement


def role(service: str, **properties: Any) -> iam.Role:
    trust = {"Effect": "Allow", "Principal": {"Service": service}}
    return iam.Role(
        "Role",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]},
        **properties,
    )


# The file of permissions.


@pytest.mark.slow
def test_file_agrees_with_the_schemas() -> None:
    # Run python -m compiler.handler_permissions, and read the diff.
    content = HANDLERS.source.read_text()
    assert json.loads(content) == collect(HANDLERS.always, further_actions())
    assert content == text(json.loads(content))


def test_file_has_exactly_the_types_of_the_templates(
    compiled_templates: list[Template],
) -> None:
    used = launched(compiled_templates).types
    assert sorted(HANDLERS.always) == list(used)


def test_type_missing_in_the_file_stops_the_build() -> None:
    with pytest.raises(WiringError) as refused:
        of([athena.WorkGroup("Queries", Name="q")])
    assert refused.value.remedy == (
        "Run python -m compiler.handler_permissions "
        "templates/resources/handler_permissions.json AWS::Athena::WorkGroup"
    )


@pytest.mark.slow
def test_a_type_is_added_and_dropped_by_command(tmp_path: Path) -> None:
    file = tmp_path / "permissions.json"

    handler_permissions.main([str(file), "AWS::SNS::Topic", "AWS::SNS::Subscription"])
    assert set(HandlerPermissions.read(file).always) == {
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
    }

    handler_permissions.main([str(file), "--drop", "AWS::SNS::Subscription"])
    assert set(HandlerPermissions.read(file).always) == {"AWS::SNS::Topic"}


@pytest.mark.slow
def test_a_type_without_known_permissions_is_refused() -> None:
    with pytest.raises(WiringError, match="lists no permissions"):
        collect(["AWS::CloudFormation::CustomResource"], [])


def test_a_misspelt_action_is_refused() -> None:
    with pytest.raises(WiringError, match="knows no kms:Decypt"):
        collect([], ["kms:Decypt"])


# Enough.


def test_every_action_of_a_provider_is_allowed_or_listed_as_never_called(
    compiled_templates: list[Template], granted: Policy
) -> None:
    # A launch that lacks one action fails after half an hour, and rolls back.
    allowed = {action for action, _ in each_action(granted)}
    templates = launched(compiled_templates)
    called = {
        action for name in templates.types for action in templates.actions_of(name)
    }
    called |= {action for need in templates.needs for action in need.actions}
    missing = {a for a in called - allowed if owner_of(a) in PREFIXES}
    assert missing <= LAUNCH_SCOPES.never_called.keys()


def test_every_action_reaches_a_resource_that_it_is_checked_against(
    granted: Policy, reference: dict[str, Any]
) -> None:
    # rds:DeleteDBCluster on arn:aws:s3:::... is valid JSON, and allows nothing.
    reaching = {
        action
        for action, statement in each_action(granted)
        if statement["Resource"] == ["*"]
        or any(
            overlaps(pattern, form)
            for pattern in statement["Resource"]
            for form in forms(action, reference)
        )
    }
    assert not {action for action, _ in each_action(granted)} - reaching


def forms(action: str, reference: dict[str, Any]) -> Iterator[str]:
    """Yield the ARNs that an action is checked against."""
    prefix, _, name = action.partition(":")
    service = reference[prefix]
    # The reference spells one resource in several ways: backup-plan, backupPlan.
    resources = {
        plain(kind): of["ARNFormats"] for kind, of in service["Resources"].items()
    }
    for kind in service["Actions"][name.lower()].get("Resources", ()):
        for form in resources[plain(kind)]:
            yield filled({"Fn::Sub": form})


def plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def overlaps(pattern: str, form: str) -> bool:
    """Whether some ARN of a form matches a pattern, as far as both are certain."""
    ours, theirs = pattern.partition("*")[0], form.partition(".*")[0]
    return ours.startswith(theirs) or theirs.startswith(ours)


def test_a_custom_resource_can_call_its_function() -> None:
    class Migration(cloudformation.CustomResource):
        resource_type = "Custom::Migration"

    migration = Migration("Migration", ServiceToken="function")
    (statement,) = allowing("lambda:InvokeFunction", of([migration]))
    assert statement["Resource"] == [
        "arn:aws:lambda:eu-central-1:123456789012:function:SC-123456789012-pp-*"
    ]


def test_the_templates_are_published_to_be_read(granted: Policy) -> None:
    (statement,) = allowing("s3:GetObject", granted)
    assert statement["Resource"] == ["arn:aws:s3:::published/*"]


# Not too much.


def test_only_actions_that_take_nothing_else_are_allowed_on_everything(
    granted: Policy, reference: dict[str, Any]
) -> None:
    for action, statement in each_action(granted):
        if statement["Resource"] == ["*"]:
            assert (
                not list(forms(action, reference))
                or action == "cloudformation:GetTemplateSummary"
            ), action


def test_a_change_to_everything_needs_its_reason() -> None:
    assert allowing("kms:CreateKey", of([kms.Key("Key")]))
    reasons = {**LAUNCH_SCOPES.without_resource}
    del reasons["kms:CreateKey"]
    with pytest.raises(WiringError, match="kms:CreateKey can be allowed on every"):
        of([kms.Key("Key")], replace(LAUNCH_SCOPES, without_resource=reasons))


def test_no_statement_allows_a_whole_service(granted: Policy) -> None:
    for action, _ in each_action(granted):
        assert re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z0-9]+", action)


def test_changes_are_limited_to_names_of_the_stack(granted: Policy) -> None:
    # Deleting another team's database takes one mistaken template otherwise.
    named = {
        "rds:DeleteDBCluster": ":cluster:sc-123456789012-pp-*",
        "s3:PutBucketPolicy": ":::sc-123456789012-pp-*",
        "iam:CreateRole": ":role/SC-123456789012-pp-*",
        "lambda:UpdateFunctionCode": ":function:SC-123456789012-pp-*",
        "ecs:DeleteService": ":service/SC-123456789012-pp-*",
        "cloudformation:DeleteStack": ":stack/SC-123456789012-pp-*",
        "sns:DeleteTopic": ":SC-123456789012-pp-*",
        "elasticloadbalancing:DeleteLoadBalancer": ":loadbalancer/app/SC-*",
    }
    for action, end in named.items():
        (statement,) = allowing(action, granted)
        kind = end.rpartition("SC-" if "SC-" in end else "sc-")[0]
        same_kind = [arn for arn in statement["Resource"] if kind in arn]
        assert same_kind, action
        assert all(end.removesuffix("-*") in arn for arn in same_kind), action


def test_retained_types_cannot_be_deleted() -> None:
    retained = kms.Key("Kept", DeletionPolicy="Retain", UpdateReplacePolicy="Retain")
    replaced = kms.Key("Replaced", DeletionPolicy="Retain")

    assert not allowing("kms:ScheduleKeyDeletion", of([retained]))
    assert allowing("kms:ScheduleKeyDeletion", of([retained, replaced]))


def test_a_failed_launch_of_the_product_is_rolled_back_without_deleting_data(
    granted: Policy,
) -> None:
    # A rollback deletes the key, which KMS keeps for 30 days, and empty buckets.
    assert allowing("kms:ScheduleKeyDeletion", granted)
    assert allowing("s3:DeleteBucket", granted)
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        assert not allowing(action, granted)
    assert not allowing("backup:DeleteRecoveryPoint", granted)


def test_a_role_is_passed_only_to_services_that_roles_trust(granted: Policy) -> None:
    # Control 126: iam:PassRole without this hands any role to any service.
    (statement,) = allowing("iam:PassRole", granted)
    assert statement["Resource"] == [
        "arn:aws:iam::123456789012:role/SC-123456789012-pp-*"
    ]
    services = statement["Condition"]["StringEquals"]["iam:PassedToService"]
    assert "ecs-tasks.amazonaws.com" in services
    assert "ec2.amazonaws.com" not in services

    (statement,) = allowing("iam:PassRole", of([role("lambda.amazonaws.com")]) or [{}])
    assert statement["Condition"]["StringEquals"]["iam:PassedToService"] == [
        "lambda.amazonaws.com"
    ]


def test_only_policies_that_a_template_names_are_attached() -> None:
    # Otherwise a launch could make itself an administrator.
    launch = of(
        [
            role(
                "lambda.amazonaws.com",
                ManagedPolicyArns=[
                    Sub("arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess"),
                    Join("", ["arn:", Ref("AWS::Partition"), ":iam::aws:policy/Other"]),
                    Ref("Own"),
                ],
            )
        ]
    )
    (statement,) = allowing("iam:AttachRolePolicy", launch)
    assert statement["Condition"]["ArnLike"]["iam:PolicyARN"] == [
        "arn:aws:iam::123456789012:policy/SC-123456789012-pp-*",
        "arn:aws:iam::aws:policy/Other",
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
    ]


def test_service_linked_roles_are_made_for_services_of_the_templates(
    granted: Policy,
) -> None:
    (statement,) = allowing("iam:CreateServiceLinkedRole", granted)
    names = statement["Condition"]["StringEquals"]["iam:AWSServiceName"]
    assert "ecs.amazonaws.com" in names
    assert len(names) == len(statement["Resource"])
    for name, arn in zip(names, statement["Resource"], strict=True):
        assert arn.endswith(f":role/aws-service-role/{name}/*")


def test_keys_are_used_only_through_the_services_that_encrypt(granted: Policy) -> None:
    # Control 128: a launch has no business decrypting anything by itself.
    for action, statement in each_action(granted):
        if action in KEY_USES:
            through = statement["Condition"]["StringLike"]["kms:ViaService"]
            assert all(
                name.endswith(".eu-central-1.amazonaws.com*") for name in through
            )
    (grants,) = allowing("kms:CreateGrant", granted)
    assert grants["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_a_secret_is_read_and_changed_only_by_its_own_stacks(granted: Policy) -> None:
    # Secrets are not named after their stack, so a name cannot tell whose they are.
    for action in ("secretsmanager:GetSecretValue", "secretsmanager:DeleteSecret"):
        (statement,) = allowing(action, granted)
        assert statement["Condition"] == {
            "StringLike": {
                "aws:ResourceTag/aws:cloudformation:stack-name": (
                    "SC-123456789012-pp-*"
                )
            }
        }


def test_resources_that_a_tag_identifies_carry_it(
    compiled_templates: list[Template],
) -> None:
    # Without the tag an update or a deletion by the launch role is refused.
    tagged = {s.prefix: s.tag for s in LAUNCH_SCOPES.services if s.tagged}
    known = schemas.installed()
    assert known
    for template in compiled_templates:
        for name, resource in template.document["Resources"].items():
            kind = resource["Type"]
            if kind.startswith("Custom::") or service_of(kind) not in tagged:
                continue
            schema = known.find(kind)
            assert schema, kind
            tagging = schema.document["tagging"]
            tag = tagged[service_of(kind)]
            if not tagging["taggable"]:
                continue
            if tag == STACK_NAME_TAG:
                assert tagging["cloudFormationSystemTags"], kind
            else:
                assert tag in json.dumps(resource["Properties"]["Tags"]), name


def test_explicitly_named_resources_are_covered() -> None:
    launch = of(
        [
            logs.LogGroup("Waf", LogGroupName=Sub("aws-waf-logs-${AWS::StackName}")),
            logs.LogGroup(
                "Sql", LogGroupName=Join("/", ["/aws/rds", GetAtt("Db", "Id"), "sql"])
            ),
        ]
    )
    (statement,) = allowing("logs:CreateLogGroup", launch)
    assert [arn.partition(":log-group:")[2] for arn in statement["Resource"]] == [
        "SC-123456789012-pp-*",
        "aws-waf-logs-SC-123456789012-pp-*",
        "/aws/rds/sc-123456789012-pp-*/sql*",
    ]


def test_stacks_of_another_name_have_permissions_of_their_own(
    compiled_templates: list[Template],
) -> None:
    # For a CloudFormation service role, which Service Catalog has no part in.
    policy = json.dumps(
        documents(
            required_permissions(
                compiled_templates,
                LAUNCH_SCOPES,
                BOUNDARY,
                stack_prefix="Airflow-prod",
            )
        )
    )
    assert "SC-" not in policy
    assert ":role/Airflow-prod*" in policy
    assert ":cluster:airflow-prod*" in policy
    assert ":loadbalancer/app/Airfl*" in policy


# Room.


def test_every_policy_fits_its_quota(compiled_templates: list[Template]) -> None:
    policies = permissions_by_policy_group(compiled_templates, LAUNCH_SCOPES, BOUNDARY)
    for policy_group, statements in policies.items():
        assert characters(statements) <= POLICY_CHARACTERS, policy_group


def test_a_policy_is_measured_at_its_longest() -> None:
    statement = Statement(
        Sid="One",
        Effect=Allow,
        Action=[Action("s3", "GetObject")],
        Resource=[Sub("arn:${AWS::Partition}:s3:::${AWS::AccountId}")],
    )
    assert characters([statement]) == len(
        '{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow",'
        '"Action":["s3:GetObject"],"Resource":["arn:aws-us-gov:s3:::123456789012"]}]}'
    )


def test_a_policy_over_its_quota_stops_the_build() -> None:
    many = [Action("s3", f"GetObject{number}") for number in range(500)]
    with pytest.raises(WiringError, match="characters of 6,144"):
        check_size("Storage", [Statement(Effect=Allow, Action=many, Resource=["*"])])
    with pytest.raises(WiringError, match="11 policies of 10"):
        check_count(11)


# The tables.


def test_no_row_of_the_tables_is_without_use(
    compiled_templates: list[Template], granted: Policy
) -> None:
    allowed = {action for action, _ in each_action(granted)}
    listed = {
        action
        for of_types in (HANDLERS.always, HANDLERS.only_to_delete)
        for actions in of_types.values()
        for action in actions
    }
    scopes = LAUNCH_SCOPES
    assert listed >= scopes.never_called.keys()
    assert allowed >= scopes.without_resource.keys()
    assert {owner_of(action) for action in allowed} == PREFIXES
    groups = {service.policy_group for service in scopes.services}
    groups |= {scopes.any_resource_group}
    assert groups == scopes.policy_groups.keys()
    markers = json.dumps([template.document for template in compiled_templates])
    assert [
        need.marker for need in UNLISTED_PERMISSIONS if need.marker not in markers
    ] == []


def test_a_service_without_a_row_stops_the_build() -> None:
    others = tuple(s for s in LAUNCH_SCOPES.services if s.prefix != "sns")
    with pytest.raises(WiringError, match="on what sns may act"):
        of([sns.Topic("Topic")], replace(LAUNCH_SCOPES, services=others))

"""Controls 123 to 135: roles, policies, and what keeps a template deployable."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs

from compiler.references import references
from tests.compliance.environments import Estate, Estates, as_list, condition_keys

NO_SOURCE_ARN = ("backup.amazonaws.com", "lambda.amazonaws.com")
"""Services that document no ``aws:SourceArn`` for a role: the account is the bond."""


def trusts(estate: Estate) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement of a trust policy with its role."""
    for place, role in estate.of("IAM::Role").items():
        assert role["AssumeRolePolicyDocument"]["Statement"], place
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            yield place, statement


@pytest.mark.control(123)
def test_no_service_can_be_talked_into_acting_for_another_account(
    estates: Estates,
) -> None:
    for estate in estates.each:
        for place, statement in trusts(estate):
            conditions = statement["Condition"]
            account = conditions["StringEquals"]["aws:SourceAccount"]
            assert account == "123456789012", place
            if statement["Principal"]["Service"] not in NO_SOURCE_ARN:
                source = conditions["ArnLike"]["aws:SourceArn"]
                assert f":{account}:" in source, place


@pytest.mark.control(124)
def test_roles_are_assumed_by_named_services_and_nobody_else(estates: Estates) -> None:
    for estate in estates.each:
        for place, statement in trusts(estate):
            assert list(statement["Principal"]) == ["Service"], place
            assert "*" not in str(statement["Principal"]), place


def grants(estate: Estate) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every action that a role is granted, with its policy and statement."""
    for place, statements in estate.policies().items():
        assert statements, place
        for statement in statements:
            # A list of what is not granted grants the rest.
            assert "NotAction" not in statement, place
            assert "NotResource" not in statement, place
            if statement["Effect"] == "Allow":
                for action in as_list(statement["Action"]):
                    yield place, action, statement


@pytest.mark.control(125)
def test_no_role_may_use_a_whole_service(estates: Estates) -> None:
    for estate in estates.each:
        for place, action, _ in grants(estate):
            assert "*" not in action, f"{place}: {action}"


@pytest.mark.control(126)
def test_a_role_is_passed_by_name_to_one_service(estates: Estates) -> None:
    for estate in estates.each:
        passing = 0
        roles = {f"<{place}.Arn>" for place in estate.of("IAM::Role")}
        for place, action, statement in grants(estate):
            if action == "iam:PassRole":
                passing += 1
                assert set(as_list(statement["Resource"])) <= roles, place
                bond = statement["Condition"]["StringEquals"]["iam:PassedToService"]
                assert bond == "ecs-tasks.amazonaws.com", place
        assert passing


@pytest.mark.control(127)
def test_secrets_are_read_by_name(estates: Estates) -> None:
    for estate in estates.each:
        secrets = {f"<{place}>" for place in estate.of("SecretsManager::Secret")}
        secrets.add("<Database.Cluster.MasterUserSecret.SecretArn>")
        reading = 0
        for place, action, statement in grants(estate):
            if action.startswith("secretsmanager:"):
                reading += 1
                assert set(as_list(statement["Resource"])) <= secrets, place
        assert reading


@pytest.mark.control(128)
def test_the_key_opens_by_way_of_a_service_or_in_a_session(estates: Estates) -> None:
    for estate in estates.each:
        opening = 0
        for place, action, statement in grants(estate):
            if action.startswith("kms:"):
                opening += 1
                assert statement["Resource"] == ["<Encryption.Key.Arn>"], place
                # A shell's agent asks KMS itself, so its session is the bond.
                bonds = {"kms:ViaService", "kms:EncryptionContext:aws:ssm:TargetId"}
                assert condition_keys(statement) & bonds, place
        assert opening


NO_RESOURCE_FORM = {
    "ecr:GetAuthorizationToken",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
BOUND_BY_CONDITION = {
    "cloudwatch:PutMetricData": "cloudwatch:namespace",
    "ecs:ListServices": "ecs:cluster",
}
"""They take no resource either, but a condition narrows them."""


@pytest.mark.control(129)
def test_only_what_has_no_resource_is_allowed_on_all_of_them(estates: Estates) -> None:
    for estate in estates.each:
        unbound = {
            action
            for _, action, statement in grants(estate)
            if "*" in as_list(statement["Resource"])
            and BOUND_BY_CONDITION.get(action) not in condition_keys(statement)
        }
        assert "ecr:GetAuthorizationToken" in unbound
        assert unbound <= NO_RESOURCE_FORM


@pytest.mark.control(130)
def test_nobody_forges_metrics_of_another_namespace(estates: Estates) -> None:
    for estate in estates.each:
        seen = 0
        for place, action, statement in grants(estate):
            seen += 1
            if action == "cloudwatch:PutMetricData":
                bond = statement["Condition"]["StringEquals"]["cloudwatch:namespace"]
                assert as_list(bond) == ["AirflowOnFargate"], place
        assert seen


@cache
def actions_of_aws() -> dict[str, Any]:
    """Return every action of every service, in lower case, as the linter knows them."""
    file = importlib.resources.files(AdditionalSpecs).joinpath("Policies.json")
    return dict(json.loads(file.read_text()))


def documents(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every policy document in a resource's properties."""
    if isinstance(value, dict):
        if isinstance(value.get("Statement"), list):
            yield value
        for inner in value.values():
            yield from documents(inner)
    if isinstance(value, list):
        for inner in value:
            yield from documents(inner)


def unknown(document: dict[str, Any]) -> set[str]:
    """Return the actions of a policy document that AWS does not have."""
    actions = {
        action
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
    }
    assert actions
    found = set()
    for action in actions:
        service, _, name = action.partition(":")
        known = actions_of_aws().get(service, {"Actions": {}})["Actions"]
        pattern = re.compile(re.escape(name.lower()).replace(r"\*", ".*"))
        if not any(pattern.fullmatch(each) for each in known):
            found.add(action)
    return found


@pytest.mark.control(131)
def test_every_action_exists(estates: Estates) -> None:
    # A misspelt one grants nothing, and nobody is told.
    for estate in estates.each:
        found = 0
        for place, properties in estate.everything():
            for document in documents(properties):
                found += 1
                assert document["Version"] == "2012-10-17", place
                assert not unknown(document), place
        assert found


@pytest.mark.control(131)
def test_every_action_of_the_launch_role_exists(estates: Estates) -> None:
    catalog = estates.library["service-catalog.template.json"]["Resources"]
    policies = [document for each in catalog.values() for document in documents(each)]
    assert len(policies) > 1
    for document in policies:
        assert not unknown(document)


@pytest.mark.control(132)
def test_policies_are_managed_and_attached(estates: Estates) -> None:
    for estate in estates.each:
        attached = set()
        for place, role in estate.of("IAM::Role").items():
            assert "Policies" not in role, place
            assert role["ManagedPolicyArns"], place
            attached |= set(role["ManagedPolicyArns"])
        for place, policy in estate.of("IAM::ManagedPolicy").items():
            assert f"<{place}>" in attached or policy["Roles"], place
        inline = {"IAM::Policy", "IAM::RolePolicy", "IAM::UserPolicy"}
        assert not estate.kinds & inline


@pytest.mark.control(133)
def test_every_parameter_is_used(estates: Estates) -> None:
    used_anywhere = 0
    for name, template in estates.library.items():
        body = {
            k: v for k, v in template.items() if k not in ("Parameters", "Metadata")
        }
        used = {reference for reference, _ in references(body)}
        unused = template.get("Parameters", {}).keys() - used
        # A Rule reads its parameters too, and what only a Rule reads is a real choice.
        assert not unused, f"{name}: {unused}"
        used_anywhere += len(used)
    assert used_anywhere


@pytest.mark.control(134)
def test_no_arn_names_a_partition(estates: Estates) -> None:
    arns = 0
    for name, template in estates.library.items():
        body = {k: v for k, v in template.items() if k != "Parameters"}
        text = json.dumps(body)
        arns += text.count("arn:${AWS::Partition}:")
        assert not re.search(r"arn:aws[a-z-]*:", text), name
    assert arns


NAMED = {
    "Backup::BackupVault.BackupVaultName": "AWS Backup demands one; the stack's ID",
    "ElastiCache::User.UserId": "ElastiCache demands one; the stack's ID",
    "ElastiCache::User.UserName": "whom Celery logs in as",
    "ElastiCache::UserGroup.UserGroupId": "ElastiCache demands one; the stack's ID",
    "Logs::LogGroup.LogGroupName": "only where RDS or WAF looks for a name",
    "ServiceDiscovery::HttpNamespace.Name": "Cloud Map demands one; the stack's name",
    "ApplicationAutoScaling::ScalingPolicy.PolicyName": "demanded, unique a service",
}
"""Physical names, and why there is one (decision 7)."""

NOT_ITS_OWN = {
    "EC2::VPCEndpoint.ServiceName",
    "CloudWatch::Alarm.MetricName",
}
"""Properties that look like a name and say what something else is called."""


def names(estate: Estate) -> Iterator[tuple[str, str]]:
    """Yield every physical name as the property that gives it, and its value."""
    patterns = r"Name|\w+Name|\w+Identifier|\w*UserId|\w*GroupId"
    for kind in sorted(estate.kinds):
        if kind.startswith(("Custom::", "CloudFormation::")):
            continue
        for properties in estate.of(kind).values():
            for key, value in properties.items():
                is_reference = re.fullmatch(r"<[^<>]*>", str(value))
                if re.fullmatch(patterns, key) and not is_reference:
                    yield f"{kind}.{key}", str(value)


@pytest.mark.control(135)
def test_only_what_must_have_a_name_has_one(estates: Estates) -> None:
    # A named resource cannot be replaced, and two stacks cannot share the name.
    for estate in estates.each:
        named = dict(names(estate))
        assert named.keys() - NOT_ITS_OWN <= NAMED.keys()
        assert named.keys() & NAMED.keys()
        for name, value in names(estate):
            if name == "Logs::LogGroup.LogGroupName":
                assert value.startswith(("/aws/rds/cluster/<", "aws-waf-logs-"))

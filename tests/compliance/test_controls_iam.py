"""Controls 123 to 135: roles, policies, parameters and names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.references import references
from tests.compliance.environments import (
    EXISTING_FERNET,
    Environments,
    ResolvedEnvironment,
    as_list,
    condition_keys,
)
from tests.linter_data import linter_data

NO_SOURCE_ARN = ("backup.amazonaws.com", "lambda.amazonaws.com")
"""Services that document no ``aws:SourceArn`` for a role, only the account."""


def trusts(environment: ResolvedEnvironment) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement of a trust policy with its role."""
    for place, role in environment.properties("IAM::Role").items():
        assert role["AssumeRolePolicyDocument"]["Statement"], place
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            yield place, statement


@pytest.mark.control(123)
def test_trust_is_bound_to_account_and_source(environments: Environments) -> None:
    for environment in environments.variants:
        for place, statement in trusts(environment):
            conditions = statement["Condition"]
            account = conditions["StringEquals"]["aws:SourceAccount"]
            assert account == "123456789012", place
            if statement["Principal"]["Service"] not in NO_SOURCE_ARN:
                source = conditions["ArnLike"]["aws:SourceArn"]
                assert f":{account}:" in source, place


def test_roles_carry_a_given_boundary(environments: Environments) -> None:
    # Service Catalog's launch role may create no other role.
    boundary = "arn:aws:iam::123456789012:policy/Boundary"
    bounded = environments.variant(PermissionsBoundaryArn=boundary)
    for environment, expected in ((bounded, boundary), (environments.base, None)):
        for place, role in environment.properties("IAM::Role").items():
            assert role.get("PermissionsBoundary") == expected, place


@pytest.mark.control(124)
def test_roles_are_assumed_by_named_services_only(environments: Environments) -> None:
    for environment in environments.variants:
        for place, statement in trusts(environment):
            assert list(statement["Principal"]) == ["Service"], place
            assert "*" not in str(statement["Principal"]), place


def grants(
    environment: ResolvedEnvironment,
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every action that a role is granted, with its policy and statement."""
    for place, statements in environment.policies().items():
        assert statements, place
        for statement in statements:
            # A list of what is not granted grants the rest.
            assert "NotAction" not in statement, place
            assert "NotResource" not in statement, place
            if statement["Effect"] == "Allow":
                for action in as_list(statement["Action"]):
                    yield place, action, statement


@pytest.mark.control(125)
def test_roles_are_allowed_no_whole_service(environments: Environments) -> None:
    for environment in environments.every_root:
        for place, action, _ in grants(environment):
            assert "*" not in action, f"{place}: {action}"
    # Nor do policies of buckets and topics allow one to a service.
    for kind in ("S3::BucketPolicy", "SNS::TopicPolicy"):
        for place, properties in environments.base.properties(kind).items():
            for statement in properties["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    assert "*" not in str(statement["Action"]), place


@pytest.mark.control(126)
def test_roles_are_passed_by_name_to_ecs_tasks(environments: Environments) -> None:
    for environment in environments.variants:
        count = 0
        roles = {f"<{place}.Arn>" for place in environment.properties("IAM::Role")}
        for place, action, statement in grants(environment):
            if action == "iam:PassRole":
                count += 1
                assert set(as_list(statement["Resource"])) <= roles, place
                service = statement["Condition"]["StringEquals"]["iam:PassedToService"]
                assert service == "ecs-tasks.amazonaws.com", place
        assert count


@pytest.mark.control(127)
def test_secrets_are_read_by_name(environments: Environments) -> None:
    for environment in environments.variants:
        secrets = {
            f"<{place}>" for place in environment.properties("SecretsManager::Secret")
        }
        secrets.add("<Database.Cluster.MasterUserSecret.SecretArn>")
        secrets.add(EXISTING_FERNET)
        # The operator's, below SecretsPrefix.
        secrets |= {
            f"arn:aws:secretsmanager:eu-central-1:123456789012:secret:airflow-prod/{each}/*"
            for each in ("connections", "variables")
        }
        count = 0
        for place, action, statement in grants(environment):
            if action.startswith("secretsmanager:"):
                count += 1
                assert set(as_list(statement["Resource"])) <= secrets, place
        assert count


@pytest.mark.control(128)
def test_key_use_is_bound_to_service_or_session(environments: Environments) -> None:
    for environment in environments.variants:
        count = 0
        for place, action, statement in grants(environment):
            if action.startswith("kms:"):
                count += 1
                if place.endswith(".FernetPolicy"):
                    # Of whichever key, for this one secret.
                    condition = statement["Condition"]
                    context = {"kms:EncryptionContext:SecretARN": EXISTING_FERNET}
                    assert action == "kms:Decrypt", place
                    assert condition["ArnEquals"] == context, place
                    assert "kms:ViaService" in condition["StringEquals"], place
                    continue
                assert statement["Resource"] == ["<Encryption.Key.Arn>"], place
                # ECS Exec's agent calls KMS itself, within a session's context.
                keys = {"kms:ViaService", "kms:EncryptionContext:aws:ssm:TargetId"}
                assert condition_keys(statement) & keys, place
        assert count


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
"""Actions without a resource form that a condition narrows."""


@pytest.mark.control(129)
def test_wildcard_resources_only_where_required(environments: Environments) -> None:
    unbound = {
        action
        for environment in environments.variants
        for _, action, statement in grants(environment)
        if "*" in as_list(statement["Resource"])
        and BOUND_BY_CONDITION.get(action) not in condition_keys(statement)
    }
    assert unbound == NO_RESOURCE_FORM


@pytest.mark.control(130)
def test_metrics_are_published_to_one_namespace(environments: Environments) -> None:
    for environment in environments.variants:
        count = 0
        for place, action, statement in grants(environment):
            count += 1
            if action == "cloudwatch:PutMetricData":
                namespace = statement["Condition"]["StringEquals"][
                    "cloudwatch:namespace"
                ]
                assert as_list(namespace) == ["AirflowOnFargate"], place
        assert count


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
    unknown_actions = set()
    for action in actions:
        service, _, verb = action.partition(":")
        known = linter_data("AdditionalSpecs/Policies.json").get(
            service, {"Actions": {}}
        )["Actions"]
        pattern = re.compile(re.escape(verb.lower()).replace(r"\*", ".*"))
        if not any(pattern.fullmatch(each) for each in known):
            unknown_actions.add(action)
    return unknown_actions


@pytest.mark.control(131)
def test_policy_actions_exist(environments: Environments) -> None:
    # A misspelt action grants nothing, without an error.
    for environment in environments.every_root:
        count = 0
        for place, properties in environment.all_properties():
            for document in documents(properties):
                count += 1
                assert document["Version"] == "2012-10-17", place
                assert not unknown(document), place
        assert count


@pytest.mark.control(132)
def test_policies_are_managed_and_attached(environments: Environments) -> None:
    for environment in environments.every_root:
        attached = set()
        for place, role in environment.properties("IAM::Role").items():
            assert "Policies" not in role, place
            assert role["ManagedPolicyArns"], place
            attached |= set(role["ManagedPolicyArns"])
        for place, policy in environment.properties("IAM::ManagedPolicy").items():
            is_boundary = place == "RoleBoundary"  # of roles that launches create
            assert f"<{place}>" in attached or is_boundary or policy["Roles"], place
        inline = {"IAM::Policy", "IAM::RolePolicy", "IAM::UserPolicy"}
        assert not environment.types & inline


@pytest.mark.control(133)
def test_parameters_are_used(environments: Environments) -> None:
    used_anywhere = 0
    for name, template in environments.library.items():
        body = {
            k: v for k, v in template.items() if k not in ("Parameters", "Metadata")
        }
        used = {reference for reference, _ in references(body)}
        unused = template.get("Parameters", {}).keys() - used
        # A parameter that only a Rule reads is used too.
        assert not unused, f"{name}: {unused}"
        used_anywhere += len(used)
    assert used_anywhere


@pytest.mark.control(134)
def test_arns_state_no_partition(environments: Environments) -> None:
    arns = 0
    for name, template in environments.library.items():
        body = {k: v for k, v in template.items() if k != "Parameters"}
        text = json.dumps(body)
        arns += text.count("arn:${AWS::Partition}:")
        assert not re.search(r"arn:aws[a-z-]*:", text), name
    assert arns


NAMED = {
    "CloudWatch::Dashboard.DashboardName": "the stack's, by which roles are limited",
    "Backup::BackupVault.BackupVaultName": "AWS Backup demands one; the stack's ID",
    "ElastiCache::User.UserId": "ElastiCache demands one; the stack's ID",
    "ElastiCache::User.UserName": "the login of Celery",
    "ElastiCache::UserGroup.UserGroupId": "ElastiCache demands one; the stack's ID",
    "ElasticLoadBalancingV2::TargetGroup.Name": "replaced with its load balancer",
    "Logs::LogGroup.LogGroupName": "only where RDS or WAF looks for a name",
    "ServiceDiscovery::HttpNamespace.Name": "Cloud Map demands one; the stack's name",
    "Route53::RecordSet.Name": "the operator's domain",
    "ApplicationAutoScaling::ScalingPolicy.PolicyName": "demanded, unique a service",
}
"""Properties that give a physical name, and the reason (decision 7)."""

NOT_ITS_OWN = {
    "EC2::VPCEndpoint.ServiceName",
    "CloudWatch::Alarm.MetricName",
}
"""Properties that look like a name and refer to something else."""


def names(environment: ResolvedEnvironment) -> Iterator[tuple[str, str]]:
    """Yield every physical name as the property that gives it, and its value."""
    patterns = r"Name|\w+Name|\w+Identifier|\w*UserId|\w*GroupId"
    for kind in sorted(environment.types):
        if kind.startswith(("Custom::", "CloudFormation::")):
            continue
        for properties in environment.properties(kind).values():
            for key, value in properties.items():
                is_reference = re.fullmatch(r"<[^<>]*>", str(value))
                if re.fullmatch(patterns, key) and not is_reference:
                    yield f"{kind}.{key}", str(value)


@pytest.mark.control(135)
def test_physical_names_only_where_required(environments: Environments) -> None:
    # A named resource cannot be replaced, and two stacks cannot share the name.
    for environment in environments.variants:
        named = dict(names(environment))
        assert named.keys() - NOT_ITS_OWN <= NAMED.keys()
        assert named.keys() & NAMED.keys()
        for name, value in names(environment):
            if name == "Logs::LogGroup.LogGroupName":
                assert value.startswith(("/aws/rds/cluster/<", "aws-waf-logs-"))
    for kind in ("IAM::Role", "IAM::ManagedPolicy"):
        for place, properties in environments.catalog.properties(kind).items():
            assert not properties.keys() & {"RoleName", "ManagedPolicyName"}, place

"""What every template here promises, whatever it builds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from compiler.references import references

Library = Mapping[str, Mapping[str, Any]]
ROOTS = ("parent.template.json", "service-catalog.template.json")


def each_resource(library: Library) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, template in library.items():
        for logical_id, resource in template["Resources"].items():
            yield name, logical_id, resource


def each_value(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a document with its path, the containers included."""
    yield path, document
    if isinstance(document, dict):
        for key, value in document.items():
            yield from each_value(value, f"{path}/{key}")
    if isinstance(document, list):
        for index, value in enumerate(document):
            yield from each_value(value, f"{path}/{index}")


def test_dist_holds_every_template_the_product_promises(library: Library) -> None:
    promised = (
        *("parent", "network", "security", "storage", "database", "cache"),
        *("airflow-services", "workers", "scaling", "service-catalog"),
    )
    assert {f"{name}.template.json" for name in promised} <= library.keys()


def test_the_parent_holds_nested_stacks_and_nothing_else(library: Library) -> None:
    parent = library["parent.template.json"]
    types = {r["Type"] for r in parent["Resources"].values()}
    assert types == {"AWS::CloudFormation::Stack"}


def test_everything_is_described_in_a_sentence(library: Library) -> None:
    for name, template in library.items():
        assert template["Description"].endswith("."), name
        for section in ("Parameters", "Outputs"):
            for key, spec in template.get(section, {}).items():
                assert re.fullmatch(r"[A-Z].*\.", spec["Description"]), f"{name}.{key}"


def test_every_resource_says_what_it_is_for(library: Library) -> None:
    for name, logical_id, resource in each_resource(library):
        purpose = resource["Metadata"]["Purpose"]
        assert re.fullmatch(r"\S.*\.", purpose), f"{name}.{logical_id}: {purpose}"


def test_no_two_stacks_of_ours_meet_by_export(library: Library) -> None:
    # An export in use locks its stack: aws-cdk #7602, #34813.
    text = json.dumps(list(library.values()))
    assert "Fn::ImportValue" not in text
    assert '"Export"' not in text


def test_no_template_needs_a_macro(library: Library) -> None:
    # A transform brings CAPABILITY_AUTO_EXPAND and the limits of nested change sets.
    for name, template in library.items():
        assert "Transform" not in template, name


def test_no_parameter_hides_its_value(library: Library) -> None:
    # Quick-create links ignore NoEcho; secrets are generated in the stack instead.
    for name, template in library.items():
        for key, spec in template.get("Parameters", {}).items():
            assert "NoEcho" not in spec, f"{name}.{key}"


def test_no_child_selects_from_a_list_parameter(children: Library) -> None:
    # A nested change set fails on an unresolved list: coverage-roadmap #759, #2053.
    for name, template in children.items():
        lists = {
            key
            for key, spec in template.get("Parameters", {}).items()
            if spec["Type"] == "CommaDelimitedList"
        }
        for path, value in each_value(template):
            if path.endswith("/Fn::Select"):
                assert not lists & {ref for ref, _ in references(value)}, name + path


def test_logical_ids_and_conditions_follow_the_naming_rules(library: Library) -> None:
    for name, template in library.items():
        for condition in template.get("Conditions", {}):
            assert re.match(r"(Is|Has)[A-Z]", condition), f"{name}.{condition}"
    for name, logical_id, _ in each_resource(library):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", logical_id), f"{name}.{logical_id}"


def test_defaults_satisfy_their_own_constraints(library: Library) -> None:
    for root in ROOTS:
        for key, spec in library[root]["Parameters"].items():
            if "Default" not in spec:
                continue
            default = spec["Default"]
            allowed = [str(v) for v in spec.get("AllowedValues", [default])]
            assert str(default) in allowed, key
            for one in str(default).split(","):
                assert re.fullmatch(spec.get("AllowedPattern", ".*"), one), key
            if spec["Type"] == "Number":
                assert spec.get("MinValue", default) <= default, key
                assert spec.get("MaxValue", default) >= default, key


def test_a_pattern_is_explained(library: Library) -> None:
    for root in ROOTS:
        for key, spec in library[root]["Parameters"].items():
            if "AllowedPattern" in spec:
                assert spec.get("ConstraintDescription", "").endswith("."), key


def test_no_template_is_tied_to_a_partition_a_region_or_an_account(
    library: Library,
) -> None:
    for name, template in library.items():
        body = {k: v for k, v in template.items() if k != "Parameters"}
        for path, value in each_value(body):
            if isinstance(value, str) and "/Metadata/" not in path:
                assert not re.search(r"arn:aws[^$\w]", value), name + path
                assert not re.search(r"\b[a-z]{2}(-[a-z]+)+-\d\b", value), name + path
                assert not re.search(r"\b\d{12}\b", value), name + path


NAMES = {
    "AWS::CloudWatch::Alarm": ["AlarmName"],
    "AWS::EC2::SecurityGroup": ["GroupName"],
    "AWS::ECS::Cluster": ["ClusterName"],
    "AWS::ECS::Service": ["ServiceName"],
    "AWS::ElastiCache::ReplicationGroup": ["ReplicationGroupId"],
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ["Name"],
    "AWS::ElasticLoadBalancingV2::TargetGroup": ["Name"],
    "AWS::IAM::ManagedPolicy": ["ManagedPolicyName"],
    "AWS::IAM::Role": ["RoleName"],
    "AWS::KMS::Alias": ["AliasName"],
    "AWS::Lambda::Function": ["FunctionName"],
    "AWS::RDS::DBInstance": ["DBInstanceIdentifier"],
    "AWS::RDS::DBSubnetGroup": ["DBSubnetGroupName"],
    "AWS::S3::Bucket": ["BucketName"],
    "AWS::SNS::Topic": ["TopicName"],
    "AWS::SecretsManager::Secret": ["Name"],
}


def test_physical_names_are_left_to_cloudformation(library: Library) -> None:
    # A named resource cannot be replaced, and two stacks cannot share the name.
    for name, logical_id, resource in each_resource(library):
        for prop in NAMES.get(resource["Type"], []):
            assert prop not in resource["Properties"], f"{name}.{logical_id}.{prop}"


def statements(library: Library) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy statement with its place."""
    for name, logical_id, resource in each_resource(library):
        for path, value in each_value(resource.get("Properties", {})):
            if isinstance(value, dict) and "Effect" in value:
                yield f"{name}.{logical_id}{path}", value


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_policy_states_its_version(library: Library) -> None:
    for name, logical_id, resource in each_resource(library):
        for path, value in each_value(resource.get("Properties", {})):
            if isinstance(value, dict) and isinstance(value.get("Statement"), list):
                assert value.get("Version") == "2012-10-17", (
                    f"{name}.{logical_id}{path}"
                )


def test_no_statement_allows_a_whole_service(library: Library) -> None:
    # Controls 125 and 131. A key policy's own root statement is the exception that
    # KMS asks for: without it a key can become unmanageable. An endpoint's policy
    # grants nothing: it bounds what roles may already do.
    bounds = ("encryption.", "network.template.json.S3", "endpoints.")
    for place, statement in statements(library):
        if statement["Effect"] != "Allow" or place.startswith(bounds):
            continue
        for action in as_list(statement.get("Action", [])):
            assert not re.fullmatch(r"\*|[a-z0-9-]+:\*", action), f"{place}: {action}"


def test_roles_are_passed_to_named_services_only(library: Library) -> None:
    for place, statement in statements(library):
        if "iam:PassRole" in as_list(statement.get("Action", [])):
            tests = statement["Condition"].values()
            assert any("iam:PassedToService" in test for test in tests), place
            assert statement["Resource"] != "*", place


def test_no_service_can_be_talked_into_assuming_a_role_for_others(
    library: Library,
) -> None:
    # Control 123, the confused deputy.
    for name, logical_id, resource in each_resource(library):
        if resource["Type"] != "AWS::IAM::Role":
            continue
        trust = resource["Properties"]["AssumeRolePolicyDocument"]
        for statement in trust["Statement"]:
            keys = {k for test in statement["Condition"].values() for k in test}
            assert "aws:SourceAccount" in keys, f"{name}.{logical_id}"


def test_policies_are_managed_and_attached(library: Library) -> None:
    # Control 132.
    for name, logical_id, resource in each_resource(library):
        assert resource["Type"] != "AWS::IAM::Policy", f"{name}.{logical_id}"
        assert "Policies" not in resource.get("Properties", {}), f"{name}.{logical_id}"


def test_no_secret_is_resolved_into_a_task_definition(library: Library) -> None:
    # Controls 104 to 106: it would lie there in clear.
    for name, logical_id, resource in each_resource(library):
        if resource["Type"] == "AWS::ECS::TaskDefinition":
            text = json.dumps(resource)
            assert "{{resolve:" not in text, f"{name}.{logical_id}"


def test_alarms_have_somebody_to_tell(library: Library) -> None:
    # Controls 121 and 122.
    for name, logical_id, resource in each_resource(library):
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            properties = resource["Properties"]
            assert properties["AlarmActions"], f"{name}.{logical_id}"
            assert properties.get("ActionsEnabled", True), f"{name}.{logical_id}"


@pytest.mark.parametrize("root", ROOTS)
def test_every_parameter_of_a_root_has_its_place_in_the_form(
    root: str, library: Library
) -> None:
    interface = library[root]["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [p for group in interface["ParameterGroups"] for p in group["Parameters"]]
    assert sorted(grouped) == sorted(library[root]["Parameters"])
    assert interface["ParameterLabels"].keys() == library[root]["Parameters"].keys()

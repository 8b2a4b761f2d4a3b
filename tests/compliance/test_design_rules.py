"""Design rules that every template follows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.references import references
from templates.parent import SERVICES_MINUTES
from tests.compliance.environments import Library

ROOTS = (
    "parent.template.json",
    "service-catalog.template.json",
    "image-build.template.json",
)


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


def test_dist_holds_the_documented_templates(library: Library) -> None:
    documented = (
        *("parent", "network", "security", "storage", "database", "cache"),
        *("airflow-services", "workers", "scaling", "service-catalog"),
    )
    assert {f"{name}.template.json" for name in documented} <= library.keys()


def test_parent_holds_nested_stacks_only(library: Library) -> None:
    parent = library["parent.template.json"]
    types = {r["Type"] for r in parent["Resources"].values()}
    assert types == {"AWS::CloudFormation::Stack"}


def test_stacks_with_services_have_a_limit_of_creation(library: Library) -> None:
    # ECS retries without end what it cannot place, and CloudFormation waits 36 hours.
    limits = {
        logical_id: resource["Properties"].get("TimeoutInMinutes")
        for logical_id, resource in library["parent.template.json"]["Resources"].items()
        if any(
            nested["Type"] == "AWS::ECS::Service"
            for nested in library[resource["Properties"]["TemplateURL"]][
                "Resources"
            ].values()
        )
    }
    assert limits == dict.fromkeys(
        ("AirflowServices", "DefaultWorkers", "SpotWorkers"), SERVICES_MINUTES
    )


def test_tasks_start_after_the_endpoints(library: Library) -> None:
    # With a restored database nothing else delays the first task, which would fail to
    # pull its image; and a deletion would take the endpoints from running tasks.
    stacks = library["parent.template.json"]["Resources"]
    for name in ("Migration", "AirflowServices", "DefaultWorkers", "SpotWorkers"):
        subnets = stacks[name]["Properties"]["Parameters"]["SubnetIds"]
        condition, with_endpoints, _ = subnets["Fn::If"]
        assert condition == stacks["Endpoints"]["Condition"]
        assert with_endpoints == {"Fn::GetAtt": ["Endpoints", "Outputs.SubnetIds"]}


def test_descriptions_are_sentences(library: Library) -> None:
    for name, template in library.items():
        assert template["Description"].endswith("."), name
        for section in ("Parameters", "Outputs"):
            for key, spec in template.get(section, {}).items():
                assert re.fullmatch(r"[A-Z].*\.", spec["Description"]), f"{name}.{key}"


def test_resources_state_their_purpose(library: Library) -> None:
    for name, logical_id, resource in each_resource(library):
        purpose = resource["Metadata"]["Purpose"]
        assert re.fullmatch(r"\S.*\.", purpose), f"{name}.{logical_id}: {purpose}"


def test_stacks_use_no_exports(library: Library) -> None:
    # An export in use locks its stack: aws-cdk #7602, #34813.
    text = json.dumps(list(library.values()))
    assert "Fn::ImportValue" not in text
    assert '"Export"' not in text


def test_templates_need_no_macro(library: Library) -> None:
    # A transform brings CAPABILITY_AUTO_EXPAND and the limits of nested change sets.
    for name, template in library.items():
        assert "Transform" not in template, name


def test_parameters_are_not_noecho(library: Library) -> None:
    # Quick-create links ignore NoEcho; secrets are generated in the stack instead.
    for name, template in library.items():
        for key, spec in template.get("Parameters", {}).items():
            assert "NoEcho" not in spec, f"{name}.{key}"


def test_nested_templates_select_from_no_list_parameter(library: Library) -> None:
    # A nested change set fails on an unresolved list: coverage-roadmap #759, #2053.
    for name in library.keys() - set(ROOTS):
        template = library[name]
        lists = {
            key
            for key, spec in template.get("Parameters", {}).items()
            if spec["Type"] == "CommaDelimitedList"
        }
        for path, value in each_value(template):
            if path.endswith("/Fn::Select"):
                assert not lists & {ref for ref, _ in references(value)}, name + path


def test_logical_ids_and_conditions_follow_naming_rules(library: Library) -> None:
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
            for item in str(default).split(","):
                assert re.fullmatch(spec.get("AllowedPattern", ".*"), item), key
            if spec["Type"] == "Number":
                assert spec.get("MinValue", default) <= default, key
                assert spec.get("MaxValue", default) >= default, key


def test_patterns_have_a_constraint_description(library: Library) -> None:
    for root in ROOTS:
        for key, spec in library[root]["Parameters"].items():
            if "AllowedPattern" in spec:
                assert spec.get("ConstraintDescription", "").endswith("."), key


def test_templates_state_no_partition_region_or_account(
    library: Library,
) -> None:
    for name, template in library.items():
        body = {k: v for k, v in template.items() if k != "Parameters"}
        for path, value in each_value(body):
            if isinstance(value, str) and "/Metadata/" not in path:
                assert not re.search(r"arn:aws[^$\w]", value), name + path
                assert not re.search(r"\b[a-z]{2}(-[a-z]+)+-\d\b", value), name + path
                assert not re.search(r"\b\d{12}\b", value), name + path


@pytest.mark.parametrize("root", ROOTS)
def test_root_parameters_are_grouped_and_labelled(root: str, library: Library) -> None:
    interface = library[root]["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [p for group in interface["ParameterGroups"] for p in group["Parameters"]]
    assert sorted(grouped) == sorted(library[root]["Parameters"])
    assert interface["ParameterLabels"].keys() == library[root]["Parameters"].keys()


def test_a_failed_first_launch_leaves_one_bucket(library: Library) -> None:
    # The load balancer has written into it by then, so that S3 would not delete it.
    retained = {
        f"{name.removesuffix('.template.json')}.{logical_id}"
        for name, logical_id, resource in each_resource(library)
        if resource.get("DeletionPolicy") == "Retain"
    }
    assert retained == {"storage.AccessLogs"}


def test_numbers_are_compared_in_one_spelling(library: Library) -> None:
    """Conditions and rules compare text, and a Number keeps "1.0" for 1."""
    parent = library["parent.template.json"]
    sources = {
        (resource["Properties"]["TemplateURL"], name): value["Ref"]
        for resource in parent["Resources"].values()
        for name, value in resource["Properties"].get("Parameters", {}).items()
        if isinstance(value, dict) and "Ref" in value
    }
    compared = 0
    for template, document in library.items():
        tests = {key: document.get(key, {}) for key in ("Conditions", "Rules")}
        for path, value in each_value(tests):
            if not path.endswith(("/Fn::Equals", "/Fn::Contains")):
                continue
            named = [
                part["Ref"]
                for part in value
                if isinstance(part, dict) and "Ref" in part
            ]
            for name in named:
                owner = parent["Parameters"].get(sources.get((template, name), name))
                if owner and any(re.fullmatch(r"[\d.]+", str(p)) for p in value[0:2]):
                    compared += 1
                    assert owner.keys() & {"AllowedValues", "AllowedPattern"}, name
                    assert all(isinstance(p, str | dict | list) for p in value), name
    assert compared

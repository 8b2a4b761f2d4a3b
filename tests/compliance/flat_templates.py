"""Write each profile as one template that public rule packs can read.

A rule pack reads one file: it follows no nested stack, decides no condition, and passes
what hides behind a reference. A file written here has the resources of one launch that
exist, with their values; only what AWS chooses is a reference.

``python -m tests.compliance.flat_templates FOLDER`` writes the six profiles of which
decision 7 counts the findings.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli import product
from cloudformation.evaluation import STACK, Resource, Stack
from cloudformation.evaluation import Path as StackPath
from cloudformation.schemas import Schema, installed
from tests.compliance.environments import WITH_CERTIFICATE, Library, parameters
from tests.resolver import PSEUDO

PARENT = product.ROOT_TEMPLATE
CATALOG = "service-catalog.template.json"
POLICY = "arn:aws:iam::123456789012:policy/"

PROFILES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "development": (PARENT, parameters("dev")),
    "production": (PARENT, parameters("prod")),
    "existing-vpc": (
        PARENT,
        parameters("prod")
        | {
            "ExistingVpcId": "vpc-0123456789abcdef0",
            "ExistingPublicSubnetIds": "subnet-0aaaaaaa,subnet-0aaaaaab",
            "ExistingPrivateSubnetIds": "subnet-0baaaaaa,subnet-0baaaaab",
            "ExistingDataSubnetIds": "subnet-0caaaaaa,subnet-0caaaaab",
        },
    ),
    "everything": (
        PARENT,
        parameters("prod")
        | WITH_CERTIFICATE
        | {
            "AlarmEmail": "ops@example.com",
            "EnableExecuteCommand": "true",
            "EnableFlower": "true",
            "HostedZoneId": "Z0123456789ABCDEFGHIJ",
            "Image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:3.3.2",
            "InternetAccess": "endpoints",
            "LoadBalancerScheme": "internet-facing",
            "OutboundHttpsCidr": "10.2.0.0/16",
            "S3PrefixListId": "pl-0123456789abcdef0",
            "WebClientCidr": "203.0.113.0/24",
            "WebClientCidr2": "198.51.100.0/24",
            "WebClientCidr3": "192.0.2.0/24",
        },
    ),
    "minimum": (PARENT, {"DatabaseMinCapacity": "0.5", "ApiServerMinimum": "1"}),
    "service-catalog": (
        CATALOG,
        {
            "LauncherArn": "arn:aws:iam::123456789012:role/Data",
            "SupportEmail": "ops@example.com",
            "TagKey": "team",
            "TagValue": "data",
            "HostedZoneId": "Z0123456789ABCDEFGHIJ",
            "LaunchRoleBoundaryArn": f"{POLICY}Boundary",
            "ExtraPolicyArns": f"{POLICY}Extra",
        },
    ),
}
"""A root template and its parameters, beside their defaults."""

STACK_ID = (
    "arn:aws:cloudformation:eu-central-1:123456789012:stack/airflow/6b7c8d90-1a2b"
)
KNOWN = PSEUDO | {"AWS::StackName": "airflow", "AWS::StackId": STACK_ID}


def flat_template(library: Library, profile: str) -> dict[str, Any]:
    """Return the resources of a profile as one template."""
    root, values = PROFILES[profile]

    def find(path: StackPath) -> Mapping[str, Any]:
        template = library[root]
        for logical_id in path:
            properties = template["Resources"][logical_id]["Properties"]
            template = library[properties["TemplateURL"]]
        return template

    resources = Stack(library[root], values, find_template=find, pseudo=KNOWN).walk()
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Profile {profile}",
        "Resources": {
            _logical_id(resource.name): _body(resource)
            for resource in resources
            if resource.type != STACK
        },
    }


def _body(resource: Resource) -> dict[str, Any]:
    registry = installed()
    schema = registry.find(resource.type) if registry else None
    attributes = ("Metadata", "DeletionPolicy", "UpdateReplacePolicy")
    properties = dict(_renamed(resource.properties))
    if schema is not None:
        properties = _typed(properties, schema.document, schema)
    return {
        "Type": resource.type,
        **{name: resource.body[name] for name in attributes if name in resource.body},
        "Properties": properties,
    }


def _logical_id(name: str) -> str:
    """Return a resource's path in the tree of stacks as one logical ID."""
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _renamed(value: Any) -> Any:
    """Return a value with references by the logical IDs of the one template."""
    match value:
        case {"Ref": str(name)}:
            return {"Ref": name if "::" in name else _logical_id(name)}
        case {"Fn::GetAtt": [name, attribute]}:
            return {"Fn::GetAtt": [_logical_id(name), attribute]}
        case dict():
            return {key: _renamed(member) for key, member in value.items()}
        case list():
            return [_renamed(member) for member in value]
    return value


def _typed(value: Any, part: dict[str, Any], schema: Schema) -> Any:
    """Return a value with numbers and booleans where the schema has them."""
    part = schema.resolved(part)
    match value:
        case dict():
            members = part.get("properties", {})
            return {
                key: _typed(member, members.get(key, {}), schema)
                for key, member in value.items()
            }
        case list():
            items = part.get("items", {})
            return [_typed(member, items, schema) for member in value]
        case "true" | "false" if part.get("type") == "boolean":
            return value == "true"
        case str() if part.get("type") in {"integer", "number"}:
            return json.loads(value)
    return value


def main() -> None:
    """Write the profiles into a folder, and print how many resources each has."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    library = {t.path: json.loads(t.text()) for t in product.compile_templates()}
    for profile in PROFILES:
        template = flat_template(library, profile)
        (folder / f"{profile}.json").write_text(json.dumps(template, indent=1))
        sys.stdout.write(f"{profile}: {len(template['Resources'])} resources\n")


if __name__ == "__main__":
    main()

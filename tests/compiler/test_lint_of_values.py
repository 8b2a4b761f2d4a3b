"""Both linters over every parameter with every kind of valid value.

An operator never sees a finding of a linter about a file that the build wrote: the
build lints templates without values. This is where a value that a linter refuses is
found.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cli import product
from compiler import lint, pipeline
from compiler.lint import LintException, LintTask
from compiler.parameters import EnvironmentFile
from compiler.validation import validate
from templates.lint_exceptions import EXCEPTIONS

pytestmark = pytest.mark.slow

PAIRS = 40
CHUNK = 20
"""Sets of values that a worker lints in one task."""

WITH_VALUES = LintException(
    rule="W2503",
    linter="cloudformation-validate",
    template="parent.template.json",
    place="Resources.*.Properties.Parameters.*",
    reason="It takes the values for the only ones, and does not see that Fn::If guards "
    "the reference to a stack that an existing VPC replaces.",
)

SUBNETS = "subnet-0123456789abcdef0,subnet-0123456789abcdef1"
GROUPS = "sg-0123456789abcdef0,sg-0123456789abcdef1"
POLICY = "arn:aws:iam::123456789012:policy"
EXISTING = {
    "ExistingVpcId": "vpc-0123456789abcdef0",
    "ExistingPrivateSubnetIds": SUBNETS,
    "ExistingDataSubnetIds": SUBNETS,
}
ENDPOINTS = {
    "InternetAccess": "endpoints",
    "OutboundHttpsCidr": "10.0.0.0/16",
    "S3PrefixListId": "pl-63a5400a",
}
CERTIFICATE = {
    "CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d",
    "DomainName": "airflow.example.com",
}
PUBLIC = {
    **CERTIFICATE,
    "LoadBalancerScheme": "internet-facing",
    "WebClientCidr": "203.0.113.0/24",
}

LOGIN_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf"

SIGN_ON = {
    "OidcIssuer": "https://login.example.com/tenant",
    "OidcClientId": "airflow",
    "OidcClientSecretArn": f"{LOGIN_ARN}:client",
    "OidcRoles": "data-admins=Admin, analysts=Viewer",
}

TEXTS: Mapping[str, tuple[dict[str, str], ...]] = {
    "Airflow": ({"Airflow": '{"core.default_task_retries": "3"}'},),
    "AlarmEmail": ({"AlarmEmail": "team@example.com"},),
    "ApiServerMinimum": ({"ApiServerMinimum": "2"},),
    "AvailabilityZones": ({"AvailabilityZones": "eu-central-1a,eu-central-1b"},),
    "CacheNodeType": ({"CacheNodeType": "cache.m7g.large"},),
    "CertificateArn": (CERTIFICATE,),
    **{
        name: ({name: text},)
        for pool in ("", "DefaultWorkers", "SpotWorkers")
        for name, text in (
            (f"{pool}DagEgress", "5432-5439 10.20.0.0/16, 22 192.0.2.10/32"),
            (f"{pool}DagSecurityGroupIds", GROUPS),
            (f"{pool}ExtraPolicyArns", f"{POLICY}/a,{POLICY}/b"),
            (f"{pool}AssumableRoleArns", "arn:aws:iam::123456789012:role/a"),
        )
    },
    "DatabaseMaxCapacity": ({"DatabaseMaxCapacity": "8"},),
    "DatabaseMinCapacity": ({"DatabaseMinCapacity": "1.5"},),
    "DatabaseSnapshotId": (
        {"DatabaseSnapshotId": "before-upgrade"},
        {"DatabaseSnapshotId": "arn:aws:rds:eu-central-1:123456789012:snapshot:x"},
    ),
    "DefaultWorkersFallbackMinimum": ({"DefaultWorkersFallbackMinimum": "2"},),
    "DomainName": ({**CERTIFICATE, "HostedZoneId": "Z0123456789ABC"},),
    "Environment": ({"Environment": '{"TEAM": "data"}'},),
    "SecretEnvironment": (
        {"SecretEnvironment": f'{{"worker":{{"TOKEN":"{LOGIN_ARN}:token"}}}}'},
    ),
    "SecretsPrefix": (
        {"SecretsPrefix": "airflow-x"},
        {"SecretsPrefix": "data/airflow", "EnableSecretsAtParsing": "true"},
    ),
    "EndpointServices": (
        {**EXISTING, **ENDPOINTS, "EndpointServices": "glue, sqs, redshift-data"},
    ),
    "ExistingDataSubnetIds": (EXISTING,),
    "ExistingPrivateSubnetIds": ({**EXISTING, **ENDPOINTS},),
    "ExistingPublicSubnetIds": (
        {**EXISTING, **PUBLIC, "ExistingPublicSubnetIds": SUBNETS},
    ),
    "ExistingVpcId": ({**EXISTING, "VpcCidr": ""},),
    "FernetKeySecretArn": ({"FernetKeySecretArn": LOGIN_ARN},),
    "HostedZoneId": ({**CERTIFICATE, "HostedZoneId": "Z0123456789ABC"},),
    "Image": ({"Image": f"apache/airflow@sha256:{'0' * 64}"},),
    "InternetAccess": (ENDPOINTS,),
    "LoadBalancerScheme": (PUBLIC,),
    "LocalAdmin": ({**SIGN_ON, "LocalAdmin": "false"},),
    "OidcClientId": (SIGN_ON,),
    "OidcClientSecretArn": ({**SIGN_ON, "OidcClientSecretArn": LOGIN_ARN},),
    "OidcDefaultRole": tuple(
        {**SIGN_ON, "OidcRoles": "", "OidcDefaultRole": role}
        for role in ("Public", "Viewer")
    ),
    "OidcGroupsClaim": ({**SIGN_ON, "OidcGroupsClaim": "cognito:groups"},),
    "OidcIssuer": (SIGN_ON,),
    "OidcRoles": (SIGN_ON,),
    "OidcScopes": ({**SIGN_ON, "OidcScopes": "openid email groups"},),
    "OutboundHttpsCidr": (ENDPOINTS,),
    "Parallelism": ({"Parallelism": "512"},),
    "PermissionsBoundaryArn": ({"PermissionsBoundaryArn": f"{POLICY}/boundary"},),
    "S3PrefixListId": (ENDPOINTS,),
    "SpotWorkersFallbackMinimum": ({"SpotWorkersFallbackMinimum": "2"},),
    "VpcCidr": ({"VpcCidr": "192.168.0.0/18"},),
    "WebClientCidr": ({"WebClientCidr": "0.0.0.0/0", "AllowAnyWebClient": "true"},),
    "WebClientCidr2": ({"WebClientCidr2": "198.51.100.7/32"},),
    "WebClientCidr3": ({"WebClientCidr3": "172.16.0.0/12"},),
    "WebClients": ({"WebClients": "192.0.2.0/24, pl-63a5400a, sg-0123456789abcdef0"},),
}
"""Values of texts, with the parameters that they need."""


def kinds(name: str, definition: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield every kind of value of a parameter: bounds, choices, texts."""
    yield from TEXTS.get(name, ())
    for value in definition.get("AllowedValues", ()):
        yield {name: str(value)}
    for bound in ("MinValue", "MaxValue"):
        if bound in definition:
            yield {name: str(definition[bound])}
    if "Seconds" in name:
        yield {name: "60"}
    if name.endswith("Memory"):
        yield {name: "8192", name.replace("Memory", "Cpu"): "2048"}


def valid(document: Mapping[str, Any], sets: list[dict[str, str]]) -> dict[str, Any]:
    """Return the sets that the parameter check accepts, each once and by a name."""
    checks = tuple(product.checks())
    accepted: dict[str, dict[str, str]] = {}
    for values in sets:
        environment = EnvironmentFile(
            name="x",
            source="x.json",
            parameters=MappingProxyType(values),
            lines=MappingProxyType(dict.fromkeys(values, 1)),
        )
        if not validate(environment, document, checks).problems:
            accepted[" ".join(f"{k}={v}" for k, v in sorted(values.items()))] = values
    return accepted


def test_no_linter_speaks_of_a_value_that_the_check_accepts(tmp_path: Path) -> None:
    files = {template.path: template.text() for template in product.compile_templates()}
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    root = pipeline.root_template(product.project()).document
    definitions = root["Parameters"]
    unused = TEXTS.keys() - definitions.keys()
    assert not unused
    alone = [v for name, each in definitions.items() for v in kinds(name, each)]
    pairs = [{**a, **b} for a, b in itertools.combinations(alone, 2)]
    sample = random.Random(0).sample(pairs, PAIRS)  # noqa: S311 - the same every time
    sets = valid(root, [*alone, *sample])
    spoken = {name for values in sets.values() for name in values}
    assert definitions.keys() == spoken
    names = sorted(sets)
    tasks = [
        LintTask(
            template=product.ROOT_TEMPLATE,
            environments={name: sets[name] for name in names[at : at + CHUNK]},
        )
        for at in range(0, len(names), CHUNK)
    ]
    with lint.CfnLint() as cfn_lint:
        findings = cfn_lint.run(tmp_path, tasks) + lint.validate(tmp_path, tasks)
    templates = product.ROOT / "templates"
    assert lint.problems(findings, (*EXCEPTIONS, WITH_VALUES), templates) == []

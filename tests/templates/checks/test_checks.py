"""Checks across parameters: values that would launch, and then not work."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from troposphere import Ref

from cli.errors import Problem
from compiler.constraints import MAX_VALUE_BYTES
from compiler.interfaces import fill, leaves
from compiler.parameter_formats import formats
from compiler.parameters import EnvironmentFile
from compiler.validation import Check, validate
from compiler.wiring import Build, Template, title
from templates.airflow.environment import VISIBILITY_SECONDS
from templates.airflow.fargate_sizes import MEMORY_BY_CPU
from templates.airflow.pools import POOLS, Pool, all_but
from templates.checks.rules import add_rules
from templates.checks.table import checks
from templates.parameters import Parameters
from tests.linter_data import linter_data

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/airflow:3.3.2"
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d"
IN_CHINA = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/airflow:3.3.2"
FERNET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:fernet-AbCdEf"
GOVERNMENT = "arn:aws-us-gov:iam::123456789012:policy/Boundary"
VPC = "vpc-0123456789abcdef0"
SUBNETS = "subnet-0123456789abcdef0,subnet-0123456789abcdef1"

SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf"  # noqa: S105
SIGN_ON = {
    "OidcIssuer": "https://login.example.com",
    "OidcClientId": "airflow",
    "OidcClientSecretArn": SECRET_ARN,
    "OidcRoles": "data-admins=Admin",
}
POLICY = "arn:aws:iam::123456789012:policy/"
ROLE = "arn:aws:iam::111122223333:role/"
IN_CHINA_ROLE = "arn:aws-cn:iam::111122223333:role/a"
POLICIES = [f"{POLICY}{number}" for number in range(10)]
GROUPS = [f"sg-0123456789abcdef{number}" for number in range(5)]
MANY_ENTRIES = ",".join(f"22 10.1.0.{number}/32" for number in range(21))


def template(pools: tuple[Pool, ...] = POOLS) -> dict[str, Any]:
    """A root with the product's parameters and Rules."""
    page = Template("parent", "A root.", "", Build(), is_root=True)
    for leaf in leaves(Parameters):
        page.declare(leaf, "Choices")
    for pool in pools:
        pool.worker_pool(page)
    add_rules(page, fill(Parameters, lambda leaf: leaf.kind(Ref(title(leaf.name)))))
    document: dict[str, Any] = json.loads(page.to_json())
    return document


@cache
def parent() -> dict[str, Any]:
    return template()


def environment_file(parameters: Mapping[str, str]) -> EnvironmentFile:
    return EnvironmentFile(
        name="dev",
        source="dev.json",
        parameters=MappingProxyType(dict(parameters)),
        lines=MappingProxyType(dict.fromkeys(parameters, 1)),
    )


def problems(**parameters: str) -> tuple[Problem, ...]:
    """Problems of constraints and checks; the Rules have tests of their own."""
    without_rules = parent() | {"Rules": {}}
    return validate(environment_file(parameters), without_rules, checks()).problems


def the_problem(**parameters: str) -> Problem:
    report = problems(**parameters)
    assert len(report) == 1, "\n".join(map(str, report))
    return report[0]


ENDPOINTS = {
    "InternetAccess": "endpoints",
    "OutboundHttpsCidr": "10.0.0.0/16",
    "Image": ECR,
}
EXISTING = {
    "ExistingVpcId": VPC,
    "ExistingPrivateSubnetIds": SUBNETS,
    "ExistingDataSubnetIds": SUBNETS,
}
PUBLIC = {
    "LoadBalancerScheme": "internet-facing",
    "WebClientCidr": "203.0.113.0/24",
}


def test_the_defaults_launch() -> None:
    assert validate(environment_file({}), parent(), checks()).problems == ()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        ENDPOINTS,
        EXISTING,
        EXISTING | {"VpcCidr": "", "OutboundHttpsCidr": "10.1.0.0/16"},
        {"Profile": "production"},
        # The ARN of a boundary has no region.
        {
            "CertificateArn": CERTIFICATE,
            "Image": ECR,
            "PermissionsBoundaryArn": GOVERNMENT.replace("-us-gov", ""),
        },
        PUBLIC,
        PUBLIC | {"WebClientCidr": "0.0.0.0/0", "AllowAnyWebClient": "true"},
        {"VpcCidr": "192.168.0.0/18", "ZoneCount": "3"},
        {"VpcCidr": "100.64.0.0/16"},
        {"DatabaseMinCapacity": "0", "DatabaseMaxCapacity": "2.5"},
        {"ApiServerCpu": "8192", "ApiServerMemory": "61440"},
        {"DefaultWorkersMinimum": "10", "DefaultWorkersMaximum": "10"},
        {"WebClientCidr2": "198.51.100.7/32", "WebClientCidr3": "172.16.0.0/12"},
        {"Image": "apache/airflow:3.3"},
        {"Image": "localhost:5000/airflow:2026-11-01"},
        {"Image": f"apache/airflow@sha256:{'0' * 64}"},
        {"ExtraPolicyArns": f"{POLICY}a"},
        {"ExtraPolicyArns": f"{POLICY}a, {POLICY}b"},
        {"ExtraPolicyArns": f"{POLICY}a", "SpotWorkersExtraPolicyArns": "none"},
        {"SpotWorkersExtraPolicyArns": ",".join(POLICIES[:9])},
        {"AssumableRoleArns": f"{ROLE}a, {ROLE}team/b"},
        {"AssumableRoleArns": f"{ROLE}a", "SpotWorkersAssumableRoleArns": "none"},
        # The environment's list counts only where it applies.
        {
            "ExtraPolicyArns": ",".join(POLICIES[:9]),
            "SpotWorkersExtraPolicyArns": f"{POLICY}a",
            "SpotWorkersAssumableRoleArns": f"{ROLE}a",
        },
        {"DagEgress": "5432-5439 10.20.0.0/16, 22 192.0.2.10/32, 587 0.0.0.0/0"},
        {"DagEgress": "22 10.0.0.0/8, 5432 10.0.0.0/8"},
        ENDPOINTS | {"EndpointServices": "glue, sqs, athena, redshift-data"},
        {"WebClients": f"192.0.2.0/24, pl-63a5400a, {GROUPS[0]}"},
        PUBLIC | {"WebClientCidr": "10.0.0.0/8", "WebClients": "pl-63a5400a"},
        {"SpotWorkersDagEgress": "none", "SpotWorkersDagSecurityGroupIds": "none"},
        {"DagSecurityGroupIds": ", ".join(GROUPS[:4])},
        EXISTING | {"DagEgress": "5433 10.0.0.0/8"},
        {"OidcRoles": "data admins = Admin,0760b6cf-170e-4a14=Viewer, ops=Op"},
        {
            "OidcIssuer": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab"
        },
        {"OidcIssuer": "https://login.example.com:8443/"},
        {"OidcGroupsClaim": "https://example.com/groups"},
    ],
)
def test_valid_parameters_pass(parameters: dict[str, str]) -> None:
    assert problems(**parameters) == ()


REFUSED: list[tuple[dict[str, str], str, str]] = [
    # Images that the migration job refuses after VPC and database are made.
    ({"Image": "apache/airflow"}, "has no tag", "Name a version"),
    ({"Image": "localhost:5000/airflow"}, "has no tag", "Name a version"),
    ({"Image": "apache/airflow:latest"}, "the latest", "Name a version"),
    ({"Image": ECR.replace("/", "/a/b/c/d/e/f/g/h/")}, "8 parts", "a shorter name"),
    ({"Image": "apache/airflow:2.10.5"}, "Airflow 2.10.5", "apache/airflow:3.3."),
    ({"Image": "docker.io/apache/airflow:slim-3.2.0-python3.12"}, "3.2.0", "3.3."),
    # tests/templates/checks/test_settings.py has more of these.
    ({"EnableSecretsAtParsing": "true"}, "SecretsPrefix is empty", "Set SecretsPrefix"),
    ({"Airflow": '{"x": "1"}'}, "is not section.option", "Write such as core."),
    ({"Airflow": '{"metrics.otel_on": "1"}'}, "so is AirflowMetrics", "to false"),
    ({"Environment": '{"PATH": "/x"}'}, "belongs to the platform", "another name"),
    (
        {"SecretEnvironment": '{"nowhere":{}}'},
        "neither a component nor a pool",
        "Name one of these",
    ),
    # API servers have five secret variables, the client's secret among them.
    (
        {
            "SecretEnvironment": json.dumps(
                {"api-server": {f"X{number}": SECRET_ARN for number in range(5)}},
                separators=(",", ":"),
            ),
            **SIGN_ON,
        },
        "api-server has 6 secret variables: X0, X1, X2, X3, X4, OIDC_CLIENT_SECRET",
        "Name each for the components",
    ),
    # IAM takes ten policies a role, each once.
    ({"ExtraPolicyArns": ",".join(POLICIES)}, "names 10 policies", "Name 9 or fewer"),
    (
        {"ExtraPolicyArns": ",".join(POLICIES[:9]), "EnableExecuteCommand": "true"},
        "names 9 policies",
        "Name 8 or fewer",
    ),
    *(
        (
            {
                "ExtraPolicyArns": ",".join(POLICIES[:9]),
                f"{prefix}AssumableRoleArns": f"{ROLE}a",
            },
            "names 9 policies",
            "Name 8 or fewer",
        )
        for prefix in ("", "SpotWorkers")
    ),
    *(
        ({f"{pool}{name}": text}, what, remedy)
        for pool in ("DefaultWorkers", "SpotWorkers")
        for name, text, what, remedy in (
            (
                "ExtraPolicyArns",
                ",".join(POLICIES),
                f"{pool}ExtraPolicyArns names 10 policies",
                "Name 9 or fewer",
            ),
            ("AssumableRoleArns", f"{ROLE}a,", "empty element", "the comma"),
        )
    ),
    (
        {"SpotWorkersExtraPolicyArns": f"none,{POLICY}a"},
        "none stands beside",
        "Write none alone",
    ),
    ({"AssumableRoleArns": f"{ROLE}a,{ROLE}a"}, "twice", "Delete one"),
    (
        {"CertificateArn": CERTIFICATE, "AssumableRoleArns": IN_CHINA_ROLE},
        "AssumableRoleArns in aws-cn.",
        "Name resources of the region",
    ),
    (
        {"SpotWorkersAssumableRoleArns": f"{ROLE}a,{IN_CHINA_ROLE}"},
        "SpotWorkersAssumableRoleArns in aws, SpotWorkersAssumableRoleArns in aws-cn.",
        "Name resources of the region",
    ),
    ({"ExtraPolicyArns": f"{POLICY}a,"}, "an empty element", "Delete the comma"),
    ({"ExtraPolicyArns": f"{POLICY}a, {POLICY}a"}, "twice", "Delete one"),
    # A stack cannot use what is in another partition or region.
    (
        {"CertificateArn": CERTIFICATE, "Image": IN_CHINA},
        "partition: CertificateArn in aws, Image in aws-cn.",
        "Name resources of the region",
    ),
    (
        {"CertificateArn": CERTIFICATE, "PermissionsBoundaryArn": GOVERNMENT},
        "CertificateArn in aws, PermissionsBoundaryArn in aws-us-gov.",
        "Name resources of the region",
    ),
    (
        {"CertificateArn": CERTIFICATE.replace("central", "west"), "Image": ECR},
        "region: CertificateArn in eu-west-1, Image in eu-central-1.",
        "Name resources of the region",
    ),
    (
        {"FernetKeySecretArn": FERNET_ARN, "Image": ECR},
        "region: Image in eu-central-1, FernetKeySecretArn in eu-west-1.",
        "Name resources of the region",
    ),
    # Sizes that Fargate refuses when the service is created, half an hour in.
    ({"SchedulerMemory": "1024"}, "no task of 1024 CPU units and 1024 MiB", "to 2048"),
    ({"SchedulerMemory": "1024"}, "no task of", "or SchedulerCpu to 256."),
    ({"ApiServerCpu": "8192", "ApiServerMemory": "17408"}, "17408", "to 16384"),
    ({"ApiServerCpu": "16384", "ApiServerMemory": "36864"}, "36864", "to 40960"),
    ({"DagProcessorMemory": "122880"}, "122880", "to 4096, or DagProcessorCpu to 163"),
    ({"TriggererCpu": "256", "TriggererMemory": "3072"}, "3072", "to 2048"),
    ({"DefaultWorkersMemory": "3072"}, "3072", "Set DefaultWorkersMemory to 4096"),
    (
        {"SpotWorkersCpu": "4096"},
        "4096 CPU units and 4096",
        "SpotWorkersMemory to 8192",
    ),
    # Processes of a worker that its memory does not hold even while they wait.
    *(
        (
            {f"{pool}Cpu": "512", f"{pool}Memory": "1024", f"{pool}Concurrency": "20"},
            f"20 tasks at once need 1128 MiB, and {pool}Memory is 1024.",
            f"Write 17 or less, or raise {pool}Memory.",
        )
        for pool in ("DefaultWorkers", "SpotWorkers")
    ),
    # Bounds that cross.
    (
        {"DefaultWorkersMinimum": "11"},
        "is 11, and DefaultWorkersMaximum is 10",
        "Raise",
    ),
    ({"SpotWorkersMinimum": "11"}, "is 11, and SpotWorkersMaximum is 10", "Raise"),
    ({"ApiServerMinimum": "5"}, "is 5, and ApiServerMaximum is 4", "lower"),
    ({"DatabaseMinCapacity": "8"}, "is 8, and DatabaseMaxCapacity is 4", "Raise"),
    # Numbers that no service takes.
    ({"SchedulerCount": "1.5"}, "1.5 is not a whole number", "Write 2."),
    ({"DefaultWorkersConcurrency": "7.5"}, "not a whole number", "Write 8."),
    (
        {"ApiServerMaximum": "1001", "DatabaseMaxCapacity": "256"},
        "ApiServerMaximum is 1001",
        "Write 1000 or less.",
    ),
    (
        {
            "DefaultWorkersMaximum": "5001",
            "DefaultWorkersConcurrency": "1",
        },
        "DefaultWorkersMaximum is 5001",
        "Write 5000 or less.",
    ),
    (
        {
            "SpotWorkersMaximum": "5001",
            "SpotWorkersConcurrency": "1",
        },
        "SpotWorkersMaximum is 5001",
        "Write 5000 or less.",
    ),
    # Ranges of addresses.
    ({"WebClientCidr2": "10.0.0.256/32"}, "Octet 256 (> 255)", "up to 255"),
    ({"WebClientCidr3": "999.0.0.0/8"}, "Octet 999 (> 255)", "up to 255"),
    ({"VpcCidr": "10.0.0.300/16"}, "Octet 300 (> 255)", "four numbers up to 255"),
    ({"VpcCidr": "10.0.0.0/33"}, "is no range of IPv4", "a prefix up to 32"),
    ({"VpcCidr": "10.0.1.0/16"}, "not the first address", "Write 10.0.0.0/16"),
    ({"VpcCidr": "10.0.0.0/19"}, "8,192 addresses", "Write 10.0.0.0/18."),
    ({"VpcCidr": "10.0.0.0/8"}, "16,777,216 addresses", "Write 10.0.0.0/16."),
    ({"VpcCidr": "8.8.0.0/16"}, "8.8.0.0/16 is not a private range", "10.0.0.0/8"),
    ({"VpcCidr": ""}, "The new VPC has no range.", "Write 10.0.0.0/16."),
    ({"WebClientCidr": "203.0.113.9/24"}, "203.0.113.9/24", "203.0.113.9/32"),
    ({"OutboundHttpsCidr": "1.2.3.4/0"}, "not the first address", "Write 0.0.0.0/0"),
    (
        {"WebClientCidr2": "10.0.0.0/8"},
        "WebClientCidr is 10.0.0.0/8 already",
        "Empty one",
    ),
    ({"WebClientCidr3": "10.0.0.0/8"}, "WebClientCidr is 10.0.0.0/8 already", "Empty"),
    (
        {"WebClientCidr2": "10.1.0.0/16", "WebClientCidr3": "10.1.0.0/16"},
        "WebClientCidr2 is 10.1.0.0/16 already",
        "Empty one of the two.",
    ),
    # The internet in two halves is the internet: a Rule sees only 0.0.0.0/0.
    ({"WebClientCidr": "0.0.0.0/1"}, "2,147,483,648 addresses", "AllowAnyWebClient"),
    ({"WebClientCidr2": "128.0.0.0/1"}, "2,147,483,648 addresses", "Narrow it"),
    ({"WebClientCidr3": "64.0.0.0/2"}, "1,073,741,824 addresses", "Narrow it"),
    (
        PUBLIC | {"WebClientCidr": "10.0.0.0/8"},
        "Only 10.0.0.0/8 may open an internet-facing UI.",
        "public addresses of your network",
    ),
    # Tasks that could not even fetch their image.
    ({"OutboundHttpsCidr": ""}, "Tasks may connect to nothing.", "Write 0.0.0.0/0"),
    ({"OutboundHttpsCidr": "10.0.0.0/16"}, "AWS is on the internet", "endpoints"),
    (
        ENDPOINTS | {"OutboundHttpsCidr": "10.1.0.0/16"},
        "the endpoints are in 10.0.0.0/16",
        "Set OutboundHttpsCidr to 10.0.0.0/16.",
    ),
    (
        ENDPOINTS | {"Image": "apache/airflow:3.3.2-python3.12"},
        "comes from Docker Hub",
        "Copy the image",
    ),
    (ENDPOINTS | {"Image": "public.ecr.aws/a/b:1"}, "from public.ecr.aws.", "Copy"),
    # One zone, named twice.
    (
        EXISTING
        | {"ExistingPrivateSubnetIds": ",".join([SUBNETS.partition(",")[0]] * 2)},
        "subnet-0123456789abcdef0 is named twice.",
        "another subnet",
    ),
    (
        EXISTING | {"ExistingDataSubnetIds": f"{SUBNETS},{SUBNETS}"},
        "is named twice.",
        "another subnet",
    ),
    (
        EXISTING | {"ExistingPublicSubnetIds": f"{SUBNETS},{SUBNETS}"},
        "is named twice.",
        "another subnet",
    ),
    (
        {"AvailabilityZones": "eu-central-1a,eu-central-1b", "ZoneCount": "3"},
        "It names 2 zones, and ZoneCount is 3.",
        "leave it empty",
    ),
    (
        {"AvailabilityZones": "eu-central-1a,eu-central-1a"},
        "It names 1 zones, and ZoneCount is 2.",
        "as many different zones",
    ),
    # The database.
    (
        {"Profile": "production", "DatabaseMinCapacity": "0.5"},
        "A production database may shrink to 0.5 units.",
        "Write 1 or more.",
    ),
    (
        {"DatabaseMaxCapacity": "1"},
        "may open 288 connections; 151 are to be used, 80 % of what 1 capacity units",
        "Set DatabaseMaxCapacity to 2 or more",
    ),
    # The queues.
    (
        {"Parallelism": "159"},
        "The pools hold 160 tasks at once, and Parallelism is 159.",
        "Set Parallelism to 160 or more, or leave it empty.",
    ),
    (
        {"DefaultWorkersFallbackMinimum": "11"},
        "DefaultWorkersFallbackMinimum is 11, and DefaultWorkersMaximum is 10.",
        "Raise DefaultWorkersMaximum to 11, or lower DefaultWorkersFallbackMinimum",
    ),
    (
        {"SpotWorkersFallbackMinimum": "11"},
        "SpotWorkersFallbackMinimum is 11, and SpotWorkersMaximum is 10.",
        "Raise SpotWorkersMaximum to 11",
    ),
    # Further endpoints.
    (
        {"EndpointServices": "glue"},
        "EndpointServices is glue, and InternetAccess is single-nat",
        "set InternetAccess to endpoints",
    ),
    (ENDPOINTS | {"EndpointServices": "sqs, sqs"}, "names sqs twice", "Delete one"),
    # More web clients.
    ({"WebClients": f"{GROUPS[0]}, {GROUPS[0]}"}, f"names {GROUPS[0]} twice", "Delete"),
    ({"WebClients": "192.0.2.0/24,"}, "an empty element", "Delete the comma"),
    (
        {"WebClients": ",".join(f"192.0.2.{number}/32" for number in range(11))},
        "192.0.2.10/32 is the first one too many",
        "a prefix list",
    ),
    ({"WebClients": "192.0.2.0/24, 192.0.2.9/24"}, "192.0.2.9/24", "192.0.2.0/24"),
    ({"WebClients": "0.0.0.0/2"}, "1,073,741,824 addresses", "Narrow it"),
    (
        {"WebClients": "172.16.0.0/12, 10.0.0.0/8"},
        "WebClientCidr is 10.0.0.0/8 already",
        "Delete it in WebClients",
    ),
    (
        PUBLIC | {"WebClientCidr": "10.0.0.0/8", "WebClients": "172.16.0.0/12"},
        "Only 10.0.0.0/8, 172.16.0.0/12 may open",
        "to internal",
    ),
    # What DAG code may connect to.
    *(
        ({name: text}, what, remedy)
        for name in ("DagEgress", "DefaultWorkersDagEgress", "SpotWorkersDagEgress")
        for text, what, remedy in (
            ("22 10.1.0.0/16,,", "an empty element", "Delete the comma"),
            (MANY_ENTRIES, "22 10.1.0.20/32 is the first one too many", "Join"),
            ("22 10.1.0.0/16, 70000 10.1.0.0/16", "70000 10.1.0.0/16: there", "65535"),
            ("9-1 10.1.0.0/16", "9-1 10.1.0.0/16: its first", "Write 1-9 10.1.0.0"),
            ("22 10.1.0.1/16", "22 10.1.0.1/16: 10.1.0.1/16 is not", "10.1.0.0/16"),
            ("22 10.1.0.999/32", "22 10.1.0.999/32: 10.1.0.999", "four numbers"),
            ("1-9 128.0.0.0/1", "9 ports to 2,147,483,648", "each single port"),
            ("22 10.1.0.0/16, 22 10.1.0.0/16", "names 22 10.1.0.0/16 twice", "one of"),
            ("22 10.1.0.0/16, 22-22 10.1.0.0/16", "22-22 10.1.0.0/16 is in", "one of"),
            (
                "5432-5439 10.0.0.0/8",
                "the metadata database (5433) of this environment, in 10.0.51.0/24",
                "or 5432 10.0.0.0/8, or 5434-5439 10.0.0.0/8",
            ),
            ("6379 10.0.0.0/16", "the broker (6379)", "own databases."),
            ("22 10.0.51.0/28", "lies in 10.0.51.0/24, a data subnet", "your own"),
            ("443 0.0.0.0/0", "443 0.0.0.0/0 is the rule of Outbound", "Delete the"),
        )
    ),
    *(
        (
            ENDPOINTS | {name: "587 0.0.0.0/0"},
            "587 0.0.0.0/0 leads to the internet",
            "networks that the VPC is connected to",
        )
        for name in ("DagEgress", "DefaultWorkersDagEgress", "SpotWorkersDagEgress")
    ),
    (
        {"SpotWorkersDagEgress": "none, 22 10.1.0.0/16"},
        "none stands beside other elements",
        "Write none alone",
    ),
    # ECS takes five security groups a task.
    *(
        ({name: text}, what, remedy)
        for name in (
            "DagSecurityGroupIds",
            "DefaultWorkersDagSecurityGroupIds",
            "SpotWorkersDagSecurityGroupIds",
        )
        for text, what, remedy in (
            (",".join(GROUPS), f"{GROUPS[4]} is the first one too many", "Name 4"),
            (f"{GROUPS[0]}, {GROUPS[0]}", f"names {GROUPS[0]} twice", "Delete one"),
            (f"{GROUPS[0]},", "an empty element", "Delete the comma"),
        )
    ),
    (
        {"SpotWorkersDagSecurityGroupIds": f"none,{GROUPS[0]}"},
        "none stands beside",
        "Write none alone",
    ),
]


@pytest.mark.parametrize(("parameters", "what", "remedy"), REFUSED)
def test_invalid_parameters_are_refused(
    parameters: dict[str, str], what: str, remedy: str
) -> None:
    report = problems(**parameters)

    assert any(
        what in problem.what and remedy in problem.remedy for problem in report
    ), report


@pytest.mark.parametrize(
    "text",
    [
        *("5432", "10.1.0.0/16", "tcp/22 10.1.0.0/16", "22  10.1.0.0/16"),
        *("22 fd00::/8", "22 10.1.0.0", "022 10.1.0.0/16", "1-65535 0.0.0.0/0"),
        *("-1 10.1.0.0/16", "22-  10.1.0.0/16", "22 sg-0123456789abcdef0", "none"),
    ],
)
def test_entry_that_is_no_ports_and_range_is_named(text: str) -> None:
    problem = the_problem(DagEgress=f"22 10.2.0.0/16, {text}")
    assert problem.what == f'"{text}" has another form.'


@pytest.mark.parametrize("text", ["glu", "sts", "com.amazonaws.eu-central-1.sqs"])
def test_service_that_has_no_further_endpoint_is_named(text: str) -> None:
    problem = the_problem(**ENDPOINTS, EndpointServices=f"glue, {text}")
    assert problem.what.startswith(f'"{text}"')
    assert "glue, kinesis-firehose" in problem.why


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "fd00::/8", "pl-x", "sg-", "10.1.0.0", "airflow.example.com"]
)
def test_web_client_of_no_known_kind_is_named(text: str) -> None:
    problem = the_problem(WebClients=f"192.0.2.0/24, {text}")
    assert problem.what == f'"{text}" has another form.'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TaskLogDays", "36501"),
        ("AccessLogDays", "0"),
        ("DomainName", f"{'a' * 64}.example.com"),
        ("DomainName", f"{'a.' * 125}abcd"),
    ],
)
def test_value_beyond_a_bound_of_its_type_is_refused(name: str, value: str) -> None:
    assert the_problem(**{name: value}).where == f"dev.json:1 {name}"


def test_a_mistake_is_reported_once() -> None:
    for parameters, what, _ in REFUSED:
        if not any(name.endswith("Maximum") for name in parameters):
            # More workers also need more of everything else, and that is told too.
            assert what in the_problem(**parameters).what


def test_more_tasks_than_addresses_are_refused() -> None:
    report = problems(SpotWorkersMaximum="4100")

    assert any(
        "Up to 4117 tasks need 8234 addresses, and the private subnets have 8182."
        in problem.what
        for problem in report
    )
    assert not any("addresses" in p.what for p in problems(SpotWorkersMaximum="4000"))
    assert not any(
        "addresses" in problem.what
        for problem in problems(**EXISTING, SpotWorkersMaximum="4100")
    )


@pytest.mark.parametrize("prefix", ["", "SpotWorkers"])
@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:iam::*:role/Lake",
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::111122223333:role/Lake*",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::111122223333:user/Lake",
        "arn:aws:iam::1111222233:role/Lake",
        "arn:aws:sts::111122223333:assumed-role/Lake/session",
        "Lake",
        "*",
    ],
)
def test_a_role_to_assume_is_named_exactly(prefix: str, text: str) -> None:
    for each in (text, f"{ROLE}a,{text}"):
        (problem,) = problems(**{f"{prefix}AssumableRoleArns": each})
        assert "has another form" in problem.what
        assert "arn:aws:iam::123456789012:role/Reader" in problem.why


def test_every_check_fails_for_some_parameters() -> None:
    # A Rule that nothing breaks guards nothing; so with a check.
    base = parent() | {"Rules": {}}
    silent = {check.name: check for check in checks()}
    for parameters in [*(row[0] for row in REFUSED), {"SpotWorkersMaximum": "4100"}]:
        environment = environment_file(parameters)
        for name, check in list(silent.items()):
            if validate(environment, base, [check]).problems:
                del silent[name]

    counts = {name for name in silent if name.endswith("is a whole number")}
    # The bound of LongestTaskMinutes says no before that check is asked; both have
    # tests of their own below.
    assert silent.keys() - counts == {"no message is redelivered while its task runs"}


def test_every_count_is_checked_for_fractions() -> None:
    numbers = {
        name: definition
        for name, definition in parent()["Parameters"].items()
        if definition["Type"] == "Number" and "AllowedValues" not in definition
    }

    for name, definition in numbers.items():
        half = f"{definition.get('MinValue', 0)}.5"
        report = [problem.what for problem in problems(**{name: half})]
        assert f"{half} is not a whole number." in report, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DatabaseMinCapacity", text) for text in ("1.0", "0.50", "1.2", "256.5")),
        *(("DatabaseMaxCapacity", text) for text in ("0.5", "04", "257")),
        *(("ApiServerMinimum", text) for text in ("1.0", "01", "0")),
        ("DefaultWorkersFallbackMinimum", "0.0"),
    ],
)
def test_compared_numbers_have_one_spelling(name: str, value: str) -> None:
    # Rules and conditions compare text: "1.0" would pass as another number than 1.
    assert "does not match" in the_problem(**{name: value}).what


def test_the_sum_of_the_connections_is_shown() -> None:
    report = the_problem(DatabaseMaxCapacity="1")

    assert report.why == (
        "(schedulers 1 + API servers 4 x 1 + DAG processor 1 + triggerers 1) x "
        "(pool 5 + overflow 10) + for Celery's results: worker processes 180 + "
        "schedulers 1 + autoscalers 1 x 2 = 288."
    )


def test_a_small_minimum_caps_the_connections() -> None:
    # Below 1 unit Aurora admits 2,000 at most, whatever the maximum.
    many = {
        "SpotWorkersMaximum": "200",
        "Parallelism": "9999",
        "DatabaseMaxCapacity": "64",
    }
    assert problems(**many) == ()

    report = the_problem(**many, DatabaseMinCapacity="0.5")

    assert "1600 are to be used" in report.what
    assert "and DatabaseMinCapacity to 1, or lower" in report.remedy


@pytest.mark.parametrize("name", sorted({n for c in checks() for n in c.reads}))
def test_a_renamed_parameter_fails_its_checks(name: str) -> None:
    definitions = parent()["Parameters"]
    assert name in definitions
    renamed = parent() | {
        "Parameters": {
            (f"{parameter}2" if parameter == name else parameter): d
            for parameter, d in definitions.items()
        },
        "Rules": {},
    }

    report = validate(environment_file({}), renamed, checks()).problems

    assert report
    assert all(
        f"it reads {name}, which the parent" in problem.what for problem in report
    )


def test_fargate_sizes_match_the_linters() -> None:
    # Its table is kept by AWS.
    schema = linter_data(
        "schemas/extensions/aws_ecs_taskdefinition/fargate_cpu_memory.json"
    )
    known = {}
    for pair in schema["then"]["anyOf"]:
        (cpu,) = pair["properties"]["Cpu"]["then"]["enum"]
        sizes = pair["properties"]["Memory"]["then"]
        known[int(cpu)] = tuple(
            sizes.get("enum")
            or range(sizes["minimum"], sizes["maximum"] + 1, sizes["multipleOf"])
        )

    assert {cpu: known[cpu] for cpu in MEMORY_BY_CPU} == MEMORY_BY_CPU
    assert max(known) == 32768, "Fargate has a new size: offer it?"


def test_the_longest_task_ends_before_redelivery() -> None:
    most = parent()["Parameters"]["LongestTaskMinutes"]["MaxValue"]
    assert int(most) * 60 < VISIBILITY_SECONDS

    # Should the bound be raised one day, the check says no in its place.
    raised = json.loads(json.dumps(parent()))
    raised["Parameters"]["LongestTaskMinutes"]["MaxValue"] = 99999
    late = {"LongestTaskMinutes": str(VISIBILITY_SECONDS // 60)}
    (report,) = validate(environment_file(late), raised, checks()).problems
    assert "the task would run twice" in report.why


FIXED = Pool(
    name="fixed",
    queue="fixed",
    fixed={
        **all_but("concurrency"),
        "cpu": 1024,
        "memory": 1024,
        "minimum": 3,
        "maximum": 2,
    },
)


def test_fixed_settings_of_a_pool_are_checked_too() -> None:
    pools = (*POOLS, FIXED)
    report = validate(environment_file({}), template(pools), checks(pools)).problems

    said = "\n".join(map(str, report))
    assert "Set memory of the fixed pool in pools.json to 2048" in said
    assert "minimum of the fixed pool in pools.json is 3" in said
    assert "FixedWorkersMemory" not in said


def test_fifty_pools_are_checked() -> None:
    pools = tuple(
        Pool(
            name=f"p{i}",
            queue=f"p{i}",
            defaults={"maximum": 2},
            fixed=all_but("maximum"),
        )
        for i in range(50)
    )
    table = checks(pools)

    report = validate(
        environment_file({"P49WorkersMaximum": "0.5"}), template(pools), table
    )

    assert any("P49WorkersMaximum" in problem.where for problem in report.problems)


@given(st.data())
def test_accepted_values_round_trip_through_every_format(
    data: st.DataObject,
) -> None:
    definitions = parent()["Parameters"]
    some = data.draw(st.lists(st.sampled_from(sorted(definitions)), unique=True))
    values = {name: data.draw(_accepted(definitions[name])) for name in some}
    wrong = [
        p
        for p in validate(environment_file(values), parent()).problems
        if "Rule" not in p.what
    ]
    assert wrong == []

    files = formats(environment_file(values), root_template="parent.template.json")

    shape = {name.rpartition("/")[2]: text for name, text in files.items()}
    assert json.loads(shape["codepipeline.json"])["Parameters"] == values
    assert {
        pair["ParameterKey"]: pair["ParameterValue"]
        for pair in json.loads(shape["cli.json"])
    } == values
    yaml: Any = importlib.import_module("yaml")
    assert yaml.safe_load(shape["git-sync.yaml"])["parameters"] == values


def _accepted(definition: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if "AllowedValues" in definition:
        return st.sampled_from([str(value) for value in definition["AllowedValues"]])
    if definition["Type"] == "Number":
        least = int(definition.get("MinValue", 0))
        return st.integers(least, int(definition.get("MaxValue", 99999))).map(str)
    printable = st.characters(min_codepoint=32, max_codepoint=126)
    pattern = definition.get("AllowedPattern", ".*")
    # The pattern is about each element of a list, and a comma would begin another.
    apart = "," if definition["Type"] == "CommaDelimitedList" else "\n"
    least = int(definition.get("MinLength", 0))
    most = int(definition.get("MaxLength", MAX_VALUE_BYTES))
    return st.from_regex(pattern, fullmatch=True, alphabet=printable).filter(
        lambda text: least <= len(text) <= most and apart not in text
    )


@given(st.data())
def test_a_value_outside_its_bounds_is_always_refused(data: st.DataObject) -> None:
    definitions = {
        name: definition
        for name, definition in parent()["Parameters"].items()
        if "MinValue" in definition or "MaxValue" in definition
    }
    name = data.draw(st.sampled_from(sorted(definitions)))
    definition = definitions[name]
    outside = []
    if "MinValue" in definition:
        outside.append(st.integers(max_value=int(definition["MinValue"]) - 1))
    if "MaxValue" in definition:
        outside.append(st.integers(min_value=int(definition["MaxValue"]) + 1))
    value = str(data.draw(st.one_of(outside)))

    report = problems(**{name: value})

    assert any(problem.where == f"dev.json:1 {name}" for problem in report)


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in checks()]

    assert len(names) == len(set(names))
    assert all(isinstance(check, Check) and check.reads for check in checks())
    assert POOLS[0].file_values().cpu.name == "DefaultWorkersCpu"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (SIGN_ON, ""),
        (SIGN_ON | {"LocalAdmin": "false"}, ""),
        (SIGN_ON | {"OidcRoles": "", "OidcDefaultRole": "Viewer"}, ""),
        (SIGN_ON | {"OidcClientId": ""}, "set OidcClientId"),
        (SIGN_ON | {"OidcClientSecretArn": ""}, "set OidcClientSecretArn"),
        (SIGN_ON | {"OidcRoles": ""}, "set one of them"),
        (SIGN_ON | {"OidcIssuer": ""}, "set OidcIssuer"),
        ({"OidcDefaultRole": "Viewer"}, "set OidcIssuer"),
        ({"LocalAdmin": "false"}, "set LocalAdmin to true"),
    ],
)
def test_single_sign_on_is_whole_or_off(parameters: dict[str, str], words: str) -> None:
    report = validate(environment_file(parameters), parent(), checks()).problems
    assert len(report) == bool(words), report
    assert words in "".join(map(str, report))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OidcIssuer", "http://login.example.com", "with https"),
        ("OidcIssuer", "https://login.example.com?x=1", "without a query"),
        ("OidcIssuer", "login.example.com", "with https"),
        ("OidcClientId", "two words", "without blanks"),
        ("OidcClientSecretArn", "my-secret", "The ARN of a Secrets Manager secret"),
        ("OidcScopes", "email profile", "openid and further scopes"),
        ("OidcScopes", "", "openid and further scopes"),
        ("OidcGroupsClaim", "", "such as groups"),
        *(
            ("OidcRoles", roles, "Roles: Admin, Op, User, Viewer, Public.")
            for roles in (
                *("admins=Administrator", "admins=admin", "admins:Admin", "admins"),
                *("admins=Admin,", "=Admin", "cn=admins=Admin"),
            )
        ),
        ("OidcDefaultRole", "Admin", "none, Public, Viewer"),
        ("LocalAdmin", "no", "true, false"),
    ],
)
def test_malformed_single_sign_on_is_refused(name: str, value: str, words: str) -> None:
    assert words in str(the_problem(**{name: value}))

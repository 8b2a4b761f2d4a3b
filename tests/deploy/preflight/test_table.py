"""Each question of the preflight: an account that passes, and one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.errors import Denied, Problem
from deploy.aws import iam_action
from deploy.preflight.findings import Finding, Verdict
from deploy.preflight.run import preflight
from deploy.preflight.table import CHECKS
from templates.resources.caller_actions import CALLER_ACTIONS
from tests.deploy.fakes import ACCOUNT, REGION, described, error
from tests.deploy.preflight.recorded import (
    GOOD,
    certificate,
    endpoint_service,
    groups,
    launch_context,
    linked_roles,
    quotas,
    simulated,
    snapshot,
    subnet,
    subnets,
    vpc_attributes,
    zones,
)

NAME = "airflow-dev"
BY_NAME = {check.name: check for check in CHECKS}

REFUSED, WARNING, UNKNOWN = Verdict.REFUSED, Verdict.WARNING, Verdict.UNKNOWN


@dataclass(frozen=True)
class Case:
    """An account in which one question does not pass, and a part of its line."""

    check: str
    verdict: Verdict
    text: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


def given(check: str, verdict: Verdict, text: str, /, **parameters: str) -> Case:
    """Return a case of a good account with other parameters."""
    return Case(check, verdict, text, parameters=parameters)


def answered(check: str, verdict: Verdict, text: str, /, **answers: Any) -> Case:
    """Return a case of the same environment in an account with other answers."""
    return Case(check, verdict, text, answers=answers)


def existing(status: str = "CREATE_COMPLETE", version: str = "0.2.0") -> dict[str, Any]:
    outputs = [{"OutputKey": "Version", "OutputValue": version}] if version else []
    return described(NAME, status, Outputs=outputs)


def missing(code: str) -> Exception:
    return error(code, "It is not there")


def arn(region: str, partition: str = "aws") -> str:
    return f"arn:{partition}:acm:{region}:{ACCOUNT}:certificate/1"


OWN_VPC = {
    "VpcId": "vpc-1",
    "Tags": [{"Key": "aws:cloudformation:stack-name", "Value": f"{NAME}-Network-1"}],
}
IN_USE = [{"Tags": [{"Key": "Name", "Value": "other"}]}] * 5
DEPRECATED = {"DBEngineVersions": [{"Status": "deprecated"}]}
LIMITED = {
    "DBEngineVersions": [
        {"ServerlessV2FeaturesSupport": {"MinCapacity": 1.0, "MaxCapacity": 128.0}}
    ]
}
OTHERS = {"DBEngineVersions": [{"EngineVersion": "17.9"}, {"EngineVersion": "16.1"}]}
RECORD = {"Name": "airflow.example.com.", "Type": "A"}
TINY = {"AvailableIpAddressCount": 5}

ACCOUNTS = (
    answered(
        "Stack",
        REFUSED,
        "ROLLBACK_COMPLETE",
        describe_stacks=existing("ROLLBACK_COMPLETE"),
    ),
    answered(
        "Stack",
        REFUSED,
        "another operation",
        describe_stacks=existing("UPDATE_IN_PROGRESS"),
    ),
    answered(
        "Stack", WARNING, "an older one", describe_stacks=existing(version="0.10.0")
    ),
    answered(
        "Stack", WARNING, "no output Version", describe_stacks=existing(version="")
    ),
    given(
        "ARNs and images",
        REFUSED,
        "CertificateArn is in region us-east-1",
        CertificateArn=arn("us-east-1"),
    ),
    given(
        "ARNs and images",
        REFUSED,
        "partition aws-cn",
        CertificateArn=arn("cn-north-1", "aws-cn"),
    ),
    given(
        "ARNs and images",
        REFUSED,
        "account 999999999999",
        BoundaryArn="arn:aws:iam::999999999999:policy/Boundary",
    ),
    given(
        "ARNs and images",
        REFUSED,
        "Image is in region us-west-2",
        Image=f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/airflow:1",
    ),
    Case(
        "Services of the region",
        REFUSED,
        "no endpoint of backup",
        context={"region": "eu-isoe-west-1"},
    ),
    Case(
        "RDS certificate authorities",
        REFUSED,
        f"of RDS in {REGION}",
        context={"bundle": ("us-east-1",)},
    ),
    answered(
        "Permissions",
        REFUSED,
        "may not ec2:CreateVpc: 1 of 4 actions",
        simulate_principal_policy=simulated("ec2:CreateVpc"),
    ),
    answered(
        "Permissions",
        UNKNOWN,
        "ec2:CreateVpc depend on conditions",
        simulate_principal_policy=simulated(
            "ec2:CreateVpc", MissingContextValues=["aws:RequestTag/team"]
        ),
    ),
    answered(
        "Permissions boundary",
        REFUSED,
        "no policy arn:aws:iam",
        get_policy=missing("NoSuchEntity"),
    ),
    answered(
        "Service-linked roles",
        WARNING,
        "roles of rds.amazonaws.com",
        list_roles=linked_roles("ecs.amazonaws.com"),
    ),
    answered(
        "Fargate vCPUs on demand",
        REFUSED,
        "5 vCPUs, 3 in use; a launch needs 3",
        get_service_quota=quotas(L_3032A538=5),
    ),
    answered(
        "Fargate vCPUs on demand",
        WARNING,
        "An update would hang",
        get_service_quota=quotas(L_3032A538=8),
    ),
    answered(
        "Fargate vCPUs on demand",
        WARNING,
        "cannot reach their maximum",
        get_service_quota=quotas(L_3032A538=12),
    ),
    answered(
        "Fargate Spot vCPUs",
        REFUSED,
        "--quota-code L-36FBB829",
        get_service_quota=quotas(L_36FBB829=0),
    ),
    answered(
        "Elastic IPs",
        REFUSED,
        "2 of 2 used by others; this stack needs 1",
        get_service_quota=quotas(L_0263D0A3=2),
    ),
    answered(
        "VPCs",
        REFUSED,
        "5 of 5",
        get_service_quota=quotas(L_F678F1CE=5),
        describe_vpcs={"Vpcs": IN_USE},
    ),
    answered(
        "Internet gateways",
        REFUSED,
        "5 of 5",
        get_service_quota=quotas(L_A4707A72=5),
        describe_internet_gateways={"InternetGateways": IN_USE},
    ),
    answered(
        "Interface endpoints of the VPC",
        REFUSED,
        "1 of 1",
        get_service_quota=quotas(L_29B6F2EB=1),
    ),
    answered(
        "Aurora clusters",
        REFUSED,
        "2 of 2",
        get_service_quota=quotas(L_952B80B8=2),
        describe_db_clusters={"DBClusters": [{}, {}]},
    ),
    answered(
        "Zones",
        REFUSED,
        "2 zones are needed; the account can use 1",
        describe_availability_zones=zones(f"{REGION}a"),
    ),
    answered(
        "Zones",
        REFUSED,
        f"{REGION}a cannot be used",
        describe_availability_zones=zones(f"{REGION}b", f"{REGION}c"),
    ),
    answered(
        "Existing VPC",
        REFUSED,
        "It is not there",
        describe_subnets=missing("InvalidSubnetID.NotFound"),
    ),
    answered(
        "Existing VPC",
        REFUSED,
        "in vpc-1, vpc-2",
        describe_subnets=subnets(
            subnet("subnet-a1", "z1"), subnet("subnet-b2", "z2", VpcId="vpc-2")
        ),
    ),
    answered(
        "Existing VPC",
        REFUSED,
        "in zone z1",
        describe_subnets=subnets(subnet("subnet-a1", "z1"), subnet("subnet-b2", "z1")),
    ),
    answered(
        "Existing VPC",
        REFUSED,
        "enableDnsHostnames off",
        describe_vpc_attribute=vpc_attributes("enableDnsSupport"),
    ),
    answered(
        "Existing VPC",
        WARNING,
        "10 free addresses",
        describe_subnets=subnets(
            subnet("subnet-a1", "z1", **TINY), subnet("subnet-b2", "z2", **TINY)
        ),
    ),
    given(
        "Existing VPC",
        REFUSED,
        "DagEgress opens ports 5432 to 5439 of 10.0.0.0/8, where",
        EgressRange="10.0.0.0/8",
    ),
    answered(
        "Security groups",
        REFUSED,
        "It is not there",
        describe_security_groups=missing("InvalidGroup.NotFound"),
    ),
    answered(
        "Security groups",
        REFUSED,
        "sg-2 is in vpc-2, and the tasks are not",
        describe_security_groups=groups("vpc-1", "vpc-2"),
    ),
    given(
        "Security groups",
        REFUSED,
        "sg-1, sg-2 cannot be in the VPC that this launch creates",
        GroupVpcId="",
    ),
    # The VPC is that of the stack itself.
    Case(
        *("Security groups", REFUSED, "sg-2 is in vpc-2, and the tasks are not"),
        answers={
            "describe_stacks": existing(),
            "describe_security_groups": groups("vpc-1", "vpc-2"),
            "describe_vpcs": {"Vpcs": [OWN_VPC, {"VpcId": "vpc-2"}]},
        },
        parameters={"GroupVpcId": ""},
    ),
    answered(
        "Endpoint services",
        REFUSED,
        f"{REGION} has no endpoint for glue",
        describe_vpc_endpoint_services={"ServiceDetails": []},
    ),
    answered(
        "Endpoint services",
        REFUSED,
        f"glue has no endpoint in {REGION}a",
        describe_vpc_endpoint_services=endpoint_service(AvailabilityZones=["b"]),
    ),
    answered(
        "Endpoint services",
        REFUSED,
        "takes no policy",
        describe_vpc_endpoint_services=endpoint_service(
            VpcEndpointPolicySupported=False
        ),
    ),
    answered(
        "Web clients",
        WARNING,
        "make 61 rules in the group of the load balancer, and EC2 takes 60",
        describe_managed_prefix_lists={
            "PrefixLists": [{"PrefixListId": "pl-1", "MaxEntries": 30}]
        },
    ),
    answered(
        "Web clients",
        REFUSED,
        "Correct WebClients",
        describe_managed_prefix_lists=missing("InvalidPrefixListID.NotFound"),
    ),
    answered(
        "S3 prefix list",
        REFUSED,
        "Write pl-7",
        describe_managed_prefix_lists={"PrefixLists": [{"PrefixListId": "pl-7"}]},
    ),
    answered(
        "Database version",
        REFUSED,
        "Choose one of 17.9.",
        describe_db_engine_versions=[{"DBEngineVersions": []}, OTHERS],
    ),
    answered(
        "Database version",
        REFUSED,
        "from 1 to 128, not MinCapacity 0.5",
        describe_db_engine_versions=LIMITED,
    ),
    answered(
        "Database version",
        WARNING,
        "deprecated",
        describe_db_engine_versions=DEPRECATED,
    ),
    answered(
        "Database instance class",
        REFUSED,
        "in no zone",
        describe_orderable_db_instance_options={"OrderableDBInstanceOptions": []},
    ),
    answered(
        "Database snapshot",
        REFUSED,
        "no cluster snapshot before",
        describe_db_cluster_snapshots=missing("DBClusterSnapshotNotFoundFault"),
    ),
    answered(
        "Database snapshot",
        REFUSED,
        "is creating",
        describe_db_cluster_snapshots=snapshot(Status="creating"),
    ),
    answered(
        "Database snapshot",
        REFUSED,
        "of version 17.10",
        describe_db_cluster_snapshots=snapshot(EngineVersion="17.10"),
    ),
    answered(
        "Fernet secret",
        REFUSED,
        "There is no secret arn:",
        describe_secret=missing("ResourceNotFoundException"),
    ),
    answered(
        "Fernet secret",
        REFUSED,
        "scheduled for deletion",
        describe_secret={"DeletedDate": datetime.now(UTC)},
    ),
    answered(
        "Backup of Aurora",
        WARNING,
        "switched off",
        describe_region_settings={"ResourceTypeOptInPreference": {"Aurora": False}},
    ),
    answered(
        "Cache node type",
        WARNING,
        "no offer of cache.t4g.small",
        describe_reserved_cache_nodes_offerings=missing(
            "ReservedCacheNodesOfferingNotFoundFault"
        ),
    ),
    answered(
        "Cache version",
        REFUSED,
        "valkey 7.2.6 in",
        describe_cache_engine_versions={
            "CacheEngineVersions": [{"EngineVersion": "7.2.6"}]
        },
    ),
    answered(
        "Certificate",
        REFUSED,
        "no certificate",
        describe_certificate=missing("ResourceNotFoundException"),
    ),
    answered(
        "Certificate",
        REFUSED,
        "PENDING_VALIDATION",
        describe_certificate=certificate(Status="PENDING_VALIDATION"),
    ),
    given(
        "Certificate",
        REFUSED,
        "the UI at airflow.eu.example.com",
        DomainName="airflow.eu.example.com",
    ),
    answered(
        "Certificate",
        WARNING,
        "ends on",
        describe_certificate=certificate(
            NotAfter=datetime.now(UTC) + timedelta(days=9)
        ),
    ),
    answered(
        "Hosted zone",
        REFUSED,
        "no hosted zone Z1",
        get_hosted_zone=missing("NoSuchHostedZone"),
    ),
    answered(
        "Hosted zone",
        REFUSED,
        "does not hold airflow.example.com",
        get_hosted_zone={"HostedZone": {"Name": "ample.com."}},
    ),
    answered(
        "Hosted zone",
        REFUSED,
        "has a record",
        list_resource_record_sets={"ResourceRecordSets": [RECORD]},
    ),
    answered(
        "Image",
        REFUSED,
        "ECR does not have",
        describe_images=missing("ImageNotFoundException"),
    ),
    given(
        "Image",
        WARNING,
        "starts 124",
        Image="apache/airflow:3.3.2",
        WorkerMaximum="60",
    ),
    given(
        "Image",
        REFUSED,
        "Profile is production",
        Image="apache/airflow:3.3.2@sha256:" + "a" * 64,
        Profile="production",
    ),
    given(
        "Image",
        REFUSED,
        "has no digest",
        Image="ghcr.io/team/airflow:1",
        Profile="production",
    ),
    given("Image", UNKNOWN, "is in ghcr.io", Image="ghcr.io/team/airflow:1"),
    answered(
        "Leftover buckets",
        WARNING,
        "airflow-dev-storage",
        list_buckets={"Buckets": [{"Name": "airflow-dev-storage"}]},
    ),
    answered(
        "Leftover log groups",
        WARNING,
        "and 1 more",
        describe_log_groups={
            "logGroups": [{"logGroupName": f"{NAME}-{n}"} for n in range(4)]
        },
    ),
    answered(
        "Leftover secrets",
        WARNING,
        f"{NAME}-fernet",
        list_secrets={"SecretList": [{"Name": f"{NAME}-fernet"}]},
    ),
    answered(
        "Leftover database snapshots",
        WARNING,
        f"{NAME}-database",
        describe_db_cluster_snapshots=snapshot(
            DBClusterSnapshotIdentifier=f"{NAME}-database"
        ),
    ),
    answered(
        "Leftover cache snapshots",
        WARNING,
        f"{NAME}-cache",
        describe_snapshots={"Snapshots": [{"SnapshotName": f"{NAME}-cache"}]},
    ),
)
"""At least one for each question."""


def findings(case: Case) -> list[Finding]:
    context = launch_context(
        parameters=case.parameters, answers=case.answers, **case.context
    )
    report = preflight(context, [BY_NAME[case.check]])
    return [answer.finding for answer in report.answers]


@pytest.mark.parametrize(
    "case", ACCOUNTS, ids=lambda case: f"{case.check}: {case.text}"
)
def test_account_with_a_fault_is_told_so(case: Case) -> None:
    (finding,) = findings(case)
    assert finding.verdict is case.verdict, finding
    assert case.text in f"{finding.text} {finding.remedy}"
    assert finding.remedy or case.verdict is UNKNOWN


def test_nothing_is_wrong_with_a_good_account() -> None:
    report = preflight(launch_context())
    assert not [a for a in report.answers if a.finding.verdict is not Verdict.OK]
    assert {answer.check.name for answer in report.answers} == set(BY_NAME)


def test_every_question_has_an_account_with_a_fault() -> None:
    assert {case.check for case in ACCOUNTS} == set(BY_NAME) - {"Identity"}


def test_account_without_rights_gets_a_line_for_each_question() -> None:
    denied = Denied(Problem(where="x", what="no", remedy="Allow it."))
    report = preflight(launch_context(answers=dict.fromkeys(GOOD, denied)))
    unknown = {a.check.name for a in report.of(UNKNOWN)}
    assert unknown == {check.name for check in CHECKS if check.asks} - {"Identity"}
    assert not report.refusals


def test_questions_call_only_the_actions_that_they_declare() -> None:
    """An operator allows the declared ones."""
    for check in CHECKS:
        context = launch_context()
        preflight(context, [check])
        called = set()
        for name in context.aws.calls:
            service, operation = name.split(":")
            called.add(iam_action(service, operation).lower())
        declared = {action.lower() for action in check.asks}
        assert called - {"cloudformation:describestacks"} <= declared, check.name


def test_role_of_a_pipeline_may_ask_every_question() -> None:
    allowed = {action for row in CALLER_ACTIONS for action in row.actions}
    asked_for = {action for check in CHECKS for action in check.asks}
    assert asked_for - allowed == {"sts:GetCallerIdentity"}  # always allowed

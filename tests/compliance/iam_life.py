"""The life of an environment in the emulator, with the roles of ``build.py role``.

A pipeline's session of the caller role publishes, plans, launches, updates and destroys
the environment; CloudFormation uses the service role. A user of Service Catalog
launches and terminates the product with the launch role. The emulator refuses every
call that the roles do not allow, and records those that they do.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from click.testing import CliRunner, Result

from cli import deployment, product
from cli.errors import ExitCode
from cloudformation.schemas import installed
from compiler import output
from local.emulator import control_client
from local.emulator.process import EmulatorProcess
from local.iam.policy import ApiCall, RolePermissions, statements

ENVIRONMENT = "life"
STACK = f"airflow-{ENVIRONMENT}"
CATALOG = "service-catalog.template.json"
PATIENCE_SECONDS = 120
LINKED = "ecs.amazonaws.com"
PIPELINE = "arn:aws:iam::123456789012:role/Pipeline"

VARIANTS: Mapping[str, str] = {
    "Profile": "development",
    "LoadBalancerScheme": "internet-facing",
    "WebClientCidr": "198.51.100.0/24",
    "EnableFlower": "true",
    "AlarmEmail": "operators@example.com",
}
"""What production leaves out; together they create every type of resource."""

QUOTA = {"ServiceCode": "fargate", "QuotaCode": "L-3032A538"}
ZONE = {"HostedZoneId": "Z0123456789ABC"}
ROLE = "arn:aws:iam::123456789012:role/X"
SIMULATED = {"PolicySourceArn": ROLE, "ActionNames": ["s3:GetObject"]}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0"
METRIC = {
    "Namespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "StartTime": 0,
    "EndTime": 60,
    "Period": 60,
}

DATA: Mapping[str, Any] = {"MetricDataQueries": [], "StartTime": 0, "EndTime": 60}
BALANCER = (
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/airflow/0"
)
TOPIC = "arn:aws:sns:us-east-1:123456789012:airflow"
BUCKET = "airflow-life-x"
VERIFY_CALLS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    (
        "application-autoscaling",
        "describe_scalable_targets",
        {"ServiceNamespace": "ecs"},
    ),
    (
        "application-autoscaling",
        "describe_scaling_activities",
        {"ServiceNamespace": "ecs"},
    ),
    (
        "application-autoscaling",
        "describe_scaling_policies",
        {"ServiceNamespace": "ecs"},
    ),
    ("backup", "describe_region_settings", {}),
    ("backup", "list_backup_jobs", {}),
    ("cloudwatch", "describe_alarm_history", {}),
    ("cloudwatch", "get_metric_data", DATA),
    ("ec2", "describe_security_group_rules", {}),
    ("ecs", "describe_clusters", {}),
    ("ecs", "describe_task_definition", {"taskDefinition": "x"}),
    ("elasticache", "describe_replication_groups", {}),
    ("elbv2", "describe_listeners", {"LoadBalancerArn": BALANCER}),
    ("elbv2", "describe_load_balancer_attributes", {"LoadBalancerArn": BALANCER}),
    ("elbv2", "describe_load_balancers", {}),
    ("elbv2", "describe_target_health", {"TargetGroupArn": BALANCER}),
    ("kms", "describe_key", {"KeyId": "x"}),
    ("kms", "get_key_rotation_status", {"KeyId": "x"}),
    ("logs", "describe_log_groups", {}),
    ("logs", "describe_log_streams", {"logGroupName": "x"}),
    ("rds", "describe_db_cluster_parameters", {"DBClusterParameterGroupName": "x"}),
    ("rds", "describe_db_clusters", {}),
    ("rds", "describe_db_instances", {}),
    ("rds", "describe_event_subscriptions", {}),
    ("s3", "get_bucket_policy", {"Bucket": BUCKET}),
    ("s3", "get_public_access_block", {"Bucket": BUCKET}),
    ("s3", "get_bucket_encryption", {"Bucket": BUCKET}),
    ("s3", "list_objects_v2", {"Bucket": BUCKET}),
    ("s3", "list_object_versions", {"Bucket": BUCKET}),
    *(
        ("s3", operation, {"Bucket": BUCKET, "Key": f"airflow-verify/x{number}"})
        for number, operation in enumerate(("put_object", "get_object"))
    ),
    ("s3", "delete_object", {"Bucket": BUCKET, "Key": "verification/x"}),
    (
        "s3",
        "delete_object",
        {"Bucket": BUCKET, "Key": "logs/dag_id=check_plain/x", "VersionId": "1"},
    ),
    ("secretsmanager", "describe_secret", {"SecretId": "x"}),
    ("sns", "get_topic_attributes", {"TopicArn": TOPIC}),
    ("wafv2", "get_logging_configuration", {"ResourceArn": BALANCER}),
    ("wafv2", "get_web_acl_for_resource", {"ResourceArn": BALANCER}),
)
"""Calls of ``verify``, which has nothing to check where no Airflow runs."""

PREFLIGHT_CALLS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("acm", "describe_certificate", {"CertificateArn": CERTIFICATE}),
    ("backup", "describe_region_settings", {}),
    ("cloudwatch", "get_metric_statistics", METRIC),
    ("ec2", "describe_addresses", {}),
    ("ec2", "describe_availability_zones", {}),
    ("ec2", "describe_internet_gateways", {}),
    ("ec2", "describe_managed_prefix_lists", {}),
    ("ec2", "describe_subnets", {}),
    ("ec2", "describe_vpc_attribute", {"VpcId": "vpc-0", "Attribute": "x"}),
    ("ec2", "describe_vpc_endpoint_services", {}),
    ("ec2", "describe_vpc_endpoints", {}),
    ("ec2", "describe_vpcs", {}),
    ("ecr", "describe_images", {"repositoryName": "airflow"}),
    ("elasticache", "describe_cache_engine_versions", {}),
    ("elasticache", "describe_reserved_cache_nodes_offerings", {}),
    ("elasticache", "describe_snapshots", {}),
    ("iam", "get_policy", {"PolicyArn": "arn:aws:iam::123456789012:policy/X"}),
    ("iam", "list_roles", {}),
    ("iam", "simulate_principal_policy", SIMULATED),
    ("logs", "describe_log_groups", {}),
    ("rds", "describe_db_cluster_snapshots", {}),
    ("rds", "describe_db_engine_versions", {}),
    ("rds", "describe_orderable_db_instance_options", {"Engine": "aurora-postgresql"}),
    ("route53", "get_hosted_zone", {"Id": "Z0123456789ABC"}),
    ("route53", "list_resource_record_sets", ZONE),
    ("s3", "list_buckets", {}),
    ("secretsmanager", "describe_secret", {"SecretId": "x"}),
    ("secretsmanager", "list_secrets", {}),
    ("service-quotas", "get_aws_default_service_quota", QUOTA),
    ("service-quotas", "get_service_quota", QUOTA),
)
"""Calls of ``preflight``, which the emulator partly cannot answer."""

UPDATES: tuple[Mapping[str, str], ...] = (
    {"InternetAccess": "single-nat"},
    {
        "InternetAccess": "endpoints",
        "OutboundHttpsCidr": "10.2.0.0/16",
        "S3PrefixListId": "pl-63a5400a",
    },
)
"""Parameters of the updates: routes change, and interface endpoints are created."""


@dataclass(frozen=True)
class Decision:
    """A call that a role made, and whether it was allowed."""

    role: str
    call: ApiCall
    is_allowed: bool


@dataclass(frozen=True)
class LifeRecord:
    """Every call of the roles, and their policies."""

    decisions: tuple[Decision, ...]
    policies: Mapping[str, tuple[Mapping[str, Any], ...]]
    """Documents by role: service, caller, launch; and of the boundary."""
    granted: tuple[ApiCall, ...]
    """What the policies of the stack's own roles allow, a call for each resource."""

    def permissions(self, role: str) -> RolePermissions:
        """Return what a role may do."""
        return RolePermissions(statements(self.policies[role]))


class LifeError(Exception):
    """A command of the life failed."""


def built(folder: Path, *, tagged: bool = False, **parameters: str) -> Path:
    """Write dist/ with one environment, with one more tag on every resource or not."""
    files: dict[str, bytes] = {}
    for template in product.compile_templates():
        document = copy.deepcopy(template.document)
        if tagged and template.path != CATALOG:
            _change(document)
        files[template.path] = json.dumps(document).encode()
    files |= {asset.path: asset.content for asset in product.assets().values()}
    production = json.loads((product.ROOT / "parameters/prod.json").read_text())
    production["Parameters"] |= {**VARIANTS, **parameters}
    files[f"parameters/{ENVIRONMENT}/codepipeline.json"] = json.dumps(
        production
    ).encode()
    output.write(folder, files, "no lint")
    return folder


def _change(document: dict[str, Any]) -> None:
    """Add a tag to every resource that takes one, so that an update touches it."""
    folder = installed()
    assert folder is not None
    for resource in document["Resources"].values():
        if more := CHANGES.get(resource["Type"]):
            more(resource["Properties"])
        schema = folder.find(resource["Type"])
        tagging = schema.document.get("tagging", {}) if schema else {}
        if not tagging.get("taggable") or "TemplateURL" in resource["Properties"]:
            continue
        tag_name = str(tagging.get("tagProperty", "/properties/Tags"))
        name = tag_name.rpartition("/")[2]
        tags = resource["Properties"].get(name, [])
        if isinstance(tags, dict):
            resource["Properties"][name] = {**tags, "life": "second"}
        else:
            resource["Properties"][name] = [*tags, {"Key": "life", "Value": "second"}]


CHANGES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "AWS::IAM::ManagedPolicy": lambda properties: properties["PolicyDocument"][
        "Statement"
    ].append({"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}),
    "AWS::SNS::Subscription": lambda properties: properties.update(
        FilterPolicy={"life": ["second"]}
    ),
}
"""Updates of types without tags, which have actions of their own for an update."""


class EnvironmentRun:
    """Runs commands against one emulator, as its root or as a role."""

    def __init__(self, folder: Path, emulator: EmulatorProcess) -> None:
        self.folder, self.emulator = folder, emulator
        self.dist = folder / "first"
        self.access_key = ""

    def client(self, service: str) -> Any:
        """Return a client of the account's root."""
        return boto3.client(service, **self.emulator.client_options)

    def connect(
        self, _region: str | None
    ) -> tuple[str, Mapping[str, str], deployment.ResourceKinds]:
        """Return how commands reach the emulator."""
        options = self.emulator.client_options
        texts = {name: str(value) for name, value in options.items()}
        if self.access_key:
            texts["aws_access_key_id"] = self.access_key
        return self.emulator.endpoint_url, texts, dict

    def run(self, name: str, *words: str, expected: ExitCode = ExitCode.OK) -> Result:
        """Run a command about the environment."""
        group = click.Group(commands=deployment.commands(self.dist, self.connect))
        result = CliRunner().invoke(group, [name, ENVIRONMENT, "--emulator", *words])
        if result.exit_code != expected:
            raise LifeError(f"{name}: {result.exit_code}\n{result.output[-40000:]}")
        return result

    def outputs(self, stack: str) -> dict[str, str]:
        """Return the outputs of a stack."""
        (row,) = self.client("cloudformation").describe_stacks(StackName=stack)[
            "Stacks"
        ]
        return {each["OutputKey"]: each["OutputValue"] for each in row["Outputs"]}

    def hosted_zone(self) -> str:
        """Create a hosted zone, as the operator has one; return its ID."""
        zone = self.client("route53").create_hosted_zone(
            Name="example.com", CallerReference="life"
        )
        return str(zone["HostedZone"]["Id"]).rpartition("/")[2]

    def remove_bucket(self) -> None:
        """Delete the bucket of the published files."""
        s3 = boto3.resource("s3", **self.emulator.client_options)
        for bucket in s3.buckets.all():
            bucket.object_versions.delete()
            bucket.delete()

    @contextmanager
    def assumed(self, role_arn: str) -> Iterator[None]:
        """Run commands with a session of a role."""
        session = self.client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName="pipeline"
        )
        self.access_key = session["Credentials"]["AccessKeyId"]
        try:
            yield
        finally:
            self.access_key = ""

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Let a launch fail at its end, so that it rolls everything back."""
        url = self.emulator.endpoint_url
        control_client.inject_faults(url, resources={"Dashboard": "The planted fault."})
        try:
            yield
        finally:
            control_client.inject_faults(url)

    def granted(self) -> Iterator[ApiCall]:
        """Yield what the policies of the stack's roles allow, an example for each.

        A secret has the tag that CloudFormation sets.
        """
        iam = self.client("iam")
        own = f":policy/{STACK}-"
        for page in iam.get_paginator("list_policies").paginate(Scope="Local"):
            for policy in page["Policies"]:
                if own not in policy["Arn"]:
                    continue
                version = iam.get_policy_version(
                    PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"]
                )
                for statement in version["PolicyVersion"]["Document"]["Statement"]:
                    yield from _examples(statement)

    def call_rarely_used(self) -> None:
        """Make calls of recover, diagnose and others, which need a failed stack.

        The emulator decides about the rights before it looks at the request.
        """
        stack = self.outputs(STACK)
        named = {"StackName": STACK}
        log = {"logGroupName": stack["ApiLogGroupName"], "logStreamName": "x"}
        cluster = stack["ClusterName"]
        protection = {"cluster": cluster, "tasks": ["x"], "protectionEnabled": False}
        policy = {"StackPolicyBody": json.dumps({"Statement": []})}
        calls: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
            ("cloudformation", "cancel_update_stack", named),
            ("cloudformation", "continue_update_rollback", named),
            ("cloudformation", "rollback_stack", named),
            ("cloudformation", "describe_events", named),
            ("cloudformation", "list_stacks", {}),
            ("cloudformation", "set_stack_policy", {**named, **policy}),
            ("ecs", "list_tasks", {"cluster": cluster}),
            ("ecs", "describe_tasks", {"cluster": cluster, "tasks": ["x"]}),
            ("ecs", "describe_task_definition", {"taskDefinition": "x"}),
            ("ecs", "stop_task", {"cluster": cluster, "task": "x"}),
            ("ecs", "update_service", {"cluster": cluster, "service": "x"}),
            ("ecs", "update_task_protection", protection),
            ("backup", "describe_backup_vault", {"BackupVaultName": "x"}),
            ("kms", "describe_key", {"KeyId": "x"}),
            ("secretsmanager", "describe_secret", {"SecretId": "x"}),
            ("iam", "create_service_linked_role", {"AWSServiceName": LINKED}),
            ("logs", "get_log_events", log),
            ("s3", "list_object_versions", {"Bucket": stack["DagBucketName"]}),
            *PREFLIGHT_CALLS,
        )
        self.call(calls)

    def call_as_verify(self) -> None:
        """Make the calls of ``verify``, on the login and the relay of this stack."""
        stack = self.outputs(STACK)
        words = stack["AdminLoginCommand"].split()
        login = {"SecretId": words[words.index("--secret-id") + 1]}
        cluster = stack["ClusterName"]
        defined = self.client("ecs").list_task_definitions()["taskDefinitionArns"]
        (relay,) = (arn for arn in defined if "Verification" in arn)
        definition = {"taskDefinition": relay}
        self.call(
            (
                *VERIFY_CALLS,
                ("secretsmanager", "get_secret_value", login),
                ("ecs", "list_services", {"cluster": cluster}),
                ("ecs", "list_tasks", {"cluster": cluster}),
                ("ecs", "describe_services", {"cluster": cluster, "services": ["x"]}),
                ("ecs", "describe_tasks", {"cluster": cluster, "tasks": ["x"]}),
                ("ecs", "run_task", {"cluster": cluster, **definition}),
                ("ecs", "stop_task", {"cluster": cluster, "task": "x"}),
            )
        )

    def call(self, calls: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Make calls with the assumed role; only a refusal is an error."""
        key = {"aws_access_key_id": self.access_key}
        options = {**self.emulator.client_options, **key}
        for service, operation, parameters in calls:
            try:
                getattr(boto3.client(service, **options), operation)(**parameters)
            except (ClientError, ResponseParserError) as error:
                if "AccessDenied" in str(error):
                    raise

    def documents(self, role_arn: str) -> tuple[Mapping[str, Any], ...]:
        """Return the policies that are attached to a role."""
        iam = self.client("iam")
        name = role_arn.rpartition("/")[2]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        return tuple(self.document(policy["PolicyArn"]) for policy in attached)

    def document(self, policy_arn: str) -> Mapping[str, Any]:
        """Return the default version of a policy."""
        iam = self.client("iam")
        version = iam.get_policy(PolicyArn=policy_arn)["Policy"]["DefaultVersionId"]
        answer = iam.get_policy_version(PolicyArn=policy_arn, VersionId=version)
        document: Mapping[str, Any] = answer["PolicyVersion"]["Document"]
        return document


def _examples(statement: Mapping[str, Any]) -> Iterator[ApiCall]:
    """Yield a call for each action and resource of a statement."""
    context = {"aws:resourcetag/aws:cloudformation:stack-name": f"{STACK}-X"}
    for tests in (statement.get("Condition") or {}).values():
        for key, values in tests.items():
            value = values[0] if isinstance(values, list) else values
            context[key.lower()] = str(value).replace("*", "x")
    for action in statement["Action"]:
        for resource in statement["Resource"]:
            example = "*" if resource == "*" else resource.replace("*", "x")
            yield ApiCall(action=action, resource=example, context=context)


def live(life: EnvironmentRun) -> LifeRecord:
    """Run the whole life; return what the roles did."""
    zone = life.hosted_zone()
    built(life.dist, HostedZoneId=zone)
    life.run("role", "--deploy", "--yes", "--caller", PIPELINE)
    roles = life.outputs(f"{STACK}-role")
    service, caller = roles["ServiceRoleArn"], roles["CallerRoleArn"]
    life.remove_bucket()  # the pipeline creates it again
    with life.assumed(caller):
        life.run("publish")
        life.run("plan", "--role-arn", service)
        with life.failing():
            arguments = ("--yes", "--role-arn", service)
            life.run("launch", *arguments, expected=ExitCode.FAILED)
            life.run("recover", "--yes")
        life.run("launch", "--yes", "--role-arn", service)
        life.run("status", "--drift")
        granted = tuple(life.granted())
    with life.assumed(roles["VerifierRoleArn"]):
        life.run("status", "--drift")
        life.run("diagnose")
        life.call_as_verify()
    with life.assumed(caller):
        for number, update in enumerate(UPDATES):
            life.dist = built(
                life.folder / f"update-{number}",
                tagged=True,
                HostedZoneId=zone,
                **update,
            )
            life.run("launch", "--yes", "--replace-data")
        life.run("plan", expected=ExitCode.UNCHANGED)
        life.call_rarely_used()
        life.run("destroy", "--unprotect", "--keep-data", "--yes")
    launch = launch_product(life, zone)
    verifier = roles["VerifierRoleArn"]
    names = {
        service: "service",
        caller: "caller",
        verifier: "verifier",
        launch: "launch",
    }
    recorded = control_client.decisions(life.emulator.endpoint_url)
    return LifeRecord(
        tuple(
            Decision(
                names[row["role"]],
                ApiCall(
                    action=row["action"],
                    resource=row["resource"],
                    context=row["context"],
                ),
                row["allowed"],
            )
            for row in recorded
            if row["role"] in names
        ),
        {name: life.documents(arn) for arn, name in names.items()}
        | {"boundary": (life.document(roles["RoleBoundaryArn"]),)},
        granted,
    )


def launch_product(life: EnvironmentRun, zone: str) -> str:
    """Launch, update and terminate the product; return the ARN of the launch role."""
    stack = f"airflow-catalog-{ENVIRONMENT}"
    catalog = life.client("servicecatalog")

    def parameters(dist: Path) -> list[dict[str, str]]:
        file = dist / f"parameters/{ENVIRONMENT}/codepipeline.json"
        values = json.loads(file.read_text())["Parameters"]
        boundary = life.outputs(stack)["RoleBoundaryArn"]
        values |= {"PermissionsBoundaryArn": boundary, "DeletionProtection": "false"}
        return [{"Key": key, "Value": value} for key, value in values.items()]

    def offered() -> tuple[str, str]:
        """Offer the current templates; return product and newest version."""
        life.run("catalog", "--yes", "--parameter", f"HostedZoneId={zone}")
        product_id = life.outputs(stack)["ProductId"]
        versions = catalog.list_provisioning_artifacts(ProductId=product_id)
        return product_id, versions["ProvisioningArtifactDetails"][-1]["Id"]

    life.dist = life.folder / "first"
    product_id, version = offered()

    def launch(name: str) -> Any:
        return catalog.provision_product(
            ProductId=product_id,
            ProvisioningArtifactId=version,
            ProvisionedProductName=name,
            ProvisioningParameters=parameters(life.dist),
            ProvisionToken=name,
        )

    with life.failing(), suppress(LifeError):
        ended_with_success(catalog, launch("failing"))
        raise AssertionError
    ended_with_success(catalog, launch("airflow"))
    life.dist = life.folder / "update-0"
    product_id, version = offered()
    for number in range(len(UPDATES)):
        updated = catalog.update_provisioned_product(
            ProvisionedProductName="airflow",
            ProductId=product_id,
            ProvisioningArtifactId=version,
            ProvisioningParameters=parameters(life.folder / f"update-{number}"),
            UpdateToken=f"update-{number}",
        )
        ended_with_success(catalog, updated)
    ended = catalog.terminate_provisioned_product(
        ProvisionedProductName="airflow", TerminateToken="last"
    )
    ended_with_success(catalog, ended)
    return life.outputs(stack)["LaunchRoleArn"]


def ended_with_success(catalog: Any, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Wait for the end of an operation of Service Catalog; return its record."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        record: Mapping[str, Any] = catalog.describe_record(
            Id=answer["RecordDetail"]["RecordId"]
        )
        status = record["RecordDetail"]["Status"]
        if status == "SUCCEEDED":
            return record
        if status == "FAILED" or time.monotonic() > deadline:
            raise LifeError(str(record))
        time.sleep(0.05)


def fails_without(life: EnvironmentRun, action: str) -> None:
    """Remove an action from the service role; expect a launch to fail for it."""
    iam = life.client("iam")
    roles = life.outputs(f"{STACK}-role")
    service, caller = roles["ServiceRoleArn"], roles["CallerRoleArn"]
    name = service.rpartition("/")[2]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    whole = dict(
        zip((p["PolicyArn"] for p in attached), life.documents(service), strict=True)
    )
    for arn, document in whole.items():
        _set_policy(iam, arn, _less(document, action))
    life.dist = life.folder / "first"
    try:
        with life.assumed(caller):
            arguments = ("--yes", "--role-arn", service)
            failed = life.run("launch", *arguments, expected=ExitCode.FAILED)
            if f"not authorized to perform: {action} on" not in failed.output:
                raise LifeError(failed.output)
    finally:
        for arn, document in whole.items():
            _set_policy(iam, arn, document)
    life.run("recover", "--yes")


def _less(document: Mapping[str, Any], action: str) -> dict[str, Any]:
    lesser = json.loads(json.dumps(document))
    for statement in lesser["Statement"]:
        rest = [each for each in statement["Action"] if each != action]
        statement["Action"] = rest or ["none:None"]
    return dict(lesser)


def _set_policy(iam: Any, arn: str, document: Mapping[str, Any]) -> None:
    """Make a document the only version of a policy."""
    iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True
    )
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])

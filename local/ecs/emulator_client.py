"""Client of the emulator: every call that the agent itself makes.

These calls carry the emulator's own account and are not checked; the callers check what
the agent does on behalf of an execution role.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.ecs.model import EcsService, TaskDefinition
from local.ecs.security_groups import SecurityGroups, described
from local.emulator import control_client
from local.iam.policy import RolePermissions, Statement, statements

DESCRIBE_AT_ONCE = 10
"""What DescribeServices takes."""

QUICK = Config(
    retries={"mode": "standard", "total_max_attempts": 2},
    connect_timeout=2,
    read_timeout=20,
    max_pool_connections=20,
)

AWS_ERRORS = (ClientError, BotoCoreError)
"""What every call may raise."""


class SecretError(Exception):
    """A secret of a container cannot be read."""


@dataclass(frozen=True)
class ListenerRule:
    """A rule of a listener, as ELB describes it."""

    priority: float
    conditions: tuple[Mapping[str, Any], ...]
    action: Mapping[str, Any]


@dataclass(frozen=True)
class Listener:
    """A listener of a load balancer, with its rules in order; the default last."""

    arn: str
    port: int
    protocol: str
    rules: tuple[ListenerRule, ...]


@dataclass(frozen=True)
class TargetGroup:
    """A target group and its health check; times in seconds."""

    arn: str
    path: str
    codes: str
    interval: float
    timeout: float
    healthy_after: int
    unhealthy_after: int


class EmulatorClient:
    """The calls that the agent makes to the emulator's APIs."""

    def __init__(self, url: str, *, region: str, account: str) -> None:
        session = boto3.Session(
            aws_access_key_id=account,
            aws_secret_access_key="local",  # noqa: S106 - the emulator checks none
            region_name=region,
        )

        def client(name: str) -> Any:
            return session.client(name, endpoint_url=url, config=QUICK)

        self._where = {"endpoint_url": url, "account": account, "region": region}
        self.ecs = client("ecs")
        self._secrets = client("secretsmanager")
        self._iam = client("iam")
        self._logs = client("logs")
        self._balancers = client("elbv2")
        self._buckets = client("s3")
        self._network = client("ec2")
        self._databases = client("rds")
        self._caches = client("elasticache")

    # ECS.

    def services(self) -> list[EcsService]:
        """Return every active service of every cluster."""
        services: list[EcsService] = []
        for cluster in self.ecs.list_clusters()["clusterArns"]:
            # It may be deleted after it was listed.
            with contextlib.suppress(self.ecs.exceptions.ClusterNotFoundException):
                services += self._services_of(cluster)
        return services

    def _services_of(self, cluster: str) -> Iterator[EcsService]:
        arns: list[str] = []
        for page in self.ecs.get_paginator("list_services").paginate(cluster=cluster):
            arns += page["serviceArns"]
        for start in range(0, len(arns), DESCRIBE_AT_ONCE):
            batch = arns[start : start + DESCRIBE_AT_ONCE]
            answer = self.ecs.describe_services(
                cluster=cluster, services=batch, include=["TAGS"]
            )
            for description in answer["services"]:
                if description["status"] == "ACTIVE":
                    yield EcsService.of(description)

    def definition(self, reference: str) -> TaskDefinition:
        """Return a task definition by ARN, family:revision or family."""
        answer = self.ecs.describe_task_definition(taskDefinition=reference)
        return TaskDefinition.of(answer["taskDefinition"])

    def cluster_arn(self, reference: str) -> str:
        """Return the ARN of a cluster by name or ARN; nothing if there is none."""
        clusters = self.ecs.describe_clusters(clusters=[reference])["clusters"]
        return str(clusters[0]["clusterArn"]) if clusters else ""

    def go_back(self, service: EcsService, definition_arn: str) -> None:
        """Make an older task definition the service's own, as a rollback does."""
        self.ecs.update_service(
            cluster=service.cluster_arn,
            service=service.name,
            taskDefinition=definition_arn,
        )

    def desired(self, cluster: str, service: str) -> int:
        """Return a service's desired count. Raises LookupError if there is none."""
        answer = self.ecs.describe_services(cluster=cluster, services=[service])
        for description in answer["services"]:
            return int(description["desiredCount"])
        raise LookupError(f"cluster {cluster} has no service {service}")

    def set_desired(self, cluster: str, service: str, count: int) -> None:
        """Change a service's desired count, as Application Auto Scaling does."""
        self.ecs.update_service(cluster=cluster, service=service, desiredCount=count)

    # CloudFormation.

    def launched(self, types: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return the launched resources of some types. Raises OSError."""
        return [*control_client.records(**self._where, types=types)]

    # Secrets Manager.

    def secret(self, value_from: str) -> tuple[str, str]:
        """Return ARN and value for a ``ValueFrom``: ``arn[:key:stage:version]``.

        Raises SecretError, with the words of ECS.
        """
        fields = value_from.split(":")
        arn = ":".join(fields[:7])
        key, stage, version = (*fields[7:], "", "", "")[:3]
        request = {"SecretId": arn}
        if stage:
            request["VersionStage"] = stage
        if version:
            request["VersionId"] = version
        try:
            answer = self._secrets.get_secret_value(**request)
        except AWS_ERRORS as error:
            raise SecretError(
                f"unable to retrieve secret from asm: {arn}: {error}"
            ) from error
        text: str = answer["SecretString"]
        if not key:
            return answer["ARN"], text
        try:
            value = json.loads(text)[key]
        except (ValueError, TypeError, KeyError) as error:
            # The value itself must not be in a message.
            raise SecretError(
                f"retrieved secret from Secrets Manager did not contain json key "
                f"{key}: {arn}"
            ) from error
        return answer["ARN"], value if isinstance(value, str) else json.dumps(value)

    def secret_key(self, arn: str) -> str:
        """Return the ARN of the KMS key that a secret is encrypted with, or nothing."""
        try:
            answer = self._secrets.describe_secret(SecretId=arn)
        except AWS_ERRORS:
            return ""
        key = str(answer.get("KmsKeyId") or "")
        return key if key.startswith("arn:") else ""

    # IAM.

    def permissions(self, role_arn: str) -> RolePermissions:
        """Return the permissions of a role."""
        name = role_arn.rpartition("/")[2]
        role = self._iam.get_role(RoleName=name)["Role"]
        documents = [
            self._document(attached["PolicyArn"])
            for page in self._iam.get_paginator("list_attached_role_policies").paginate(
                RoleName=name
            )
            for attached in page["AttachedPolicies"]
        ]
        for inline in self._iam.list_role_policies(RoleName=name)["PolicyNames"]:
            answer = self._iam.get_role_policy(RoleName=name, PolicyName=inline)
            documents.append(answer["PolicyDocument"])
        boundary = (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        limit: tuple[Statement, ...] | None = None
        if boundary:
            limit = statements([self._document(boundary)])
        return RolePermissions(statements(documents), limit)

    def _document(self, policy_arn: str) -> Mapping[str, Any]:
        version = self._iam.get_policy(PolicyArn=policy_arn)["Policy"]
        answer = self._iam.get_policy_version(
            PolicyArn=policy_arn, VersionId=version["DefaultVersionId"]
        )
        document: Mapping[str, Any] = answer["PolicyVersion"]["Document"]
        return document

    # S3.

    def bucket_key(self, bucket: str) -> str:
        """Return the ARN of the KMS key that a bucket encrypts with, or nothing."""
        try:
            answer = self._buckets.get_bucket_encryption(Bucket=bucket)
        except AWS_ERRORS:
            return ""
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
        default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
        return str(default.get("KMSMasterKeyID") or "")

    # CloudWatch Logs.

    def open_stream(self, group: str, stream: str) -> None:
        """Make a log stream unless it is there."""
        try:
            self._logs.create_log_stream(logGroupName=group, logStreamName=stream)
        except self._logs.exceptions.ResourceAlreadyExistsException:
            return

    def write(self, group: str, stream: str, lines: Sequence[str]) -> None:
        """Append lines to a log stream."""
        now = int(time.time() * 1000)
        self._logs.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": now, "message": line} for line in lines],
        )

    # Security groups.

    def security_groups(self) -> SecurityGroups:
        """Return the security groups, as they are now."""
        return described(self._network, self._databases, self._caches, self._balancers)

    # Load balancers.

    def listeners(self) -> Iterator[Listener]:
        """Yield the listeners of every load balancer."""
        for balancer in self._balancers.describe_load_balancers()["LoadBalancers"]:
            listeners = self._balancers.describe_listeners(
                LoadBalancerArn=balancer["LoadBalancerArn"]
            )["Listeners"]
            for listener in listeners:
                answer = self._balancers.describe_rules(
                    ListenerArn=listener["ListenerArn"]
                )
                rules = [
                    ListenerRule(
                        priority=float(rule["Priority"]),
                        conditions=tuple(rule["Conditions"]),
                        action=rule["Actions"][-1],
                    )
                    for rule in answer["Rules"]
                    if not rule.get("IsDefault")
                ]
                default = ListenerRule(float("inf"), (), listener["DefaultActions"][-1])
                yield Listener(
                    arn=listener["ListenerArn"],
                    port=int(listener["Port"]),
                    protocol=listener["Protocol"],
                    rules=(*sorted(rules, key=lambda rule: rule.priority), default),
                )

    def target_groups(self) -> list[TargetGroup]:
        """Return all target groups."""
        answer = self._balancers.describe_target_groups()["TargetGroups"]
        return [
            TargetGroup(
                arn=group["TargetGroupArn"],
                path=group.get("HealthCheckPath") or "/",
                codes=(group.get("Matcher") or {}).get("HttpCode") or "200",
                interval=float(group.get("HealthCheckIntervalSeconds") or 30),
                timeout=float(group.get("HealthCheckTimeoutSeconds") or 5),
                healthy_after=int(group.get("HealthyThresholdCount") or 5),
                unhealthy_after=int(group.get("UnhealthyThresholdCount") or 2),
            )
            for group in answer
        ]

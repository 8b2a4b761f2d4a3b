"""Which API calls CloudFormation makes for a resource, and with which condition keys.

The actions are those that the provider's schema lists for the operation, without those
in the project's table of actions that are never called. Each is checked on the resource
itself and on the resources in its properties, by the ARN formats in the service
reference of IAM. Both files are part of cfn-lint. What a provider really calls is known
to AWS alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cloudformation.schemas import Schema
from local.iam.policy import ApiCall, kms_context, tag_context

Operation = Literal["create", "update", "delete"]
Tags = Mapping[str, str]

PREFIXES = {
    "ApplicationAutoScaling": "application-autoscaling",
    "ElasticLoadBalancingV2": "elasticloadbalancing",
}
"""IAM's prefix of a service, where it is not the namespace in lower case."""

EC2_KINDS = {
    "eipalloc": "elastic-ip",
    "fl": "vpc-flow-log",
    "igw": "internet-gateway",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
"""Beginning of an ID of EC2, and the kind of resource in its ARN."""

EC2_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")

CREATING = re.compile(r":(Add|Allocate|Create|Register|Restore|Tag)[A-Z]")
"""Actions that are checked before the resource, and so its tags, exist."""

CREATING_ACTIONS = {
    "AWS::EC2::EIP": "AllocateAddress",
    "AWS::EC2::FlowLog": "CreateFlowLogs",
    "AWS::EC2::VPC": "CreateVpc",
    "AWS::EC2::VPCEndpoint": "CreateVpcEndpoint",
}
"""Actions of EC2 that create, where it is not Create and the type."""

OWN_ARNS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "application-autoscaling:{here}:"
    "scalable-target/{id}",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "application-autoscaling:{here}:"
    "scalable-target/{ScalingTargetId}",
    "AWS::Backup::BackupPlan": "backup:{here}:backup-plan:{id}",
    "AWS::Backup::BackupSelection": "backup:{here}:backup-plan:{BackupPlanId}",
    "AWS::Backup::BackupVault": "backup:{here}:backup-vault:{id}",
    "AWS::CloudWatch::Alarm": "cloudwatch:{here}:alarm:{id}",
    "AWS::CloudWatch::Dashboard": "cloudwatch::{account}:dashboard/{id}",
    "AWS::ECS::Cluster": "ecs:{here}:cluster/{id}",
    "AWS::ElastiCache::ParameterGroup": "elasticache:{here}:parametergroup:{id}",
    "AWS::ElastiCache::ReplicationGroup": "elasticache:{here}:replicationgroup:{id}",
    "AWS::ElastiCache::SubnetGroup": "elasticache:{here}:subnetgroup:{id}",
    "AWS::ElastiCache::User": "elasticache:{here}:user:{id}",
    "AWS::ElastiCache::UserGroup": "elasticache:{here}:usergroup:{id}",
    "AWS::IAM::Role": "iam::{account}:role/{id}",
    "AWS::KMS::Key": "kms:{here}:key/{id}",
    "AWS::Lambda::Function": "lambda:{here}:function:{id}",
    "AWS::Logs::LogGroup": "logs:{here}:log-group:{id}",
    "AWS::RDS::DBCluster": "rds:{here}:cluster:{id}",
    "AWS::RDS::DBClusterParameterGroup": "rds:{here}:cluster-pg:{id}",
    "AWS::RDS::DBInstance": "rds:{here}:db:{id}",
    "AWS::RDS::DBSubnetGroup": "rds:{here}:subgrp:{id}",
    "AWS::RDS::EventSubscription": "rds:{here}:es:{id}",
    "AWS::Route53::RecordSet": "route53:::hostedzone/{HostedZoneId}",
    "AWS::S3::Bucket": "s3:::{id}",
    "AWS::S3::BucketPolicy": "s3:::{Bucket}",
    "AWS::ServiceDiscovery::HttpNamespace": "servicediscovery:{here}:namespace/{id}",
}
"""ARN without its partition, by type; other types have their ARN as ID or attribute."""


class Reference:
    """IAM's reference of actions and of the resources that each is checked against."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @cached_property
    def _services(self) -> Mapping[str, Any]:
        services: Mapping[str, Any] = json.loads(self._file.read_text())
        return services

    def formats(self, action: str) -> list[str] | None:
        """Return ARN formats of an action, or None for an action that is unknown."""
        service, _, name = action.partition(":")
        entry = self._services.get(service, {}).get("Actions", {}).get(name.lower())
        if entry is None:
            return None
        kinds = {
            _plain(kind): details["ARNFormats"]
            for kind, details in self._services[service]["Resources"].items()
        }
        return [
            form for kind in entry.get("Resources", ()) for form in kinds[_plain(kind)]
        ]


def _plain(kind: str) -> str:
    return re.sub(r"[-_ ]", "", kind).lower()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Partition, region and account."""

    partition: str
    region: str
    account: str

    @property
    def here(self) -> str:
        """Region and account, as in an ARN."""
        return f"{self.region}:{self.account}"

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of a resource of the account."""
        return f"arn:{self.partition}:{service}:{self.here}:{rest}"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A resource of a stack that is created, updated or deleted."""

    schema: Schema
    place: Place
    physical_id: str
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any]
    tags: Tags
    """What its request sets, or what it has."""
    known: Mapping[str, Tags] = field(default_factory=dict)
    """Tags of other resources, by ARN."""

    @property
    def service(self) -> str:
        """IAM's prefix of the service."""
        namespace = self.schema.type.split("::")[1]
        return PREFIXES.get(namespace, namespace.lower())

    @cached_property
    def own_arn(self) -> str:
        """The ARN of the resource, or of the one that it is a part of."""
        form = OWN_ARNS.get(self.schema.type, "")
        if form:
            names = {
                "id": self.physical_id.rpartition("/")[2]
                if "scalable-target" in form
                else self.physical_id,
                "here": self.place.here,
                "account": self.place.account,
                **{key: _name(value) for key, value in self.properties.items()},
            }
            if self.schema.type == "AWS::IAM::Role":
                path = str(self.properties.get("Path", "/")).lstrip("/")
                names["id"] = path + self.physical_id
            return f"arn:{self.place.partition}:{form.format_map(_Default(names))}"
        if self.physical_id.startswith("arn:"):
            return self.physical_id
        values = [str(value) for value in self.attributes.values()]
        arns = (value for value in values if value.startswith("arn:"))
        ids = map(self._of_ec2, (self.physical_id, *values))
        return next(arns, "") or next(filter(None, ids), "")

    @cached_property
    def candidates(self) -> list[str]:
        """The resource and those in its properties, by ARN."""
        arns = [self.own_arn, *self._related(self.properties)]
        code = self.properties.get("Code")
        if isinstance(code, dict) and "S3Bucket" in code:
            arns.append(self._object(code["S3Bucket"], code["S3Key"]))
        if "PrivateDnsEnabled" in self.properties:
            arns.append(f"arn:{self.place.partition}:route53:::hostedzone/OfAws")
        if url := self.properties.get("TemplateURL"):
            bucket, key = _bucket_and_key(str(url))
            arns.append(self._object(bucket, key))
        return list(dict.fromkeys(arn for arn in arns if arn))

    def _object(self, bucket: str, key: str) -> str:
        return f"arn:{self.place.partition}:s3:::{bucket}/{key}"

    def _related(self, value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for each in value.values():
                yield from self._related(each)
        elif isinstance(value, list):
            for each in value:
                yield from self._related(each)
        elif isinstance(value, str):
            if value.startswith("arn:") and "\n" not in value:
                yield value
            elif arn := self._of_ec2(value):
                yield arn

    def _of_ec2(self, value: str) -> str:
        for part in value.split("|"):
            match = EC2_ID.fullmatch(part)
            if match and match[1] in EC2_KINDS:
                kind = EC2_KINDS[match[1]]
                return f"arn:{self.place.partition}:ec2:{self.place.here}:{kind}/{part}"
        return ""


class _Default(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "unknown"


def _name(value: Any) -> str:
    return str(value).rpartition("/")[2]


def _bucket_and_key(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host, path = parts.netloc, parts.path.lstrip("/")
    if ".s3." in host:
        return host.partition(".s3.")[0], path
    bucket, _, key = path.partition("/")
    return bucket, key


class ResourceCalls:
    """Derives the calls from schemas, reference and the table of uncalled actions."""

    def __init__(
        self,
        reference: Reference,
        uncalled: Mapping[str, str],
        trusted_by: Callable[[str], str],
    ) -> None:
        """``trusted_by`` returns the service that a role's trust policy names."""
        self._reference = reference
        self._uncalled = uncalled
        self._trusted_by = trusted_by

    def of(self, subject: Subject, operation: Operation) -> Iterator[ApiCall]:
        """Yield every call of one operation."""
        handlers = subject.schema.document.get("handlers", {})
        names = {
            "create": ("create", "read", "list"),
            "update": ("update", "read"),
            "delete": ("delete",),
        }[operation]
        actions = {
            f"{service}:{name[0].upper()}{name[1:]}"
            for handler in names
            for action in handlers.get(handler, {}).get("permissions", ())
            for service, _, name in [action.partition(":")]
        } | {*_unlisted(subject, operation)}
        for action in sorted(actions - self._uncalled.keys()):
            yield from self._calls(action, subject, operation)

    def _calls(
        self, action: str, subject: Subject, operation: Operation
    ) -> Iterator[ApiCall]:
        formats = self._reference.formats(action)
        if formats is None:
            return
        service = action.partition(":")[0]
        is_own = service == subject.service
        if not formats:
            yield ApiCall(action=action, context=self._request(subject, operation))
            return
        patterns = [_pattern(form, subject.place) for form in formats]
        matches = [
            arn
            for arn in subject.candidates
            if any(pattern.fullmatch(arn) for pattern in patterns)
        ]
        if not matches and is_own:
            # Another kind of resource, as if it had this one's name and tags.
            matches = [_filled(formats[0], subject)]
        for arn in matches:
            yield from self._on(action, arn, subject, operation)

    def _on(
        self, action: str, arn: str, subject: Subject, operation: Operation
    ) -> Iterator[ApiCall]:
        context = self._request(subject, operation)
        if arn in subject.known:
            context |= tag_context(subject.known[arn])
        elif operation != "create" or not CREATING.search(action):
            context |= tag_context(subject.tags)
        if action == "ec2:CreateTags" and operation == "create":
            kind = subject.schema.type
            named = f"Create{kind.rpartition('::')[2]}"
            context["ec2:createaction"] = CREATING_ACTIONS.get(kind, named)
        if action == "iam:PassRole":
            context["iam:passedtoservice"] = self._trusted_by(arn)
        if action.startswith("kms:") and subject.service != "kms":
            context |= kms_context(subject.service, subject.place.region)
            context["kms:grantisforawsresource"] = "true"
        if action.startswith("iam:") and subject.schema.type == "AWS::IAM::Role":
            boundary = subject.properties.get("PermissionsBoundary")
            if boundary:
                context["iam:permissionsboundary"] = str(boundary)
        if action in ("iam:AttachRolePolicy", "iam:DetachRolePolicy"):
            for policy in subject.properties.get("ManagedPolicyArns", ()):
                more = {**context, "iam:policyarn": str(policy)}
                yield ApiCall(action=action, resource=arn, context=more)
            return
        yield ApiCall(action=action, resource=arn, context=context)

    def _request(self, subject: Subject, operation: Operation) -> dict[str, str]:
        if operation != "create":
            return {}
        return {f"aws:requesttag/{k.lower()}": v for k, v in subject.tags.items()}


def _unlisted(subject: Subject, operation: Operation) -> Iterator[str]:
    """Yield what is called beside what the schema lists."""
    if "PrivateDnsEnabled" in subject.properties:
        yield "route53:AssociateVPCWithHostedZone"
    if "TemplateURL" in subject.properties and operation != "delete":
        yield "s3:GetObject"
    if "{{resolve:secretsmanager:" in json.dumps(subject.properties, default=str):
        yield "secretsmanager:GetSecretValue"


def _pattern(form: str, place: Place) -> re.Pattern[str]:
    text = (
        form.replace("${Partition}", place.partition)
        .replace("${Region}", place.region)
        .replace("${Account}", place.account)
    )
    parts = [re.escape(part) for part in text.split(".*")]
    return re.compile(".*".join(re.sub(r"\\\$\\\{[^}]*\}", "[^:/]*", p) for p in parts))


def _filled(form: str, subject: Subject) -> str:
    text = (
        form.replace("${Partition}", subject.place.partition)
        .replace("${Region}", subject.place.region)
        .replace("${Account}", subject.place.account)
    )
    name = re.split(r"[:/]", subject.own_arn or subject.physical_id)[-1]
    return re.sub(r"\$\{[^}]*\}", "x", text).replace(".*", name)

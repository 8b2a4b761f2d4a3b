"""Which actions on which resources an HTTP request to AWS stands for.

Only what tasks of the product call is known by resource. Anything else needs a policy
that allows it on ``*``: a call that this module does not know is refused until it is
added here, never allowed by accident.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from local.iam.http_request import HttpRequest
from local.iam.policy import ApiCall

SCOPE = re.compile(
    r"(?:Credential=|X-Amz-Credential=)[^/%]+(?:/|%2F)\d+(?:/|%2F)([\w-]+)(?:/|%2F)([\w-]+)"
)
CREDENTIAL = re.compile(r"(?:Credential=|X-Amz-Credential=)([^/%,&]+)(?:/|%2F)")
CBOR_PATH = re.compile(r"/service/[\w.]+/operation/(\w+)")

NAMESPACES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elasticloadbalancing",
}
"""Signing name -> the word before the colon of an action, where they differ."""

FREE = frozenset({"sts:GetCallerIdentity"})
"""What IAM never refuses."""

REST_ACTIONS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "backup": (
        ("GET", r"/account-settings", "DescribeRegionSettings"),
        ("GET", r"/backup-jobs/?", "ListBackupJobs"),
        ("GET", r"/backup-vaults/[^/]+", "DescribeBackupVault"),
    ),
    "route53": (
        ("GET", r"/[\d-]+/hostedzone/\w+", "GetHostedZone"),
        ("GET", r"/[\d-]+/hostedzone/\w+/rrset", "ListResourceRecordSets"),
    ),
}
"""Method, path and action of services whose requests do not name their action."""

S3_OPTIONS = re.compile(
    r"x-id|x-amz-.*|response-.*|list-type|prefix|delimiter|marker|max-(keys|parts|uploads)"
    r"|continuation-token|start-after|encoding-type|fetch-owner|part-?number(-marker)?"
    r"|(key|version-id|upload-id)-marker",
    re.IGNORECASE,
)
"""Query parameters that do not change which right a request needs."""

S3_BUCKET_ACTIONS: Mapping[tuple[str, frozenset[str]], tuple[str, ...]] = {
    (method, frozenset(names.split())): tuple(actions.split())
    for method, names, actions in (
        ("GET", "", "ListBucket"),
        ("HEAD", "", "ListBucket"),
        ("PUT", "", "CreateBucket"),
        ("DELETE", "", "DeleteBucket"),
        ("GET", "accelerate", "GetAccelerateConfiguration"),
        ("PUT", "accelerate", "PutAccelerateConfiguration"),
        ("GET", "acl", "GetBucketAcl"),
        ("PUT", "acl", "PutBucketAcl"),
        ("GET", "analytics", "GetAnalyticsConfiguration"),
        ("PUT", "analytics id", "PutAnalyticsConfiguration"),
        ("GET", "analytics id", "GetAnalyticsConfiguration"),
        ("DELETE", "analytics id", "PutAnalyticsConfiguration"),
        ("GET", "cors", "GetBucketCORS"),
        ("PUT", "cors", "PutBucketCORS"),
        ("DELETE", "cors", "PutBucketCORS"),
        ("GET", "encryption", "GetEncryptionConfiguration"),
        ("PUT", "encryption", "PutEncryptionConfiguration"),
        ("DELETE", "encryption", "PutEncryptionConfiguration"),
        ("GET", "intelligent-tiering", "GetIntelligentTieringConfiguration"),
        ("GET", "intelligent-tiering id", "GetIntelligentTieringConfiguration"),
        ("PUT", "intelligent-tiering id", "PutIntelligentTieringConfiguration"),
        ("DELETE", "intelligent-tiering id", "PutIntelligentTieringConfiguration"),
        ("GET", "inventory", "GetInventoryConfiguration"),
        ("GET", "inventory id", "GetInventoryConfiguration"),
        ("PUT", "inventory id", "PutInventoryConfiguration"),
        ("DELETE", "inventory id", "PutInventoryConfiguration"),
        ("GET", "lifecycle", "GetLifecycleConfiguration"),
        ("PUT", "lifecycle", "PutLifecycleConfiguration"),
        ("DELETE", "lifecycle", "PutLifecycleConfiguration"),
        ("GET", "location", "GetBucketLocation"),
        ("GET", "logging", "GetBucketLogging"),
        ("PUT", "logging", "PutBucketLogging"),
        ("GET", "metrics", "GetMetricsConfiguration"),
        ("GET", "metrics id", "GetMetricsConfiguration"),
        ("PUT", "metrics id", "PutMetricsConfiguration"),
        ("DELETE", "metrics id", "PutMetricsConfiguration"),
        ("GET", "notification", "GetBucketNotification"),
        ("PUT", "notification", "PutBucketNotification"),
        ("GET", "object-lock", "GetBucketObjectLockConfiguration"),
        ("PUT", "object-lock", "PutBucketObjectLockConfiguration"),
        ("GET", "ownershipControls", "GetBucketOwnershipControls"),
        ("PUT", "ownershipControls", "PutBucketOwnershipControls"),
        ("DELETE", "ownershipControls", "PutBucketOwnershipControls"),
        ("GET", "policy", "GetBucketPolicy"),
        ("PUT", "policy", "PutBucketPolicy"),
        ("DELETE", "policy", "DeleteBucketPolicy"),
        ("GET", "policyStatus", "GetBucketPolicyStatus"),
        ("GET", "publicAccessBlock", "GetBucketPublicAccessBlock"),
        ("PUT", "publicAccessBlock", "PutBucketPublicAccessBlock"),
        ("DELETE", "publicAccessBlock", "PutBucketPublicAccessBlock"),
        ("GET", "replication", "GetReplicationConfiguration"),
        ("PUT", "replication", "PutReplicationConfiguration"),
        ("DELETE", "replication", "PutReplicationConfiguration"),
        ("GET", "requestPayment", "GetBucketRequestPayment"),
        ("PUT", "requestPayment", "PutBucketRequestPayment"),
        ("GET", "tagging", "GetBucketTagging"),
        ("PUT", "tagging", "PutBucketTagging"),
        ("DELETE", "tagging", "PutBucketTagging"),
        ("GET", "uploads", "ListBucketMultipartUploads"),
        ("GET", "versioning", "GetBucketVersioning"),
        ("PUT", "versioning", "PutBucketVersioning"),
        ("GET", "versions", "ListBucketVersions"),
        ("GET", "website", "GetBucketWebsite"),
        ("PUT", "website", "PutBucketWebsite"),
        ("DELETE", "website", "DeleteBucketWebsite"),
    )
}
"""Method and sub-resources of a request for a bucket -> the actions that it needs, as
the service reference of S3 says."""

S3_OBJECT_ACTIONS: Mapping[tuple[str, frozenset[str]], tuple[str, ...]] = {
    (method, frozenset(names.split())): tuple(actions.split())
    for method, names, actions in (
        ("GET", "", "GetObject"),
        ("HEAD", "", "GetObject"),
        ("PUT", "", "PutObject"),
        ("DELETE", "", "DeleteObject"),
        ("GET", "versionId", "GetObjectVersion"),
        ("HEAD", "versionId", "GetObjectVersion"),
        ("DELETE", "versionId", "DeleteObjectVersion"),
        ("GET", "tagging", "GetObjectTagging"),
        ("PUT", "tagging", "PutObjectTagging"),
        ("DELETE", "tagging", "DeleteObjectTagging"),
        ("GET", "tagging versionId", "GetObjectVersionTagging"),
        ("PUT", "tagging versionId", "PutObjectVersionTagging"),
        ("DELETE", "tagging versionId", "DeleteObjectVersionTagging"),
        ("GET", "acl", "GetObjectAcl"),
        ("PUT", "acl", "PutObjectAcl"),
        ("GET", "acl versionId", "GetObjectVersionAcl"),
        ("PUT", "acl versionId", "PutObjectVersionAcl"),
        ("GET", "attributes", "GetObject GetObjectAttributes"),
        (
            *("GET", "attributes versionId"),
            "GetObjectVersion GetObjectVersionAttributes",
        ),
        ("GET", "legal-hold", "GetObjectLegalHold"),
        ("PUT", "legal-hold", "PutObjectLegalHold"),
        ("GET", "retention", "GetObjectRetention"),
        ("PUT", "retention", "PutObjectRetention"),
        ("POST", "restore", "RestoreObject"),
        ("GET", "torrent", "GetObjectTorrent"),
        ("POST", "uploads", "PutObject"),
        ("PUT", "uploadId", "PutObject"),
        ("POST", "uploadId", "PutObject"),
        ("GET", "uploadId", "ListMultipartUploadParts"),
        ("DELETE", "uploadId", "AbortMultipartUpload"),
    )
}
"""The same of a request for an object."""

S3_WRITE_HEADERS = {
    "X-Amz-Acl": "PutObjectAcl",
    "X-Amz-Tagging": "PutObjectTagging",
    "X-Amz-Object-Lock-Mode": "PutObjectRetention",
    "X-Amz-Object-Lock-Legal-Hold": "PutObjectLegalHold",
}
"""Header of a PutObject, or of the start of an upload -> the further right it needs."""


@dataclass(frozen=True)
class AwsScope:
    """Partition, region and account of the local environment."""

    region: str
    account: str

    @property
    def partition(self) -> str:
        """The partition of the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of a resource of the account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True)
class AwsRequest:
    """A request to an AWS API."""

    service: str
    """The signing name."""
    action: str
    """Without the service."""
    body: Mapping[str, Any]
    http: HttpRequest
    scope: AwsScope

    @property
    def name(self) -> str:
        """The IAM action."""
        return f"{NAMESPACES.get(self.service, self.service)}:{self.action}"


def read(http: HttpRequest, scope: AwsScope) -> AwsRequest:
    """Read which service and action a signed request is for."""
    signed = http.headers.get("Authorization") or http.target
    match = SCOPE.search(signed)
    service = match[2] if match else ""
    target = http.headers.get("X-Amz-Target")
    path, _, query = http.target.partition("?")
    if service in {"s3", "lambda"}:
        return AwsRequest(service, "", {}, http, scope)
    for method, pattern, action in REST_ACTIONS.get(service, ()):
        if method == http.method and re.fullmatch(pattern, path):
            return AwsRequest(service, action, {}, http, scope)
    body = _decompressed(http)
    if target:
        action = target.rpartition(".")[2]
        return AwsRequest(service, action, _json(body), http, scope)
    if operation := CBOR_PATH.fullmatch(path):
        return AwsRequest(service, operation[1], {}, http, scope)
    form = parse_qs(body.decode(errors="replace") or query)
    fields = {name: values[0] for name, values in form.items()}
    return AwsRequest(service, fields.get("Action", ""), fields, http, scope)


def calls(request: AwsRequest) -> list[ApiCall]:
    """Return every permission that a request needs."""
    if request.service == "s3":
        return list(_s3(request))
    if request.service == "lambda":
        return [_lambda(request)]
    if request.name in FREE:
        return []
    resources = RESOURCES.get(request.service, _unknown)(request)
    context = _context(request)
    return [
        ApiCall(action=request.name, resource=resource, context=context)
        for resource in resources
    ]


def access_key(authorization: str, target: str) -> str:
    """Return the access key that a request was signed with, or nothing."""
    match = CREDENTIAL.search(authorization or target.partition("?")[2])
    return match[1] if match else ""


def bucket_and_key(target: str) -> tuple[str, str]:
    """Return bucket and key of a path-style S3 request."""
    path = unquote(target.partition("?")[0]).lstrip("/")
    bucket, _, key = path.partition("/")
    return bucket, key


def _s3(request: AwsRequest) -> Iterator[ApiCall]:
    http = request.http
    bucket, key = bucket_and_key(http.target)
    base = f"arn:{request.scope.partition}:s3:::"
    if not bucket:
        yield ApiCall(action="s3:ListAllMyBuckets")
        return
    query = parse_qs(http.target.partition("?")[2], keep_blank_values=True)
    names = frozenset(name for name in query if not S3_OPTIONS.fullmatch(name))
    if not key and http.method == "POST" and names == {"delete"}:
        # The keys are in the body; each could be any of the bucket.
        yield ApiCall(action="s3:DeleteObject", resource=f"{base}{bucket}/*")
        return
    actions = (S3_OBJECT_ACTIONS if key else S3_BUCKET_ACTIONS).get(
        (http.method, names)
    )
    if actions is None:
        unknown = f"{http.method}?{'&'.join(sorted(names))}"
        yield ApiCall(action=f"s3:{unknown}")
        return
    for action in actions:
        if key:
            yield ApiCall(action=f"s3:{action}", resource=f"{base}{bucket}/{key}")
        else:
            context = {"s3:prefix": query.get("prefix", [""])[0]}
            yield ApiCall(
                action=f"s3:{action}", resource=base + bucket, context=context
            )
    if not key and "X-Amz-Object-Ownership" in http.headers:
        owned = "s3:PutBucketOwnershipControls"
        yield ApiCall(action=owned, resource=base + bucket)
    if key and actions == ("PutObject",):
        yield from _s3_write_headers(http, base, f"{bucket}/{key}")


def _s3_write_headers(http: HttpRequest, base: str, path: str) -> Iterator[ApiCall]:
    for header, action in S3_WRITE_HEADERS.items():
        if header in http.headers:
            yield ApiCall(action=f"s3:{action}", resource=base + path)
    if source := http.headers.get("X-Amz-Copy-Source"):
        source, _, version = source.partition("?versionId=")
        yield ApiCall(
            action="s3:GetObjectVersion" if version else "s3:GetObject",
            resource=base + unquote(source).lstrip("/"),
        )


def _lambda(request: AwsRequest) -> ApiCall:
    # /DATE/functions/NAME/invocations
    parts = [*request.http.target.partition("?")[0].split("/"), "", "", "", ""]
    is_call = parts[4] == "invocations"
    name = unquote(parts[3])
    return ApiCall(
        action=f"lambda:{'InvokeFunction' if is_call else request.http.method}",
        resource=name
        if name.startswith("arn:")
        else request.scope.arn("lambda", f"function:{name}"),
    )


def _ecs(request: AwsRequest) -> Sequence[str]:
    body = request.body
    cluster = str(body.get("cluster") or "default").rpartition("/")[2]
    if request.action == "RunTask":
        return _ecs_arns(request, "task-definition", [body.get("taskDefinition", "*")])
    tasks = body.get("tasks") or ([body["task"]] if "task" in body else [])
    if tasks:
        return _ecs_arns(request, f"task/{cluster}", tasks)
    services = body.get("services") or ([body["service"]] if "service" in body else [])
    return _ecs_arns(request, f"service/{cluster}", services) or ["*"]


def _ecs_arns(request: AwsRequest, kind: str, names: Sequence[object]) -> list[str]:
    return [
        str(name)
        if str(name).startswith("arn:")
        else request.scope.arn("ecs", f"{kind}/{name}")
        for name in names
    ]


def _logs(request: AwsRequest) -> Sequence[str]:
    group = request.body.get("logGroupName")
    stream = request.body.get("logStreamName")
    if not group:
        return [request.scope.arn("logs", "log-group:*")]
    end = f":log-stream:{stream}" if stream else ":*"
    return [request.scope.arn("logs", f"log-group:{group}{end}")]


def _named_by(*fields: str) -> Callable[[AwsRequest], Sequence[str]]:
    def resources(request: AwsRequest) -> Sequence[str]:
        body = request.body
        return [str(body[name]) for name in fields if name in body] or ["*"]

    return resources


def _secret(request: AwsRequest) -> Sequence[str]:
    """Return a secret's ARN; asked for by name it lacks the random end.

    IAM compares the whole ARN, so a policy may name it with or without ``-??????``; of
    one that does not exist the service itself knows no more than the name.
    """
    name = str(request.body.get("SecretId") or request.body.get("Name") or "*")
    if name == "*" or name.startswith("arn:"):
        return [name]
    return [request.scope.arn("secretsmanager", f"secret:{name}")]


def _database(request: AwsRequest) -> Sequence[str]:
    name = request.body.get("DBClusterIdentifier")
    return [request.scope.arn("rds", f"cluster:{name}")] if name else ["*"]


def _stack(request: AwsRequest) -> Sequence[str]:
    name = str(request.body.get("StackName") or "*")
    if name == "*" or name.startswith("arn:"):
        return [name]
    return [request.scope.arn("cloudformation", f"stack/{name}/*")]


def _unknown(_request: AwsRequest) -> Sequence[str]:
    return ["*"]


RESOURCES: Mapping[str, Callable[[AwsRequest], Sequence[str]]] = {
    "ecs": _ecs,
    "logs": _logs,
    "secretsmanager": _secret,
    "kms": _named_by("KeyId"),
    "sns": _named_by("TopicArn", "TargetArn"),
    "cloudformation": _stack,
    "elasticloadbalancing": _named_by("LoadBalancerArn"),
    "rds": _database,
    "sts": _named_by("RoleArn"),
}


def _context(request: AwsRequest) -> dict[str, str]:
    body = request.body
    if request.service == "ecs":
        cluster = str(body.get("cluster") or "default")
        if not cluster.startswith("arn:"):
            cluster = request.scope.arn("ecs", f"cluster/{cluster}")
        return {"ecs:cluster": cluster}
    namespace = body.get("Namespace") or body.get("namespace")
    if request.service == "monitoring" and namespace:
        return {"cloudwatch:namespace": str(namespace)}
    return {}


def _decompressed(http: HttpRequest) -> bytes:
    """Return a body as it was before the client compressed it."""
    if http.headers.get("Content-Encoding") != "gzip":
        return http.body
    try:
        return gzip.decompress(http.body)
    except (OSError, EOFError, zlib.error):
        return b""


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body or b"{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}

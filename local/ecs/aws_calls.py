"""Which actions on which resources an HTTP request to AWS stands for.

Only what tasks of the product call is known by resource; anything else is asked for on
``*``, which only a policy for all resources allows. So a new call is refused until
somebody teaches it here, never let through by accident.
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

from local.ecs.policy import Call
from local.ecs.web import Request

SCOPE = re.compile(
    r"(?:Credential=|X-Amz-Credential=)[^/%]+(?:/|%2F)\d+(?:/|%2F)([\w-]+)(?:/|%2F)([\w-]+)"
)
CBOR_PATH = re.compile(r"/service/[\w.]+/operation/(\w+)")

NAMESPACES = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elasticloadbalancing",
}
"""Signing name -> the word before the colon of an action, where they differ."""

FREE = frozenset({"sts:GetCallerIdentity"})
"""What IAM never refuses."""

S3_SUBRESOURCES: Mapping[tuple[str, str], str] = {
    ("GET", "acl"): "GetBucketAcl",
    ("GET", "encryption"): "GetEncryptionConfiguration",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "policy"): "GetBucketPolicy",
    ("GET", "tagging"): "GetBucketTagging",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "versions"): "ListBucketVersions",
}
S3_OBJECTS: Mapping[str, str] = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",
    "DELETE": "DeleteObject",
}
S3_BUCKETS: Mapping[str, str] = {
    "GET": "ListBucket",
    "HEAD": "ListBucket",
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
}


@dataclass(frozen=True)
class Where:
    """Partition, region and account of this rehearsal."""

    region: str
    account: str

    @property
    def partition(self) -> str:
        """The partition of the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of something here."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True)
class Asked:
    """A request, read."""

    service: str
    """The signing name."""
    action: str
    """Without the service."""
    body: Mapping[str, Any]
    request: Request
    where: Where

    @property
    def name(self) -> str:
        """The IAM action."""
        return f"{NAMESPACES.get(self.service, self.service)}:{self.action}"


def read(request: Request, where: Where) -> Asked:
    """Read which service and action a signed request is for."""
    signed = request.headers.get("Authorization") or request.target
    match = SCOPE.search(signed)
    service = match[2] if match else ""
    target = request.headers.get("X-Amz-Target")
    path, _, query = request.target.partition("?")
    if service in {"s3", "lambda"}:
        return Asked(service, "", {}, request, where)
    body = _plain(request)
    if target:
        return Asked(service, target.rpartition(".")[2], _json(body), request, where)
    if called := CBOR_PATH.fullmatch(path):
        return Asked(service, called[1], {}, request, where)
    form = parse_qs(body.decode(errors="replace") or query)
    plain = {name: values[0] for name, values in form.items()}
    return Asked(service, plain.get("Action", ""), plain, request, where)


def calls(asked: Asked) -> list[Call]:
    """Return every permission that a request takes."""
    if asked.service == "s3":
        return list(_s3(asked))
    if asked.service == "lambda":
        return [_lambda(asked)]
    if asked.name in FREE:
        return []
    found = RESOURCES.get(asked.service, _anything)(asked)
    context = _context(asked)
    return [
        Call(action=asked.name, resource=resource, context=context)
        for resource in found
    ]


def bucket_and_key(target: str) -> tuple[str, str]:
    """Return bucket and key of a path-style S3 request."""
    path = unquote(target.partition("?")[0]).lstrip("/")
    bucket, _, key = path.partition("/")
    return bucket, key


def _s3(asked: Asked) -> Iterator[Call]:
    request = asked.request
    bucket, key = bucket_and_key(request.target)
    base = f"arn:{asked.where.partition}:s3:::"
    method = request.method
    if not bucket:
        yield Call(action="s3:ListAllMyBuckets")
        return
    if key:
        action = S3_OBJECTS.get(method, method)
        yield Call(action=f"s3:{action}", resource=f"{base}{bucket}/{key}")
        if source := request.headers.get("X-Amz-Copy-Source"):
            yield Call(
                action="s3:GetObject", resource=base + unquote(source).lstrip("/")
            )
        return
    names = parse_qs(request.target.partition("?")[2], keep_blank_values=True)
    action = S3_BUCKETS.get(method, method)
    if "delete" in names:
        action = "DeleteObject"
    for (wanted, name), special in S3_SUBRESOURCES.items():
        if method == wanted and name in names:
            action = special
    prefix = names.get("prefix", [""])[0]
    yield Call(
        action=f"s3:{action}",
        resource=f"{base}{bucket}/*" if action == "DeleteObject" else base + bucket,
        context={"s3:prefix": prefix},
    )


def _lambda(asked: Asked) -> Call:
    parts = [
        unquote(part) for part in asked.request.target.partition("?")[0].split("/")
    ]
    is_call = len(parts) > 4 and parts[4] == "invocations"  # noqa: PLR2004 - /date/functions/name/...
    name = parts[3] if len(parts) > 3 else ""  # noqa: PLR2004 - as above
    arn = (
        name
        if name.startswith("arn:")
        else asked.where.arn("lambda", f"function:{name}")
    )
    word = "InvokeFunction" if is_call else asked.request.method
    return Call(action=f"lambda:{word}", resource=arn)


def _ecs(asked: Asked) -> Sequence[str]:
    body, where = asked.body, asked.where
    cluster = str(body.get("cluster") or "default").rpartition("/")[2]
    several = body.get("tasks") or ([body["task"]] if "task" in body else [])
    if asked.action == "RunTask":
        definition = str(body.get("taskDefinition", "*"))
        is_arn = definition.startswith("arn:")
        return [
            definition if is_arn else where.arn("ecs", f"task-definition/{definition}")
        ]
    if several:
        return [
            one
            if str(one).startswith("arn:")
            else where.arn("ecs", f"task/{cluster}/{one}")
            for one in several
        ]
    names = body.get("services") or ([body["service"]] if "service" in body else [])
    if names:
        return [
            one
            if str(one).startswith("arn:")
            else where.arn("ecs", f"service/{cluster}/{one}")
            for one in names
        ]
    return ["*"]


def _logs(asked: Asked) -> Sequence[str]:
    group = asked.body.get("logGroupName")
    stream = asked.body.get("logStreamName")
    if not group:
        return [asked.where.arn("logs", "log-group:*")]
    end = f":log-stream:{stream}" if stream else ":*"
    return [asked.where.arn("logs", f"log-group:{group}{end}")]


def _one(*names: str) -> Callable[[Asked], Sequence[str]]:
    def resources(asked: Asked) -> Sequence[str]:
        return [str(asked.body[name]) for name in names if name in asked.body] or ["*"]

    return resources


def _stack(asked: Asked) -> Sequence[str]:
    name = str(asked.body.get("StackName") or "*")
    if name == "*" or name.startswith("arn:"):
        return [name]
    return [asked.where.arn("cloudformation", f"stack/{name}/*")]


def _anything(_asked: Asked) -> Sequence[str]:
    return ["*"]


RESOURCES: Mapping[str, Callable[[Asked], Sequence[str]]] = {
    "ecs": _ecs,
    "logs": _logs,
    "secretsmanager": _one("SecretId"),
    "kms": _one("KeyId"),
    "sns": _one("TopicArn", "TargetArn"),
    "cloudformation": _stack,
}


def _context(asked: Asked) -> dict[str, str]:
    found: dict[str, str] = {}
    if asked.service == "ecs":
        cluster = str(asked.body.get("cluster") or "default")
        if not cluster.startswith("arn:"):
            cluster = asked.where.arn("ecs", f"cluster/{cluster}")
        found["ecs:cluster"] = cluster
    if asked.service == "monitoring" and "namespace" in {
        name.lower() for name in asked.body
    }:
        found["cloudwatch:namespace"] = str(
            asked.body.get("Namespace") or asked.body.get("namespace")
        )
    return found


def _plain(request: Request) -> bytes:
    """Return a body as it was before the client compressed it."""
    if request.headers.get("Content-Encoding") != "gzip":
        return request.body
    try:
        return gzip.decompress(request.body)
    except (OSError, EOFError, zlib.error):
        return b""


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

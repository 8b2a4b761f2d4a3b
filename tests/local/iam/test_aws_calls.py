"""The actions and resources that requests to S3 need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPMessage

import pytest
from botocore.loaders import create_loader
from botocore.model import ServiceModel

from local.ecs.web import HttpRequest
from local.emulator.venv import action_reference
from local.iam.aws_calls import (
    S3_BUCKET_ACTIONS,
    S3_OBJECT_ACTIONS,
    S3_OPTIONS,
    AwsScope,
    calls,
    read,
)

SCOPE = AwsScope("eu-central-1", "000000000000")
SIGNED = "AWS4-HMAC-SHA256 Credential=A/20300101/eu-central-1/s3/aws4_request"
OBJECT = "arn:aws:s3:::dags/a/b.py"


def needed(method: str, target: str, **headers: str) -> list[str]:
    """Return each action and resource that a request needs."""
    message = HTTPMessage()
    message["Authorization"] = SIGNED
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    request = HttpRequest(method, target, message, b"", "127.0.0.1")
    return [str(call) for call in calls(read(request, SCOPE))]


@pytest.mark.parametrize(
    ("method", "query", "actions"),
    [
        ("GET", "", "GetObject"),
        ("GET", "x-id=GetObject&partNumber=1&response-expires=0", "GetObject"),
        ("GET", "X-Amz-Signature=0&X-Amz-Expires=60", "GetObject"),
        ("HEAD", "", "GetObject"),
        ("PUT", "x-id=PutObject", "PutObject"),
        ("DELETE", "", "DeleteObject"),
        ("GET", "versionId=1", "GetObjectVersion"),
        ("DELETE", "versionId=1", "DeleteObjectVersion"),
        ("GET", "tagging", "GetObjectTagging"),
        ("PUT", "tagging=", "PutObjectTagging"),
        ("DELETE", "tagging", "DeleteObjectTagging"),
        ("GET", "tagging&versionId=1", "GetObjectVersionTagging"),
        ("GET", "acl", "GetObjectAcl"),
        ("PUT", "acl", "PutObjectAcl"),
        ("GET", "attributes", "GetObject GetObjectAttributes"),
        ("POST", "uploads", "PutObject"),
        ("PUT", "partNumber=1&uploadId=2", "PutObject"),
        ("POST", "uploadId=2", "PutObject"),
        ("GET", "uploadId=2&max-parts=5", "ListMultipartUploadParts"),
        ("DELETE", "uploadId=2", "AbortMultipartUpload"),
    ],
)
def test_sub_resources_of_objects_need_their_own_actions(
    method: str, query: str, actions: str
) -> None:
    assert needed(method, f"/dags/a/b.py?{query}") == [
        f"s3:{action} on resource: {OBJECT}" for action in actions.split()
    ]


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", "list-type=2&prefix=a&max-keys=1", "ListBucket"),
        ("GET", "versions&prefix=a", "ListBucketVersions"),
        ("GET", "location", "GetBucketLocation"),
        ("PUT", "", "CreateBucket"),
        ("DELETE", "", "DeleteBucket"),
    ],
)
def test_sub_resources_of_buckets_need_their_own_actions(
    method: str, query: str, action: str
) -> None:
    assert needed(method, f"/dags?{query}") == [
        f"s3:{action} on resource: arn:aws:s3:::dags"
    ]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PATCH", "/dags/a"),
        ("PUT", "/dags/a?annotation"),
        ("PUT", "/dags/a?versionId=1"),
        ("POST", "/dags/a"),
        ("PUT", "/dags?metadataInventoryTable"),
        ("DELETE", "/dags?metadataTable"),
        ("GET", "/dags?abac"),
    ],
)
def test_unknown_requests_to_s3_need_a_policy_for_all_resources(
    method: str, target: str
) -> None:
    query = target.partition("?")[2].partition("=")[0]
    assert needed(method, target) == [f"s3:{method}?{query} on resource: *"]


def test_several_objects_are_deleted_by_one_request() -> None:
    assert needed("POST", "/dags?delete") == [
        "s3:DeleteObject on resource: arn:aws:s3:::dags/*"
    ]


@pytest.mark.parametrize("query", ["", "uploads"])
def test_headers_of_a_write_need_further_actions(query: str) -> None:
    method = "POST" if query else "PUT"
    headers = {"X_Amz_Tagging": "a=b", "X_Amz_Acl": "public-read"}
    assert needed(method, f"/dags/a/b.py?{query}", **headers) == [
        f"s3:{action} on resource: {OBJECT}"
        for action in ("PutObject", "PutObjectAcl", "PutObjectTagging")
    ]


@pytest.mark.parametrize(
    ("source", "action"),
    [("/logs/x%20y", "GetObject"), ("logs/x%20y?versionId=1", "GetObjectVersion")],
)
def test_a_copy_needs_read_access_to_its_source(source: str, action: str) -> None:
    assert needed("PUT", "/dags/a/b.py", X_Amz_Copy_Source=source) == [
        f"s3:PutObject on resource: {OBJECT}",
        f"s3:{action} on resource: arn:aws:s3:::logs/x y",
    ]


UNKNOWN_TO_TASKS = frozenset(
    {
        *("CreateSession", "RenameObject"),  # of directory buckets
        *("CreateBucketMetadataConfiguration", "DeleteBucketMetadataConfiguration"),
        *("CreateBucketMetadataTableConfiguration", "GetBucketMetadataConfiguration"),
        "DeleteBucketMetadataTableConfiguration",
        "GetBucketMetadataTableConfiguration",
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "UpdateBucketMetadataInventoryTableConfiguration",
        "UpdateBucketMetadataJournalTableConfiguration",
        *("DeleteObjectAnnotation", "GetObjectAnnotation", "ListObjectAnnotations"),
        *("PutObjectAnnotation", "GetBucketAbac", "PutBucketAbac"),
        *("SelectObjectContent", "UpdateObjectEncryption"),
        "DeleteObjects",  # its keys are in the body
    }
)
"""Operations of S3 that are refused, since no table has them, or decided elsewhere."""


def s3_requests() -> Iterator[tuple[str, bool, str, frozenset[str]]]:
    """Yield name, whether it is about an object, method and sub-resources."""
    # A copy of its own: a client's first call removes {Bucket} from its model.
    description = create_loader().load_service_model("s3", "service-2")
    model = ServiceModel(description, "s3")
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        if "{Bucket}" not in path:
            continue
        names = {part.partition("=")[0] for part in query.split("&") if part}
        shape = operation.input_shape
        names |= {
            shape.members[member].serialization["name"]
            for member in shape.required_members
            if shape.members[member].serialization.get("location") == "querystring"
        }
        sub_resources = {each for each in names if not S3_OPTIONS.fullmatch(each)}
        yield name, "{Key" in path, operation.http["method"], frozenset(sub_resources)


def test_every_operation_of_s3_has_its_action() -> None:
    # PUT ?tagging is another right than PUT.
    missing = {
        name
        for name, is_object, method, sub_resources in s3_requests()
        if (method, sub_resources)
        not in (S3_OBJECT_ACTIONS if is_object else S3_BUCKET_ACTIONS)
    }
    assert missing == UNKNOWN_TO_TASKS


def test_actions_of_s3_exist() -> None:
    reference = json.loads(action_reference().read_text())["s3"]["Actions"]
    tables = (*S3_BUCKET_ACTIONS.values(), *S3_OBJECT_ACTIONS.values())
    actions = {action.lower() for needed in tables for action in needed}
    assert actions <= reference.keys()

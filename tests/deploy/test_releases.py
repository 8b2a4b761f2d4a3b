"""Releases in the bucket: pushes at once, killed ones, older clients and rollbacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from cli.errors import Failure, Refused, Unable, UsageError
from deploy import releases
from deploy.aws import Aws
from deploy.release_archive import Archive
from deploy.releases import BundleLocation, Commit, Pointer
from fargate_runtime import contract
from tests.deploy.fakes import REGION

PLACE = BundleLocation("releases-bucket", "team-a")
FIRST, SECOND, THIRD = (Archive(body, 1, 2) for body in (b"one", b"two", b"three"))


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        account = Aws(region=REGION)
        account.call(
            "s3",
            "create_bucket",
            Bucket=PLACE.bucket,
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        yield account


def push(aws: Aws, archive: Archive, pointer: Pointer | None = None) -> Pointer:
    return releases.push(
        aws,
        PLACE,
        pointer or releases.read(aws, PLACE),
        archive,
        commit=Commit("abc", is_dirty=True),
        is_checked=True,
    )


def test_history_says_who_pushed_what_from_where(aws: Aws) -> None:
    push(aws, FIRST)
    push(aws, SECOND)
    newest, oldest = releases.read(aws, PLACE).history
    assert (oldest.version, newest.version) == (FIRST.version, SECOND.version)
    assert newest.by == aws.principal
    assert (newest.commit, newest.is_dirty, newest.is_checked) == ("abc", True, True)
    assert (newest.files, newest.size, newest.action) == (1, 2, "push")
    assert newest.at.endswith("+00:00")
    assert releases.download(aws, PLACE, FIRST.version) == b"one"


def test_one_of_two_pushes_at_once_is_refused(aws: Aws) -> None:
    for read in (releases.read(aws, PLACE), push(aws, FIRST)):
        push(aws, SECOND)
        with pytest.raises(Refused, match="meanwhile"):
            push(aws, THIRD, read)
        assert releases.read(aws, PLACE).current == SECOND.version


def test_push_that_ends_before_the_switch_changes_nothing(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(aws, FIRST)
    call = Aws.call

    def killed(self: Aws, service: str, operation: str, *rest: str, **more: str) -> Any:
        if (operation, more.get("Key")) == ("put_object", PLACE.pointer_key):
            raise KeyboardInterrupt
        return call(self, service, operation, *rest, **more)

    with monkeypatch.context() as changed:
        changed.setattr(Aws, "call", killed)
        with pytest.raises(KeyboardInterrupt):
            push(aws, SECOND)
    assert releases.read(aws, PLACE).current == FIRST.version
    assert push(aws, SECOND).current == SECOND.version


def test_archive_is_uploaded_once(aws: Aws) -> None:
    push(aws, FIRST)
    push(aws, SECOND)
    before = aws.calls["s3:put_object"]
    push(aws, FIRST)
    assert aws.calls["s3:put_object"] == before + 1


def put_pointer(aws: Aws, body: str) -> None:
    aws.call("s3", "put_object", Bucket=PLACE.bucket, Key=PLACE.pointer_key, Body=body)


def test_older_client_is_refused(aws: Aws) -> None:
    document = {"format": contract.RELEASE_FORMAT + 1, "current": "x", "history": []}
    put_pointer(aws, json.dumps(document))
    with pytest.raises(Refused, match="A newer build") as caught:
        push(aws, FIRST)
    (problem,) = caught.value.problems
    assert problem.where
    assert problem.remedy


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"format": 1, "history": [{}]}'])
def test_foreign_pointer_is_named(aws: Aws, body: str) -> None:
    put_pointer(aws, body)
    with pytest.raises(Unable, match="not what a push writes"):
        releases.read(aws, PLACE)


def rollback(aws: Aws, version: str | None = None) -> Pointer:
    return releases.rollback(aws, PLACE, releases.read(aws, PLACE), version)


def test_each_rollback_goes_one_release_back(aws: Aws) -> None:
    for archive in (FIRST, SECOND, THIRD):
        push(aws, archive)
    assert rollback(aws).current == SECOND.version
    assert rollback(aws).current == FIRST.version
    with pytest.raises(UsageError, match="no older"):
        rollback(aws)
    assert rollback(aws, THIRD.version[:7]).current == THIRD.version
    assert [e.action for e in releases.read(aws, PLACE).history[:3]] == ["rollback"] * 3


@pytest.mark.parametrize(
    ("version", "what"),
    [
        ("ffffffff", "No versions"),
        (FIRST.version[:3], "too short"),
        (SECOND.version, "is the current"),
    ],
)
def test_wrong_version_is_a_usage_error(aws: Aws, version: str, what: str) -> None:
    push(aws, FIRST)
    push(aws, SECOND)
    with pytest.raises(UsageError, match=what):
        rollback(aws, version)


def test_missing_archive_stops_a_rollback(aws: Aws) -> None:
    push(aws, FIRST)
    push(aws, SECOND)
    key = PLACE.archive_key(FIRST.version)
    aws.call("s3", "delete_object", Bucket=PLACE.bucket, Key=key)
    with pytest.raises(Failure, match="not there any more"):
        rollback(aws)
    assert releases.read(aws, PLACE).current == SECOND.version

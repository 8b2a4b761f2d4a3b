"""Upload dist/ to S3: unchanged files stay, nested templates come before their parents.

Afterwards every uploaded file is read once more: a template that cannot be read is the
most frequent reason why a launch fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cli.errors import AwsError, Denied, Problem, Refused, Unable
from deploy import bucket
from deploy.addresses import (
    Publication,
    PublishedFile,
    PublishLocation,
    build_publication,
)
from deploy.aws import CONNECTIONS, Aws, is_missing
from deploy.dist import Dist

CONTENT_TYPES = {".json": "application/json", ".zip": "application/zip"}

IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class PublishResult:
    """Where everything is published, and what was uploaded."""

    publication: Publication
    uploaded: tuple[str, ...]
    """Paths of the files that did not exist yet."""


def publish(aws: Aws, dist: Dist, bucket_name: str | None = None) -> PublishResult:
    """Publish every template and asset that is not published yet."""
    name = bucket.ensure(aws, bucket_name)
    publication = build_publication(dist.files, location(aws, name))
    missing = {file.path for file in absent(aws, publication.files)}
    for layer in publication.layers:
        _each(
            [file for file in layer if file.path in missing],
            lambda file: _upload(aws, name, file),
        )
    # The others were read a moment ago, by the same request.
    unreadable = absent(aws, [f for f in publication.files if f.path in missing])
    if unreadable:
        raise Unable(_unreadable(aws, unreadable))
    return PublishResult(
        publication,
        tuple(file.path for file in publication.files if file.path in missing),
    )


def existing_publication(
    aws: Aws, dist: Dist, bucket_name: str | None = None
) -> Publication:
    """Return where everything is published; refuse unless everything is readable."""
    name = bucket_name or bucket.default_name(aws)
    if not bucket.check(aws, name):
        raise Refused(
            Problem(
                where=f"Bucket {name}",
                what="The bucket does not exist, so nothing is published.",
                remedy="Run publish first.",
            )
        )
    publication = build_publication(dist.files, location(aws, name))
    missing = absent(aws, publication.files)
    if missing:
        raise Refused(
            *(
                Problem(
                    where=file.path,
                    what=f"{file.url} does not exist.",
                    remedy="Run publish first: the current dist/ is not published.",
                )
                for file in missing
            )
        )
    return publication


def location(aws: Aws, name: str) -> PublishLocation:
    """Return the location of the files of a bucket."""
    return PublishLocation(name, aws.region, aws.dns_suffix)


def absent(aws: Aws, files: Iterable[PublishedFile]) -> list[PublishedFile]:
    """Return the files that are not published; raise when some are not readable."""
    candidates = list(files)
    denied: list[PublishedFile] = []

    def is_absent(file: PublishedFile) -> bool:
        try:
            aws.call(
                "s3",
                "head_object",
                file.url,
                Bucket=file.bucket,
                Key=file.key,
                ExpectedBucketOwner=aws.account,
            )
        except AwsError as error:
            if is_missing(error):
                return True
            raise
        except Denied:
            denied.append(file)
        return False

    absences = _each(candidates, is_absent)
    if denied:
        raise Unable(_unreadable(aws, sorted(denied, key=lambda file: file.path)))
    return [file for file, missing in zip(candidates, absences, strict=True) if missing]


def _each(
    files: list[PublishedFile], work: Callable[[PublishedFile], bool]
) -> list[bool]:
    """Process several files in parallel; raise the first failure."""
    if not files:
        return []
    with ThreadPoolExecutor(min(CONNECTIONS, len(files))) as pool:
        return list(pool.map(work, files))


def _upload(aws: Aws, name: str, file: PublishedFile) -> bool:
    aws.call(
        "s3",
        "put_object",
        f"{name}/{file.key}",
        Bucket=name,
        Key=file.key,
        Body=file.body,
        ContentType=CONTENT_TYPES["." + file.key.rpartition(".")[2]],
        CacheControl=IMMUTABLE,
        # S3 compares it with what it received: half a file is never published.
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=aws.account,
    )
    return True


def _unreadable(aws: Aws, files: Sequence[PublishedFile]) -> Problem:
    listed = "\n".join(f"  {file.url}" for file in files)
    return Problem(
        where=f"{len(files)} of the published files",
        what=f"{aws.principal} cannot read:\n{listed}",
        why="CloudFormation reads them with the credentials of the launch.",
        remedy="Allow that principal s3:GetObject on the bucket's objects (and "
        "kms:Decrypt where a KMS key encrypts them), in its own policy and in the "
        "bucket policy.",
    )

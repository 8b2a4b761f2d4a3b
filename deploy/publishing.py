"""dist/ to S3: what is there already stays, children go before their parents.

Afterwards every address is asked for once more, as who will launch: a template that
cannot be read is the commonest reason why a launch fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cli.errors import AwsError, Denied, Problem, Refused, Unable
from deploy import bucket
from deploy.addresses import (
    PublishedFile,
    PublishLocation,
    Publication,
    build_publication,
)
from deploy.aws import CONNECTIONS, Aws, is_missing
from deploy.dist import Dist

CONTENT_TYPES = {".json": "application/json", ".zip": "application/zip"}

FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class PublishResult:
    """What a publish did."""

    publication: Publication
    uploaded: tuple[str, ...]
    """Paths of the files that were not there yet."""


def publish(aws: Aws, dist: Dist, wanted_bucket: str | None = None) -> PublishResult:
    """Publish every template and asset that is not published yet."""
    name = bucket.ensure(aws, wanted_bucket)
    publication = build_publication(dist.files, place(aws, name))
    missing = {file.path for file in absent(aws, publication.files)}
    for layer in publication.layers:
        _each(
            [file for file in layer if file.path in missing],
            lambda file: _upload(aws, name, file),
        )
    # What was there was seen a moment ago, by the same request.
    unreadable = absent(aws, [f for f in publication.files if f.path in missing])
    if unreadable:
        raise Unable(_unreadable(aws, unreadable))
    return PublishResult(
        publication,
        tuple(file.path for file in publication.files if file.path in missing),
    )


def existing_publication(
    aws: Aws, dist: Dist, wanted_bucket: str | None = None
) -> Publication:
    """Return where everything is published; refuse unless everything can be read."""
    name = wanted_bucket or bucket.own_name(aws)
    if not bucket.check(aws, name):
        raise Refused(
            Problem(
                where=f"Bucket {name}",
                what="There is no such bucket, so nothing is published.",
                remedy="Run publish first.",
            )
        )
    publication = build_publication(dist.files, place(aws, name))
    missing = absent(aws, publication.files)
    if missing:
        raise Refused(
            *(
                Problem(
                    where=file.path,
                    what=f"{file.url} is not there.",
                    remedy="Run publish first: what dist/ holds now is not published.",
                )
                for file in missing
            )
        )
    return publication


def place(aws: Aws, name: str) -> PublishLocation:
    """Return where the files of a bucket are found."""
    return PublishLocation(name, aws.region, aws.dns_suffix)


def absent(aws: Aws, files: Iterable[PublishedFile]) -> list[PublishedFile]:
    """Return the files that are not published; raise when some may not be read."""
    asked = list(files)
    barred: list[PublishedFile] = []

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
            barred.append(file)
        return False

    gone = _each(asked, is_absent)
    if barred:
        raise Unable(_unreadable(aws, sorted(barred, key=lambda file: file.path)))
    return [file for file, is_gone in zip(asked, gone, strict=True) if is_gone]


def _each(
    files: list[PublishedFile], work: Callable[[PublishedFile], bool]
) -> list[bool]:
    """Do the same to several files side by side; raise the first failure."""
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
        CacheControl=FOR_EVER,
        # S3 compares it with what arrived, so that half a file is never published.
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=aws.account,
    )
    return True


def _unreadable(aws: Aws, files: Sequence[PublishedFile]) -> Problem:
    listed = "\n".join(f"  {file.url}" for file in files)
    return Problem(
        where=f"{len(files)} of the published files",
        what=f"{aws.principal} cannot read:\n{listed}",
        why="CloudFormation reads them as whoever launches the stack.",
        remedy="Allow that principal s3:GetObject on the bucket's objects (and "
        "kms:Decrypt where a key of KMS encrypts them), in its own policy and in the "
        "bucket's.",
    )

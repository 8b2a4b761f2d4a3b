"""Releases of DAGs in the release bucket: archives, and one pointer for each bundle.

An archive is written once, under its SHA-256. The pointer is replaced last and only if
it is still the one that was read, so a push that is killed changes nothing and of two
pushes at once one is refused. It also holds the history, newest first.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.errors import AwsError, Problem, Refused, Unable, UsageError
from deploy import stacks
from deploy.aws import Aws, is_missing
from deploy.release_archive import Archive
from fargate_runtime import contract

BUCKET, KEY = "ReleaseBucketName", "KeyArn"
"""Outputs of the environment's stack."""

MOST_ENTRIES = 100
"""Entries of the history; an older version can still be pushed again."""

SHORTEST_VERSION = 7
"""Characters of a version that a user has to type."""

SHOWN = 12
"""Characters of a version that are shown."""

EXISTS = frozenset({"PreconditionFailed", "412"})
BUSY = frozenset({"ConditionalRequestConflict", "409"})
UPLOAD_ATTEMPTS = 3
"""Another upload of the same archive ends, or has failed, by then."""

PUSH, ROLLBACK = "push", "rollback"


@dataclass(frozen=True)
class Commit:
    """The Git commit of a folder; empty outside of a repository."""

    id: str = ""
    is_dirty: bool = False
    """Whether the folder has changes that are not committed."""


@dataclass(frozen=True)
class Entry:
    """A line of the history: a version became current."""

    version: str
    action: str
    at: str
    """UTC, in ISO 8601."""
    by: str
    """ARN of the principal."""
    commit: str
    is_dirty: bool
    files: int
    size: int
    is_checked: bool
    """Whether Airflow had parsed the files before."""


@dataclass(frozen=True)
class Pointer:
    """The pointer of a bundle as it was read."""

    mark: str = ""
    """ETag; empty before the first push."""
    history: tuple[Entry, ...] = ()

    @property
    def current(self) -> str:
        """The current version; empty before the first push."""
        return self.history[0].version if self.history else ""


@dataclass(frozen=True)
class BundleLocation:
    """Where a bundle's releases are."""

    bucket: str
    bundle: str

    def key(self, name: str) -> str:
        """Return the key of an object of the bundle."""
        return f"{self.bundle}/{name}"

    @property
    def pointer_key(self) -> str:
        """Key of the pointer."""
        return self.key(contract.RELEASE_POINTER)

    def archive_key(self, version: str) -> str:
        """Return the key of an archive."""
        return self.key(f"{contract.RELEASE_ARCHIVES}/{version}.tar.gz")


def outputs(aws: Aws, stack_name: str) -> dict[str, str]:
    """Return bucket and key of a stack by the names of their outputs."""
    values = stacks.existing(aws, stack_name).outputs
    if missing := {BUCKET, KEY} - values.keys():
        raise Refused(
            Problem(
                where=f"Stack {stack_name}",
                what=f"It has no output {' and no '.join(sorted(missing))}.",
                why="It was launched by a version without DAG releases, or its "
                "launch is not over.",
                remedy="Update it first: build.py launch ENV.",
            )
        )
    return {name: values[name] for name in (BUCKET, KEY)}


def location(aws: Aws, stack_name: str, bundle: str) -> BundleLocation:
    """Return where the releases of a bundle of a stack are."""
    return BundleLocation(outputs(aws, stack_name)[BUCKET], bundle)


def read(aws: Aws, place: BundleLocation) -> Pointer:
    """Return the pointer of a bundle; an empty one before the first push."""
    if not _is_there(aws, place, place.pointer_key):
        return Pointer()
    answer = aws.call(
        "s3",
        "get_object",
        f"{place.bucket}/{place.pointer_key}",
        Bucket=place.bucket,
        Key=place.pointer_key,
    )
    return Pointer(answer["ETag"], _history(place, answer["Body"].read()))


def push(
    aws: Aws,
    place: BundleLocation,
    pointer: Pointer,
    archive: Archive,
    *,
    commit: Commit,
    is_checked: bool,
) -> Pointer:
    """Upload an archive and make it current."""
    if not _is_there(aws, place, place.archive_key(archive.version)):
        _upload(aws, place, archive)
    entry = Entry(
        archive.version,
        PUSH,
        _now(),
        aws.principal,
        commit.id,
        commit.is_dirty,
        archive.files,
        archive.size,
        is_checked,
    )
    return _switch(aws, place, pointer, entry)


def rollback(
    aws: Aws, place: BundleLocation, pointer: Pointer, version: str | None
) -> Pointer:
    """Make an older version current: the one before, or that which is named."""
    entry = _chosen(place, pointer, version)
    key = place.archive_key(entry.version)
    if not _is_there(aws, place, key):
        raise Refused(
            Problem(
                where=f"{place.bucket}/{key}",
                what="The archive is not there any more.",
                remedy="Check out its commit and push it again.",
            )
        )
    again = replace(entry, action=ROLLBACK, at=_now(), by=aws.principal)
    return _switch(aws, place, pointer, again)


def download(aws: Aws, place: BundleLocation, version: str) -> bytes:
    """Return the archive of a version."""
    key = place.archive_key(version)
    answer = aws.call(
        "s3", "get_object", f"{place.bucket}/{key}", Bucket=place.bucket, Key=key
    )
    body: bytes = answer["Body"].read()
    return body


def commit_of(folder: Path) -> Commit:
    """Return the Git commit of a folder, without one outside of a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(  # noqa: S603 - fixed words and a folder
            ["git", "-C", folder, *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        return Commit(git("rev-parse", "HEAD"), bool(git("status", "--porcelain", ".")))
    except (OSError, subprocess.CalledProcessError):
        return Commit()


def _history(place: BundleLocation, body: bytes) -> tuple[Entry, ...]:
    """Return the history in a pointer; refuse one that a newer client wrote."""
    where = f"{place.bucket}/{place.pointer_key}"
    try:
        document: Mapping[str, Any] = json.loads(body)
        if document["format"] > contract.RELEASE_FORMAT:
            raise Refused(
                Problem(
                    where=where,
                    what=f"It has format {document['format']}; this build.py writes "
                    f"{contract.RELEASE_FORMAT}.",
                    why="A newer build.py pushed to this bundle. This one would lose "
                    "what it does not know.",
                    remedy="Use the version of build.py that the others use.",
                )
            )
        names = [field.name for field in fields(Entry)]
        return tuple(
            Entry(*(entry[name] for name in names)) for entry in document["history"]
        )
    except (ValueError, LookupError, TypeError) as error:
        raise Unable(
            Problem(
                where=where,
                what=f"It is not what a push writes: {error!r}.",
                why="Something else has written to the release bucket.",
                remedy="Restore the object's last version in S3, then run this again.",
            )
        ) from error


def _upload(aws: Aws, place: BundleLocation, archive: Archive) -> None:
    """Write an archive that is not there yet; S3 compares its SHA-256."""
    key = place.archive_key(archive.version)

    def put() -> None:
        aws.call(
            "s3",
            "put_object",
            f"{place.bucket}/{key}",
            Bucket=place.bucket,
            Key=key,
            Body=archive.body,
            ContentType="application/gzip",
            ChecksumSHA256=base64.b64encode(bytes.fromhex(archive.version)).decode(),
            IfNoneMatch="*",
        )

    for attempt in range(UPLOAD_ATTEMPTS):
        try:
            put()
        except AwsError as error:
            if error.code in EXISTS:
                return
            if error.code not in BUSY or attempt == UPLOAD_ATTEMPTS - 1:
                raise
        else:
            return


def _switch(aws: Aws, place: BundleLocation, pointer: Pointer, entry: Entry) -> Pointer:
    """Replace the pointer, if it is still the one that was read."""
    history = (entry, *pointer.history)[:MOST_ENTRIES]
    document = {
        "format": contract.RELEASE_FORMAT,
        "current": entry.version,
        "history": [asdict(each) for each in history],
    }
    condition = {"IfMatch": pointer.mark} if pointer.mark else {"IfNoneMatch": "*"}
    try:
        answer = aws.call(
            "s3",
            "put_object",
            f"{place.bucket}/{place.pointer_key}",
            Bucket=place.bucket,
            Key=place.pointer_key,
            Body=json.dumps(document, indent=1).encode(),
            ContentType="application/json",
            **condition,
        )
    except AwsError as error:
        if error.code not in EXISTS | BUSY and not is_missing(error):
            raise
        raise Refused(
            Problem(
                where=f"Bundle {place.bundle}",
                what="Another push or rollback has switched it meanwhile.",
                why="This one would undo it unseen. The current version is theirs.",
                remedy="See `build.py dags list ENV`, then run this again.",
            )
        ) from error
    return Pointer(answer["ETag"], history)


def _is_there(aws: Aws, place: BundleLocation, key: str) -> bool:
    """Whether an object exists.

    By a list of the bundle's own folder: a read of a missing object looks forbidden
    without the right to list the whole bucket.
    """
    listed = aws.call(
        "s3",
        "list_objects_v2",
        f"{place.bucket}/{key}",
        Bucket=place.bucket,
        Prefix=key,
        MaxKeys=1,
    )
    return any(entry["Key"] == key for entry in listed.get("Contents", ()))


def _chosen(place: BundleLocation, pointer: Pointer, version: str | None) -> Entry:
    """Return the entry to roll back to.

    Without a version, that of the push before the one that is current: a second
    rollback goes one further back, and not forth again.
    """
    if version is None:
        pushes = [entry for entry in pointer.history if entry.action == PUSH]
        versions = [entry.version for entry in pushes]
        at = versions.index(pointer.current) if pointer.current in versions else 0
        for entry in pushes[at:]:
            if entry.version != pointer.current:
                return entry
        raise _unknown(place, "It has no older version.")
    if len(version) < SHORTEST_VERSION:
        raise _unknown(
            place, f"{version} is too short: write {SHORTEST_VERSION} characters."
        )
    matches = {
        entry.version: entry
        for entry in reversed(pointer.history)
        if entry.version.startswith(version)
    }
    if len(matches) != 1:
        count = len(matches) or "No"
        raise _unknown(place, f"{count} versions of it begin with {version}.")
    (entry,) = matches.values()
    if entry.version == pointer.current:
        raise _unknown(place, f"{version} is the current version.")
    return entry


def _unknown(place: BundleLocation, what: str) -> UsageError:
    return UsageError(
        Problem(
            where=f"Bundle {place.bundle}",
            what=what,
            remedy=f"build.py dags list ENV --bundle {place.bundle} shows them.",
        )
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

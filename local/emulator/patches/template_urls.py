"""Where a template URL points, in every style and partition that CloudFormation takes.

MiniStack reads path style alone. A regional virtual-hosted URL, which is what
publishing writes, would be looked for in a bucket named like the first folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from local.emulator.patches.partitions import SUFFIXES

_SUFFIX = "|".join(re.escape(suffix) for suffix in SUFFIXES)
_S3 = rf"s3(?:[.-](?P<region>[a-z0-9-]+))?\.(?:{_SUFFIX})"
VIRTUAL_HOSTED = re.compile(rf"(?P<bucket>[a-z0-9][a-z0-9.-]+)\.{_S3}")
PATH_STYLE = re.compile(_S3)
LOCAL = re.compile(r"127\.0\.0\.1|localhost|\[::1\]")

HELP = (
    "For more information check "
    "http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
)


class UnreadableError(ValueError):
    """A template cannot be had from a URL, in CloudFormation's words."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An object in S3, or one version of it."""

    bucket: str
    key: str
    version: str = ""


def place(url: str) -> Place:
    """Return the object that a URL names, or refuse the URL."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    path = unquote(parts.path).lstrip("/")
    version = parse_qs(parts.query).get("versionId", [""])[0]
    if LOCAL.fullmatch(host) or (
        parts.scheme == "https" and PATH_STYLE.fullmatch(host)
    ):
        bucket, _, key = path.partition("/")
    elif parts.scheme == "https" and (found := VIRTUAL_HOSTED.fullmatch(host)):
        bucket, key = found["bucket"], path
    else:
        bucket, key = "", ""
    if not bucket or not key:
        raise UnreadableError("TemplateURL must be a supported URL.")
    return Place(bucket=bucket, key=key, version=version)


def s3_error(what: str) -> UnreadableError:
    """Return S3's refusal as CloudFormation passes it on."""
    return UnreadableError(f"S3 error: {what}\n{HELP}")

"""Parses template URLs in every style and partition that CloudFormation accepts.

MiniStack reads path style alone. It would look up a virtual-hosted URL, which
publishing writes, in a bucket with the name of the first folder.
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


class UnreadableTemplateError(ValueError):
    """The template at a URL cannot be read; the message is CloudFormation's."""


@dataclass(frozen=True, kw_only=True)
class TemplateLocation:
    """An object in S3, or one version of it."""

    bucket: str
    key: str
    version: str = ""


def location(url: str) -> TemplateLocation:
    """Return the object of a URL. Raises UnreadableTemplateError."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    path = unquote(parts.path).lstrip("/")
    version = parse_qs(parts.query).get("versionId", [""])[0]
    if LOCAL.fullmatch(host) or (
        parts.scheme == "https" and PATH_STYLE.fullmatch(host)
    ):
        bucket, _, key = path.partition("/")
    elif parts.scheme == "https" and (match := VIRTUAL_HOSTED.fullmatch(host)):
        bucket, key = match["bucket"], path
    else:
        bucket, key = "", ""
    if not bucket or not key:
        raise UnreadableTemplateError("TemplateURL must be a supported URL.")
    return TemplateLocation(bucket=bucket, key=key, version=version)


def s3_error(what: str) -> UnreadableTemplateError:
    """Return an error of S3 in the form of CloudFormation."""
    return UnreadableTemplateError(f"S3 error: {what}\n{HELP}")

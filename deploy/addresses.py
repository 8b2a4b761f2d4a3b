"""Files of ``dist/`` under the digest of their content, with everything rewritten.

In ``dist/`` templates name each other, and assets, by relative path. Published, each
such string becomes an address that holds the digest of what lies there: a published
address never changes its meaning, an unchanged child keeps its address, and "nothing
to change" is true. Pure: nothing here reads a file or calls AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from deploy.dist import ASSETS, ROOT, TEMPLATE, digest

BUCKET = "bucket-named-at-publish"
"""Stands for the bucket in the compiled templates."""


@dataclass(frozen=True)
class PublishLocation:
    """Where files are published."""

    bucket: str
    region: str
    dns_suffix: str

    def url(self, key: str) -> str:
        """Return the regional address of an object, right in every partition."""
        return f"https://{self.bucket}.s3.{self.region}.{self.dns_suffix}/{key}"


@dataclass(frozen=True)
class PublishedFile:
    """One file as it is published."""

    path: str
    bucket: str
    key: str
    url: str
    body: bytes
    depth: int
    """How many layers of files it needs to be there before it."""


@dataclass(frozen=True)
class Publication:
    """Every file as it is published, what others need first."""

    place: PublishLocation
    files: tuple[PublishedFile, ...]

    def __getitem__(self, path: str) -> PublishedFile:
        return next(file for file in self.files if file.path == path)

    @property
    def root_url(self) -> str:
        """Address of the parent."""
        return self[ROOT].url

    @property
    def layers(self) -> list[list[PublishedFile]]:
        """Files in groups: those of a group need only those of the groups before."""
        deepest = max((file.depth for file in self.files), default=-1)
        return [
            [file for file in self.files if file.depth == depth]
            for depth in range(deepest + 1)
        ]

    def template(self, path: str) -> dict[str, Any]:
        """Return a template as it is published."""
        document: dict[str, Any] = json.loads(self[path].body)
        return document


def build_publication(
    files: Mapping[str, bytes], place: PublishLocation
) -> Publication:
    """Give every template and asset its address, children before parents."""
    done: dict[str, PublishedFile] = {}

    def add(path: str) -> PublishedFile:
        if path not in done:
            done[path] = (
                _template(path, files, place, add)
                if path.endswith(TEMPLATE)
                else _asset(path, files[path], place)
            )
        return done[path]

    for path in sorted(files):
        if path.endswith(TEMPLATE) or path.startswith(ASSETS):
            add(path)
    return Publication(
        place, tuple(sorted(done.values(), key=lambda file: (file.depth, file.path)))
    )


def _asset(path: str, content: bytes, place: PublishLocation) -> PublishedFile:
    suffix = PurePosixPath(path).suffix
    key = f"{ASSETS}{digest(content)}{suffix}"
    return PublishedFile(path, place.bucket, key, place.url(key), content, 0)


def _template(
    path: str, files: Mapping[str, bytes], place: PublishLocation, add: Any
) -> PublishedFile:
    needed: list[PublishedFile] = []

    def written(text: str) -> str:
        if text == BUCKET:
            return place.bucket
        if text == path or text not in files:
            return text
        if not (text.endswith(TEMPLATE) or text.startswith(ASSETS)):
            return text
        file: PublishedFile = add(text)
        needed.append(file)
        return file.url if text.endswith(TEMPLATE) else file.key

    document = rewritten(json.loads(files[path]), written)
    body = (json.dumps(document, separators=(",", ":"), ensure_ascii=False)).encode()
    name = path.removesuffix(TEMPLATE)
    key = f"{name}/{digest(body)}.json"
    depth = max((file.depth + 1 for file in needed), default=0)
    return PublishedFile(path, place.bucket, key, place.url(key), body, depth)


def rewritten(value: Any, written: Any) -> Any:
    """Return a document with every string (but no key) as ``written`` has it."""
    if isinstance(value, dict):
        return {key: rewritten(item, written) for key, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item, written) for item in value]
    return written(value) if isinstance(value, str) else value

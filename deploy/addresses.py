"""URLs of the files of ``dist/``, by the digest of their content.

In ``dist/`` templates refer to each other, and to assets, by relative path. Published,
each such string becomes a URL that contains the digest of its content: a published URL
never changes its content, an unchanged nested template keeps its URL, and a stack
without changes has none. Pure: nothing here reads a file or calls AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from deploy.dist import ASSETS, ROOT, TEMPLATE, digest

BUCKET = "bucket-named-at-publish"
"""Placeholder of the bucket in the compiled templates."""


@dataclass(frozen=True)
class PublishLocation:
    """Where files are published."""

    bucket: str
    region: str
    dns_suffix: str

    def url(self, key: str) -> str:
        """Return the regional URL of an object, in every partition."""
        return f"https://{self.bucket}.s3.{self.region}.{self.dns_suffix}/{key}"


@dataclass(frozen=True)
class PublishedFile:
    """One file with its key and URL."""

    path: str
    bucket: str
    key: str
    url: str
    body: bytes
    depth: int
    """How many layers of files have to be published before it."""


@dataclass(frozen=True)
class Publication:
    """Every file as it is published, dependencies first."""

    location: PublishLocation
    files: tuple[PublishedFile, ...]

    def __getitem__(self, path: str) -> PublishedFile:
        return next(file for file in self.files if file.path == path)

    @property
    def root_url(self) -> str:
        """URL of the parent."""
        return self[ROOT].url

    @property
    def layers(self) -> list[list[PublishedFile]]:
        """Files in groups: each group refers only to files of earlier groups."""
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
    files: Mapping[str, bytes], location: PublishLocation
) -> Publication:
    """Return every template and asset with its URL, children before parents."""
    published: dict[str, PublishedFile] = {}

    def add(path: str) -> PublishedFile:
        if path not in published:
            published[path] = (
                _template(path, files, location, add)
                if path.endswith(TEMPLATE)
                else _asset(path, files[path], location)
            )
        return published[path]

    for path in sorted(files):
        if path.endswith(TEMPLATE) or path.startswith(ASSETS):
            add(path)
    return Publication(
        location,
        tuple(sorted(published.values(), key=lambda file: (file.depth, file.path))),
    )


def _asset(path: str, content: bytes, location: PublishLocation) -> PublishedFile:
    suffix = PurePosixPath(path).suffix
    key = f"{ASSETS}{digest(content)}{suffix}"
    return PublishedFile(path, location.bucket, key, location.url(key), content, 0)


def _template(
    path: str, files: Mapping[str, bytes], location: PublishLocation, add: Any
) -> PublishedFile:
    dependencies: list[PublishedFile] = []

    def written(text: str) -> str:
        if text == BUCKET:
            return location.bucket
        if text == path or text not in files:
            return text
        if not (text.endswith(TEMPLATE) or text.startswith(ASSETS)):
            return text
        file: PublishedFile = add(text)
        dependencies.append(file)
        return file.url if text.endswith(TEMPLATE) else file.key

    document = rewritten(json.loads(files[path]), written)
    body = (json.dumps(document, separators=(",", ":"), ensure_ascii=False)).encode()
    name = path.removesuffix(TEMPLATE)
    key = f"{name}/{digest(body)}.json"
    depth = max((file.depth + 1 for file in dependencies), default=0)
    return PublishedFile(path, location.bucket, key, location.url(key), body, depth)


def rewritten(value: Any, replace: Any) -> Any:
    """Return a document with ``replace`` applied to every string, but no key."""
    if isinstance(value, dict):
        return {key: rewritten(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item, replace) for item in value]
    return replace(value) if isinstance(value, str) else value

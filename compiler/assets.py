"""Files published beside the templates, packed to the same bytes everywhere."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from compiler.output import digest, sources
from compiler.wiring import AssetFile

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time of a zip: file times of a checkout would change the digest."""

READABLE_FILE = 0o100644
"""A world-readable regular file: the container's user does not own it."""

MADE_ON_UNIX = 3


def packed(package: Path, path: str) -> AssetFile:
    """Pack a Python package for ``sys.path``; ``path`` is its place in ``dist/``."""
    memory = io.BytesIO()
    # Stored, not deflated: compressors differ from machine to machine, and the
    # digest of this archive is part of the templates.
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        for file in sources(package):
            entry = zipfile.ZipInfo(
                file.relative_to(package.parent).as_posix(), date_time=EPOCH
            )
            entry.create_system = MADE_ON_UNIX
            entry.external_attr = READABLE_FILE << 16
            archive.writestr(entry, file.read_bytes())
    content = memory.getvalue()
    return AssetFile(path=path, content=content, sha256=digest(content))

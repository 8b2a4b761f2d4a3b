"""The source of a team's image: what CodeBuild builds, as one archive.

The same files give the same archive on every machine, so its digest tells whether an
image was built from them already.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from team_image.folder import (
    BASE_ARGUMENT,
    DOCKERFILE,
    PLUGINS,
    REQUIREMENTS,
    ImageFolder,
)

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time of a zip: file times of a checkout would change the digest."""

READABLE_FILE = 0o100644
MADE_ON_UNIX = 3

TAG_LENGTH = 32
"""Hexadecimal digits of a tag: 128 bits of SHA-256."""

USER_ID = 50000
"""The user airflow of the official image (its build argument AIRFLOW_UID)."""


@dataclass(frozen=True)
class ImageSource:
    """The files of a build, and the name that follows from them."""

    archive: bytes
    tag: str


def image_source(image: ImageFolder, base: str, architecture: str) -> ImageSource:
    """Return the archive of a build, and a tag for it with this base and processor."""
    files = dict(sorted(_files(image)))
    memory = io.BytesIO()
    # Stored, not deflated: compressors differ from machine to machine.
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = MADE_ON_UNIX
            entry.external_attr = READABLE_FILE << 16
            archive.writestr(entry, content)
    content = memory.getvalue()
    inputs = content + f"\n{base}\n{architecture}".encode()
    return ImageSource(content, hashlib.sha256(inputs).hexdigest()[:TAG_LENGTH])


def _files(image: ImageFolder) -> Iterator[tuple[str, bytes]]:
    if image.dockerfile:
        # It may copy anything of the folder.
        for path in image.folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(image.folder).as_posix(), path.read_bytes()
    else:
        yield DOCKERFILE, dockerfile(image).encode()
        for name, path in image.plugin_files().items():
            yield f"{PLUGINS}/{name}", path.read_bytes()
    if image.requirements.exists():
        lines = (f"{text}\n" for _, text in image.requirement_lines())
        yield REQUIREMENTS, "".join(lines).encode()


def dockerfile(image: ImageFolder) -> str:
    """Return the Dockerfile of a folder without one: base, packages, plugins.

    pip gets Airflow's constraints, which the official image holds, and Airflow's own
    version, so that no requirement can replace it. The address of a private index is a
    secret of the build: no layer and no argument has it.
    """
    steps = [f"ARG {BASE_ARGUMENT}", f"FROM ${{{BASE_ARGUMENT}}}"]
    if packages := image.debian_packages():
        steps += [
            "USER root",
            "RUN apt-get update \\",
            f" && apt-get install -y --no-install-recommends {' '.join(packages)} \\",
            " && rm -rf /var/lib/apt/lists/*",
            "USER airflow",
        ]
    if image.requirement_lines():
        steps += [
            f"COPY {REQUIREMENTS} /tmp/image/{REQUIREMENTS}",
            f"RUN --mount=type=secret,id=index,uid={USER_ID} \\",
            "    if [ -s /run/secrets/index ]; then \\",
            '      export PIP_EXTRA_INDEX_URL="$(cat /run/secrets/index)"; fi \\',
            ' && pip install --no-cache-dir --constraint "${HOME}/constraints.txt" \\',
            f'    "apache-airflow==${{AIRFLOW_VERSION}}" -r /tmp/image/{REQUIREMENTS}',
        ]
    if image.plugin_files():
        steps.append(f"COPY --chown=airflow:0 {PLUGINS}/ /opt/airflow/{PLUGINS}/")
    return "\n".join([*steps, ""])

"""The folder ``image/`` of a project, and the mistakes that are found by reading it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.errors import Failure, Problem

FOLDER = "image"
REQUIREMENTS, PACKAGES, DOCKERFILE = "requirements.txt", "packages.txt", "Dockerfile"
PLUGINS = "plugins"

AIRFLOW = ("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk")
"""Distributions whose versions the image decides."""

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?")
COMMENT = re.compile(r"(^|\s)#.*")
DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[\w.+:~-]+)?")
"""Name, architecture and version: Debian policy, sections 5.6.1 and 5.6.12."""

BASE = re.compile(
    r"^\s*FROM\s+(--\S+\s+)*(?P<image>\S+)(\s+AS\s+(?P<name>\S+))?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
BASE_ARGUMENT = "AIRFLOW_IMAGE"
"""The build argument that names the image of Airflow to begin with."""


@dataclass(frozen=True)
class ImageFolder:
    """What a team adds to the image of Airflow. A missing file adds nothing."""

    folder: Path
    requirements: Path
    """The file of Python packages; ``requirements.txt`` of the folder, or another."""

    @classmethod
    def of(cls, project: Path, requirements: Path | None = None) -> ImageFolder:
        """Return the folder of a project, with another file of requirements if given.

        Raises Failure for a mistake in one of its files, with file and line.
        """
        folder = project / FOLDER
        image = cls(folder, requirements or folder / REQUIREMENTS)
        if problems := tuple(image.problems()):
            raise Failure(*problems)
        return image

    @property
    def dockerfile(self) -> Path | None:
        """The team's own Dockerfile, if there is one."""
        path = self.folder / DOCKERFILE
        return path if path.is_file() else None

    def requirement_lines(self) -> list[tuple[int, str]]:
        """Return number and text of each line that asks for a Python package."""
        return _lines(self.requirements)

    def debian_packages(self) -> list[str]:
        """Return the Debian packages to install, in their order."""
        return [text for _, text in _lines(self.folder / PACKAGES)]

    def plugin_files(self) -> dict[str, Path]:
        """Return the files of the plugins, by their path in the plugins folder."""
        folder = self.folder / PLUGINS
        return {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            and "__pycache__" not in path.parts
            and not path.name.startswith(".")
        }

    def module_folders(self) -> list[Path]:
        """Return the folders from which Airflow lets DAGs import modules."""
        return [self.folder / PLUGINS]

    def is_stock(self) -> bool:
        """Whether nothing is added: the image is that of Airflow as it is."""
        added = self.requirement_lines() or self.debian_packages()
        return not (added or self.plugin_files() or self.dockerfile)

    def problems(self) -> Iterator[Problem]:
        """Yield each mistake that can be seen without a package index."""
        for number, text in self.requirement_lines():
            if problem := _requirement_problem(f"{self.requirements}:{number}", text):
                yield problem
        for number, text in _lines(self.folder / PACKAGES):
            if not DEBIAN_PACKAGE.fullmatch(text):
                yield Problem(
                    where=f"{self.folder / PACKAGES}:{number}",
                    what=f"{text} is no name of a Debian package.",
                    remedy="Write one name a line, such as libaio1t64.",
                )
        if self.dockerfile and not _begins_with_airflow(self.dockerfile.read_text()):
            yield Problem(
                where=str(self.dockerfile),
                what="The last stage does not begin with an image of Airflow.",
                why="Every component of an environment runs this image.",
                remedy=f"Write: ARG {BASE_ARGUMENT}, then FROM ${{{BASE_ARGUMENT}}}; "
                "the build sets it.",
            )


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line that is no comment; none without a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise Failure(
            Problem(
                where=str(path),
                what="It is not text in UTF-8.",
                why=str(error),
                remedy="Save it as UTF-8.",
            )
        ) from error
    stripped = (
        (number, COMMENT.sub("", line).strip())
        for number, line in enumerate(text.splitlines(), 1)
    )
    return [(number, line) for number, line in stripped if line]


def _requirement_problem(where: str, text: str) -> Problem | None:
    if text.startswith("-"):
        return Problem(
            where=where,
            what=f"{text.split(maxsplit=1)[0]} is an option of pip.",
            why="The image and this machine would install from different places.",
            remedy="Write the packages themselves. PIP_INDEX_URL names another index "
            "on this machine, image --index-secret that of the build.",
        )
    requirement = REQUIREMENT.match(text)
    if requirement is None:
        return Problem(
            where=where,
            what=f"{text} is no requirement of a Python package.",
            remedy="Write a name, and a version if need be: humanize or humanize==4.9.",
        )
    name = re.sub(r"[-_.]+", "-", requirement["name"]).lower()
    rest = text[requirement.end() :].partition(";")[0].strip()
    if name in AIRFLOW and rest:
        return Problem(
            where=where,
            what=f"{text} would replace the Airflow of the image.",
            why="Every component runs the Airflow that the image was built with, and "
            "the migration job refuses another one.",
            remedy="Delete the line; the parameter Image chooses the version of "
            "Airflow.",
        )
    return None


def _begins_with_airflow(dockerfile: str) -> bool:
    """Whether the last stage of a Dockerfile goes back to an image of Airflow."""
    stages = {
        (stage["name"] or str(number)).lower(): stage["image"]
        for number, stage in enumerate(BASE.finditer(dockerfile))
    }
    if not stages:
        return False
    base = list(stages.values())[-1]
    for _ in stages:
        base = stages.get(base.lower(), base)
    return BASE_ARGUMENT in base or "airflow" in base.lower()

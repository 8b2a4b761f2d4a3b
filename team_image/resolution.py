"""Find the versions of a team's packages that go with Airflow, and name a conflict.

uv resolves them with the versions of the stock image as constraints
(``requirements/image.txt``), as Airflow's documentation asks for. It takes seconds and
installs nothing. The index is that of pip, with ``PIP_INDEX_URL`` and its other
variables.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from cli.errors import Failure, Problem, Unable
from requirements import install
from team_image.folder import ImageFolder

CONSTRAINTS = install.ROOT / "requirements" / "image.txt"
BASE = install.ROOT / "requirements" / "airflow.in"
"""The packages that are always there."""

INPUT = "requirements.txt"

SECONDS = 300
"""A package without a wheel is built to learn what it depends on."""

SYNTAX = re.compile(r"parse requirement in .*at position (?P<position>\d+)")
SAME_PACKAGE = re.compile(
    r"you require (?P<package>(?P<name>[\w.-]+)\S*) and (?P<pinned>(?P=name)==\S+),"
)
DEPENDENCY = re.compile(
    r"Because (?P<package>\S+) depends on (?P<needed>\S+) and "
    r"(\S+ depends on )?(?P<pinned>\S+?),"
)
MISSING = re.compile(r"Because (?P<name>\S+) was not found in the package registry")
NO_VERSION = re.compile(r"Because there is no version of (?P<requirement>[^\s,]+)")
UNREACHABLE = re.compile(
    r"[Ff]ailed to fetch|error sending request|dns error|timed out"
)


def pins(image: ImageFolder, extra: Iterable[str], python: Sequence[str]) -> str:
    """Return a file of pins with hashes, as ``uv pip sync`` takes it.

    ``extra`` are names of packages of the stock image to add; ``python`` are uv's
    options that say for which Python. Raises Failure with the packages that conflict,
    with file and line where the mistake is in one line; Unable without an index.
    """
    lines = image.requirement_lines()
    with tempfile.TemporaryDirectory() as folder:
        # Line numbers must be those of the team's file.
        numbered = dict(lines)
        texts = [numbered.get(n, "") for n in range(1, max(numbered, default=0) + 1)]
        (Path(folder) / INPUT).write_text("".join(f"{text}\n" for text in texts))
        (Path(folder) / "extra.in").write_text("".join(f"{n}\n" for n in sorted(extra)))
        done = _uv(
            [
                *("pip", "compile", "--quiet", "--no-header", "--no-annotate"),
                *("--generate-hashes", "--constraints", str(CONSTRAINTS), *python),
                *("--index-strategy", "unsafe-best-match"),
                *(str(BASE), "extra.in", INPUT),
            ],
            folder,
        )
    if done.returncode:
        raise _failure(image, "\n".join(texts), done.stderr)
    return done.stdout


def _uv(arguments: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - our own environment's command
            [install.UV_PROGRAM, *arguments],
            cwd=folder,
            env=install.uv_variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Unable(
            Problem(
                where="the package index",
                what=f"It did not answer within {SECONDS} s.",
                remedy="Check the network, then run this again.",
            )
        ) from error


def _failure(image: ImageFolder, text: str, output: str) -> Failure:
    """Return the error that uv's output tells of."""
    if syntax := SYNTAX.search(output):
        number = text.count("\n", 0, int(syntax["position"])) + 1
        reason = output.splitlines()[1].partition("cause:")[2].strip()
        return Failure(
            Problem(
                where=f"{image.requirements}:{number}",
                what=f"{text.splitlines()[number - 1]} is no requirement of a Python "
                "package.",
                why=f"{reason}.",
                remedy="Write a name, and a version if need be: humanize==4.9.",
            )
        )
    cause = " ".join(output.replace("error:", "").replace("cause:", "").split())
    if UNREACHABLE.search(output):
        return Unable(
            Problem(
                where="the package index",
                what="It cannot be reached.",
                why=cause,
                remedy="Check the network or the proxy; PIP_INDEX_URL names another "
                "index, PIP_CERT its certificates.",
            )
        )
    return Failure(_resolution_problem(image, cause))


def _resolution_problem(image: ImageFolder, cause: str) -> Problem:
    """Return the problem of requirements for which there is no solution."""
    if missing := MISSING.search(cause):
        return Problem(
            where=_place(image, missing["name"]),
            what=f"The package index has no package {missing['name']}.",
            remedy="Correct the name. PIP_INDEX_URL names another index.",
        )
    if same := SAME_PACKAGE.search(cause):
        return _conflict(image, same["package"], f"has {same['pinned']}")
    if none := NO_VERSION.search(cause):
        return Problem(
            where=_place(image, none["requirement"]),
            what=f"The package index has no {none['requirement']}.",
            remedy="Ask for a version that exists, or delete the version.",
        )
    if needed := DEPENDENCY.search(cause):
        clash = f"has {needed['pinned']}, and it needs {needed['needed']}"
        return _conflict(image, needed["package"], clash)
    return Problem(
        where=str(image.requirements),
        what="The versions of its packages cannot be found.",
        why=cause,
        remedy="Correct what the cause names, and run this again.",
    )


def _conflict(image: ImageFolder, package: str, clash: str) -> Problem:
    """Return the error of a package that the constraints exclude."""
    return Problem(
        where=_place(image, package),
        what=f"{package} does not go with Airflow {stock()['apache-airflow']}, which "
        f"{clash}.",
        why="The image takes the constraints that Airflow was released with.",
        remedy="Delete the version, or ask for another one. What needs other versions "
        "than Airflow runs in a virtual environment of its own: docs/packages.md.",
    )


def _place(image: ImageFolder, requirement: str) -> str:
    """Return file and line of a requirement, or the file where no line names it."""
    name = _name(requirement)
    for number, text in image.requirement_lines():
        if _name(text) == name:
            return f"{image.requirements}:{number}"
    return str(image.requirements)


def _name(requirement: str) -> str:
    words = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", words[0]).lower() if words else ""


def stock() -> dict[str, str]:
    """Return the packages of the stock image: name -> version."""
    matches = re.finditer(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE)
    return {match[1]: match[2] for match in matches}

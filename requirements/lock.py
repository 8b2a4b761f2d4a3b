"""Pin what ``requirements/*.in`` asks for, and check that the pins install.

Run by ``make pins``. The pins are for every Python and every platform at once. The
check tries them on each Python and platform that is supported. It installs nothing, and
it builds nothing: each package must have a wheel.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from requirements import install

REQUIREMENTS = Path("requirements")
ORDER = ("uv", "dev", "tool", "emulator", "datastores", "image", "airflow", "browser")
SUBSETS = {"tool": "dev", "airflow": "image"}
"""These take the versions that the other has."""

PUBLISHED_BEFORE = dict.fromkeys(("image", "airflow"), "2026-09-18T00:00:00Z")
"""The day after the release of the image's Airflow: see image.in."""

CONSTRAINTS = {"image"}
"""Versions only, for what others install: without hashes, and some without wheels."""

PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")
LINUX = ("x86_64-manylinux_2_34", "aarch64-manylinux_2_34")
MACOS = ("aarch64-apple-darwin", "x86_64-apple-darwin")
ON_MACOS = {"uv", "tool", "emulator"}

TAIL = 10


def main() -> int:
    """Pin everything, then check it."""
    # A pin and all its hashes are those of the main index: others may lack files of it.
    variables = install.uv_variables()
    for variable in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        variables.pop(variable, None)
    for name in ORDER:
        done = uv(compilation(name), variables)
        if done.returncode:
            return install.fail(
                f"requirements/{name}.in cannot be pinned:\n{done.stderr.strip()}",
                "Change a version there, and run make pins again.",
            )
    install.say("Checking that the pins install on every Python and platform ...")
    wrong = [
        f"requirements/{name}.txt, Python {python}, {target}:\n{words}"
        for name in ORDER
        if name not in CONSTRAINTS
        for python in PYTHONS
        for target in targets(name)
        if (words := obstacle(name, python, target, variables))
    ]
    if wrong:
        return install.fail(
            "These pins do not install:\n" + "\n".join(wrong),
            "Ask for another version in the .in file, and run make pins again.",
        )
    return 0


def targets(name: str) -> tuple[str, ...]:
    """Return the platforms on which these packages are supported."""
    return (*LINUX, *(MACOS if name in ON_MACOS else ()))


def compilation(name: str) -> list[str]:
    """Return the arguments that pin one file."""
    bound, superset = PUBLISHED_BEFORE.get(name), SUBSETS.get(name)
    return [
        *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--fork-strategy", "fewest", "--no-header", "--no-annotate"),
        *(() if name in CONSTRAINTS else ("--generate-hashes",)),
        *(("--exclude-newer", bound) if bound else ()),
        *(("--constraints", str(REQUIREMENTS / f"{superset}.txt")) if superset else ()),
        *("--output-file", str(REQUIREMENTS / f"{name}.txt")),
        str(REQUIREMENTS / f"{name}.in"),
    ]


def obstacle(name: str, python: str, target: str, variables: dict[str, str]) -> str:
    """Return why the pins do not install on a Python of a platform, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        done = uv(
            [
                *("pip", "install", "--dry-run", "--quiet", "--target", folder),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *("--python-version", python, "--python-platform", target),
                *("-r", str(REQUIREMENTS / f"{name}.txt")),
            ],
            variables,
        )
    return "\n".join(done.stderr.splitlines()[:TAIL]) if done.returncode else ""


def uv(
    arguments: list[str], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run uv in the project."""
    return subprocess.run(  # noqa: S603 - our own environment's command
        [install.UV_PROGRAM, *arguments],
        cwd=install.ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())

"""The command ``image``: build a team's container image and name it in a file."""

# ruff: noqa: PLC0415 - the help of the command loads neither boto3 nor the compiler

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import console
from cli.deployment import (
    BUCKET,
    JSON,
    YES,
    CommandTarget,
    ProjectContext,
    stack_command,
)
from cli.errors import ExitCode, Failure, Problem
from cli.product import ROOT

if TYPE_CHECKING:
    from deploy.dist import Dist
    from deploy.image_build import BuildSettings
    from team_image.folder import ImageFolder

MEANINGS = {
    ExitCode.FAILED: "failed: image/ or a package needs correcting",
    ExitCode.UNCHANGED: "the file names the image of this source already",
}

PLATFORMS = {
    "X86_64": "x86_64-manylinux_2_28",
    "ARM64": "aarch64-manylinux_2_28",
}
"""uv's names of the processors, on the Debian of the official image."""

BASE_PYTHON = re.compile(r"-python(?P<version>3\.\d+)")
BASE_AIRFLOW = re.compile(r"airflow:(slim-)?(?P<version>\d+\.\d+\.\d+)")
PARAMETERS = re.compile(r'"Parameters"\s*:\s*\{')
IMAGE_VALUE = re.compile(r'("Image"\s*:\s*)"[^"]*"')


@stack_command(ExitCode.UNCHANGED, meanings=MEANINGS)
@click.option(
    "--base",
    metavar="IMAGE",
    default="",
    help="Image of Airflow to begin with, instead of apache/airflow; later builds use "
    "it again.",
)
@click.option(
    "--index-secret",
    metavar="ARN",
    default="",
    help="Secret with the URL of a private package index; later builds use it again.",
)
@BUCKET
@YES
@JSON
def image(target: CommandTarget, **options: Any) -> ExitCode:
    r"""Build the image of image/ in CodeBuild, and name it in the parameter file.

    \b
    Nothing is built on this machine, which needs no Docker:
      1. requirements.txt is resolved with Airflow's constraints: a conflict
         ends the command here
      2. the stack airflow-ENV-image is made, once: a repository in ECR with
         scans and tags that cannot be moved, and the project of the build
      3. the source is uploaded under its digest, built and checked; the log is
         shown as it comes
      4. the digest of the image becomes Image in parameters/ENV.json
    A source that was built before is not built again. A failed build changes
    neither the file nor an environment; `launch` brings a new image into use.

    \b
    Examples
      ./build.py image dev
      ./build.py image prod --index-secret arn:aws:secretsmanager:...:secret:index
      ./build.py image prod --base REGISTRY/docker-hub/apache/airflow:3.3.2
    """
    from deploy import image_build
    from deploy.dist import BOUNDARY
    from team_image.folder import ImageFolder
    from team_image.source import image_source

    team = ImageFolder.of(ROOT)
    dist = target.dist()
    environment = target.environment(dist)
    aws = target.aws()
    settings = image_build.settled(
        aws,
        dist,
        environment,
        image_build.BuildSettings(
            base=options["base"],
            architecture=_architecture(dist, environment.parameters),
            index_secret_arn=options["index_secret"],
            bucket=options["bucket"],
            boundary_arn=environment.parameters.get(BOUNDARY, ""),
        ),
    )
    _resolve(team, settings)
    source = image_source(team, settings.base, settings.architecture)
    build = image_build.ensure_stack(
        aws, dist, environment, settings, yes=options["yes"]
    )
    digest = image_build.built_digest(aws, build, source.tag)
    if digest:
        console.message("This source was built before: ECR has its image.")
    else:
        digest = image_build.run(aws, build, source.archive, source.tag)
    if not digest:
        return ExitCode.OK
    name = f"{build.repository}@{digest}"
    file = ROOT / "parameters" / f"{target.name}.json"
    console.record(Image=name, File=str(file))
    if not write_image(file, name):
        console.result(f"{file.name} names {name} already.")
        return ExitCode.UNCHANGED
    console.result(f"Image of {file.name} is now {name}.")
    console.message(f"Next: build.py launch {target.name}")
    return ExitCode.OK


def command(project: ProjectContext) -> click.Command:
    """Return the command of a project."""
    image.context_settings = {
        "obj": project,
        "help_option_names": ["-h", "--help"],
    }
    return image


def _architecture(dist: Dist, own: Mapping[str, str]) -> str:
    """Return the processor of the environment's services."""
    declared = dist.templates[dist.root]["Parameters"]["ServiceArchitecture"]
    return own.get("ServiceArchitecture") or str(declared["Default"])


def _resolve(team: ImageFolder, settings: BuildSettings) -> None:
    """Find a conflict in seconds, before anything is made or uploaded."""
    from team_image import resolution

    if not team.requirement_lines():
        return
    airflow = BASE_AIRFLOW.search(settings.base)
    if airflow and airflow["version"] != resolution.stock()["apache-airflow"]:
        console.note(
            f"{settings.base} has another Airflow than the pins: not resolved."
        )
        return
    if settings.index_secret_arn:
        console.note("Packages of the private index are resolved by the build alone.")
        return
    python = BASE_PYTHON.search(settings.base)
    version = python["version"] if python else "3.12"
    with console.progress("Resolving requirements.txt ..."):
        resolution.pins(
            team,
            (),
            (
                *("--python-version", version),
                *("--python-platform", PLATFORMS[settings.architecture]),
            ),
        )


def write_image(file: Path, name: str) -> bool:
    """Write Image into a parameter file; return whether that changed it.

    The rest of the file stays as it is, to the character.
    """
    text = file.read_text(encoding="utf-8")
    parameters = json.loads(text)["Parameters"]
    if parameters.get("Image") == name:
        return False
    value = json.dumps(name)
    if "Image" in parameters:
        changed = IMAGE_VALUE.sub(lambda match: f"{match[1]}{value}", text, count=1)
    else:
        comma = "," if parameters else ""
        changed = PARAMETERS.sub(
            lambda match: f'{match[0]}\n    "Image": {value}{comma}', text, count=1
        )
    if json.loads(changed)["Parameters"] != {**parameters, "Image": name}:
        raise Failure(
            Problem(
                where=str(file),
                what="Image could not be written.",
                remedy=f"Write it yourself: {name}",
            )
        )
    file.write_text(changed, encoding="utf-8")
    return True

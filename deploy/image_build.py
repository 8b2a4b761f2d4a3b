"""Build a team's image in CodeBuild, follow it, and return the digest.

The stack of the build is made first, if it does not exist or its template has changed.
A source that an image was built from is not built again: its tag follows from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cli import console
from cli.errors import AwsError, ExitCode, Failure, Problem
from deploy import bucket, launch, stacks
from deploy.addresses import build_publication
from deploy.aws import Aws, is_missing
from deploy.dist import Dist, Environment
from deploy.preflight.account import IMAGE_OF_ECR
from deploy.publishing import location

TEMPLATE = "image-build.template.json"
SOURCES = "images"
"""Folder of the sources in the bucket; ``templates/image_build.py`` lets it be read."""

STOCK = "apache/airflow:"

POLL_SECONDS = 3.0
TAIL = 30
"""Lines of a log that tell why a build failed."""

Sleep = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class BuildSettings:
    """What a build begins with, and what it may read."""

    base: str
    """Image of Airflow to begin with; empty for that of the last build."""
    architecture: str
    index_secret_arn: str
    """Empty for that of the last build."""
    bucket: str | None
    boundary_arn: str


@dataclass(frozen=True)
class BuildStack:
    """The stack of the build, and the bucket of its sources."""

    repository: str
    project: str
    bucket: str


def settled(
    aws: Aws, dist: Dist, environment: Environment, settings: BuildSettings
) -> BuildSettings:
    """Return the settings with what was not named: that of the last build, or ours."""
    stack = stacks.find(aws, stack_name(environment))
    earlier: Mapping[str, str] = stack.parameters if stack else {}
    base = settings.base or earlier.get("BaseImage", "")
    # An upgrade of the templates brings another stock image.
    if not settings.base and (not base or base.startswith(STOCK)):
        base = dist.templates[TEMPLATE]["Parameters"]["BaseImage"]["Default"]
    index = settings.index_secret_arn or earlier.get("IndexSecretArn", "")
    return replace(settings, base=base, index_secret_arn=index)


def stack_name(environment: Environment) -> str:
    """Return the name of the stack that builds the image of an environment."""
    return f"{environment.stack_name}-image"


def ensure_stack(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    settings: BuildSettings,
    *,
    yes: bool,
) -> BuildStack:
    """Create or update the stack of the build, unless it is as it should be."""
    name = bucket.ensure(aws, settings.bucket)
    in_ecr = IMAGE_OF_ECR.fullmatch(settings.base)
    parameters = {
        "Architecture": settings.architecture,
        "BaseImage": settings.base,
        "BaseRepository": in_ecr["repository"] if in_ecr else "",
        "IndexSecretArn": settings.index_secret_arn,
        "Bucket": settings.bucket or "",
        "PermissionsBoundaryArn": settings.boundary_arn,
    }
    own = Dist(dist.folder, {TEMPLATE: dist.files[TEMPLATE]}, root=TEMPLATE)
    builder = Environment(
        environment.name,
        stack_name(environment),
        parameters,
        environment.tags,
        is_protected=False,
    )
    stack = stacks.find(aws, builder.stack_name)
    publication = build_publication(own.files, location(aws, name))
    is_current = (
        stack is not None
        and stack.status in launch.SUCCEEDED
        and parameters.items() <= stack.parameters.items()
        and stacks.template(aws, stack.id) == json.loads(publication[TEMPLATE].body)
    )
    if not is_current:
        exit_code = launch.launch(
            aws,
            own,
            builder,
            bucket=settings.bucket,
            confirmation=launch.Confirmation(yes=yes),
            is_nested=False,
            checks_first=False,
        )
        if exit_code is not ExitCode.OK:
            raise Failure(
                Problem(
                    where=f"Stack {builder.stack_name}",
                    what="It is not complete, so nothing was built.",
                    remedy="Correct the cause above, and run this again.",
                ),
                exit_code=exit_code,
            )
    outputs = stacks.existing(aws, builder.stack_name).outputs
    return BuildStack(outputs["RepositoryUri"], outputs["ProjectName"], name)


def built_digest(aws: Aws, build: BuildStack, tag: str) -> str:
    """Return the digest of an image that was built under a tag, or nothing."""
    try:
        answer = aws.call(
            "ecr",
            "describe_images",
            f"repository {build.repository}",
            repositoryName=build.repository.partition("/")[2],
            imageIds=[{"imageTag": tag}],
        )
    except AwsError as error:
        if is_missing(error):
            return ""
        raise
    details = answer["imageDetails"]
    return str(details[0]["imageDigest"]) if details else ""


def run(
    aws: Aws,
    build: BuildStack,
    archive: bytes,
    tag: str,
    *,
    sleep: Sleep = time.sleep,
) -> str:
    """Upload a source, build it, show the log, and return the digest.

    Returns nothing in the emulator, which starts no build. Raises Failure with the step
    that failed and the end of its log.
    """
    key = f"{SOURCES}/{tag}.zip"
    aws.call(
        "s3",
        "put_object",
        f"{build.bucket}/{key}",
        Bucket=build.bucket,
        Key=key,
        Body=archive,
        ChecksumAlgorithm="SHA256",
        ExpectedBucketOwner=aws.account,
    )
    console.message(f"Uploaded the source as s3://{build.bucket}/{key}.")
    started = aws.call(
        "codebuild",
        "start_build",
        f"project {build.project}",
        projectName=build.project,
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{build.bucket}/{key}",
        environmentVariablesOverride=[
            {"name": "TAG", "value": tag, "type": "PLAINTEXT"}
        ],
    )["build"]
    if aws.is_local:
        console.note(
            "The emulator runs no build (stub): there is no image, and Image stays as "
            "it is. `build.py local` installs the packages on this machine."
        )
        return ""
    ended = _followed(aws, str(started["id"]), sleep)
    if ended["buildStatus"] != "SUCCEEDED":
        raise _failed(aws, ended)
    exported = {
        each["name"]: each["value"]
        for each in ended.get("exportedEnvironmentVariables", ())
    }
    return exported.get("IMAGE_DIGEST") or built_digest(aws, build, tag)


def _followed(aws: Aws, build_id: str, sleep: Sleep) -> dict[str, Any]:
    """Show phases and log of a build as they come; return the build when it ends."""
    phases: set[str] = set()
    token = ""
    while True:
        answer = aws.call(
            "codebuild", "batch_get_builds", f"build {build_id}", ids=[build_id]
        )
        build: dict[str, Any] = answer["builds"][0]
        for phase in build.get("phases", ()):
            name, status = phase["phaseType"], phase.get("phaseStatus")
            if status and name not in phases:
                phases.add(name)
                seconds = phase.get("durationInSeconds", 0)
                words = name.replace("_", " ").lower()
                console.message(f"{words}: {status.lower()}, {seconds} s")
        lines, token = _log(aws, build, token)
        for line in lines:
            console.message(f"  {line}")
        if build.get("buildComplete"):
            return build
        sleep(POLL_SECONDS)


def _log(aws: Aws, build: Mapping[str, Any], token: str = "") -> tuple[list[str], str]:
    """Return the next lines of a build's log, and the token of those after them."""
    place = build.get("logs", {})
    if not place.get("streamName"):
        return [], token
    try:
        answer = aws.call(
            "logs",
            "get_log_events",
            f"log {place['groupName']}",
            logGroupName=place["groupName"],
            logStreamName=place["streamName"],
            startFromHead=True,
            **({"nextToken": token} if token else {}),
        )
    except AwsError as error:
        if is_missing(error):
            return [], token
        raise
    lines = [event["message"].rstrip() for event in answer["events"]]
    return lines, answer["nextForwardToken"]


def _failed(aws: Aws, build: Mapping[str, Any]) -> Failure:
    """Return the error of a build: its step, the reason, the end of its log."""
    phase: Mapping[str, Any] = next(
        (
            each
            for each in build.get("phases", ())
            if each.get("phaseStatus") not in (None, "SUCCEEDED")
        ),
        {},
    )
    reasons = [each.get("message", "") for each in phase.get("contexts", ())]
    tail = _log(aws, build)[0][-TAIL:]
    marked = [line for line in tail if line.startswith("error: ")]
    return Failure(
        Problem(
            where=f"build {build['id']}",
            what=marked[-1].removeprefix("error: ")
            if marked
            else f"Step {str(phase.get('phaseType', 'build')).lower()} ended as "
            f"{build['buildStatus']}.",
            why="\n".join(filter(None, [*reasons, *tail])),
            remedy="Correct image/ as the log says, and run this again. No environment "
            "was changed.",
        )
    )

"""The image of the tasks, and the certificate authorities in the runtime."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from cli.errors import AwsError
from deploy.aws import is_missing
from deploy.preflight.account import IMAGE_OF_ECR
from deploy.preflight.context import LaunchContext
from deploy.preflight.findings import Finding, passed, refused, unknown, warning
from deploy.preflight.quotas import task_counts

DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

ANONYMOUS_PULLS = 100
"""In six hours for one address, which all tasks behind a NAT gateway share. Docker Hub
sends it as ``ratelimit-limit: 100;w=21600``, and Fargate keeps no image:
https://github.com/docker/hub-feedback/issues/2464."""

OWN_IMAGE = (
    "Run build.py image ENV, which copies the image to ECR and writes its digest into "
    "the parameter file; or name an image in ECR by its digest."
)

CA_FILE = "rds-ca.pem"
CA_REGION = re.compile(r"Amazon RDS ([a-z0-9-]+) Root CA")


def image(context: LaunchContext) -> Iterator[Finding]:
    """Ask ECR for each image, and count the pulls from Docker Hub."""
    images = {
        container["Image"]
        for definition in context.of_type("AWS::ECS::TaskDefinition")
        for container in definition.properties["ContainerDefinitions"]
    }
    for name in sorted(images):
        if _is_production(context) and "@sha256:" not in name:
            yield refused(
                f"{name} has no digest, and Profile is production: its tag may name "
                "another image tomorrow, and tasks start every day.",
                OWN_IMAGE,
            )
        elif IMAGE_OF_ECR.fullmatch(name):
            yield from _in_ecr(context, name)
        elif _registry(name) in DOCKER_HUB:
            yield _on_docker_hub(context, name)
        else:
            yield unknown(
                f"{name} is in {_registry(name)}, which AWS cannot be asked about."
            )


def _registry(image: str) -> str:
    host, slash, _ = image.partition("/")
    return host if slash and ("." in host or ":" in host) else "docker.io"


def _in_ecr(context: LaunchContext, name: str) -> Iterator[Finding]:
    parts = IMAGE_OF_ECR.fullmatch(name)
    if parts is None or parts["region"] != context.aws.region:
        # Its region is refused among the ARNs.
        return
    identifier = (
        {"imageDigest": parts["digest"]}
        if parts["digest"]
        else {"imageTag": parts["tag"] or "latest"}
    )
    try:
        context.aws.call(
            "ecr",
            "describe_images",
            f"repository {parts['repository']}",
            registryId=parts["account"],
            repositoryName=parts["repository"],
            imageIds=[identifier],
        )
    except AwsError as error:
        if not is_missing(error):
            raise
        yield refused(
            f"ECR does not have {name}.",
            "Push it, or correct Image: without it no task starts.",
        )
    else:
        yield passed(f"ECR has {name}.")


def _on_docker_hub(context: LaunchContext, name: str) -> Finding:
    services = context.of_type("AWS::ECS::Service")
    # An update starts every task once more.
    most = 2 * sum(task_counts(context, service)[1] for service in services)
    text = (
        f"{name} is on Docker Hub, which allows {ANONYMOUS_PULLS} pulls without a "
        f"login in six hours. Each task start is one; an update with the most tasks "
        f"starts {most}."
    )
    if _is_production(context):
        return refused(f"{text} Profile is production.", OWN_IMAGE)
    return passed(text) if most <= ANONYMOUS_PULLS else warning(text, OWN_IMAGE)


def _is_production(context: LaunchContext) -> bool:
    return bool(context.root.evaluate({"Ref": "Profile"}) == "production")


def certificate_authorities(context: LaunchContext) -> Iterator[Finding]:
    """Look for the region's authorities in the bundle that goes into containers."""
    if not context.of_type("AWS::RDS::DBCluster"):
        return
    region = context.aws.region
    regions = {
        region
        for bundle in _bundles(context)
        for region in CA_REGION.findall(bundle.decode())
    }
    if region in regions:
        yield passed(f"The runtime has the authorities of RDS in {region}.")
    else:
        yield refused(
            f"The runtime has no certificate authority of RDS in {region}: no task "
            "could connect to the database.",
            "Add AWS's bundle of the region to fargate_runtime/rds-ca.pem, as "
            "docs/networking.md describes, and run make templates.",
        )


def _bundles(context: LaunchContext) -> Iterator[bytes]:
    for path in context.dist.assets:
        if path.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(context.dist.files[path])) as archive:
                for name in archive.namelist():
                    if name.endswith(CA_FILE):
                        yield archive.read(name)

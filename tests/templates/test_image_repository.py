"""The ECR repository in the name of an image."""

from __future__ import annotations

import functools

import pytest
from troposphere import If

from compiler.wiring import Build, Interface, Template, about
from templates.resources.image_repository import is_in_ecr, repository_arn
from templates.types import Image, Text
from tests.resolver import deploy

ACCOUNT = "111122223333"
REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com"
DIGEST = f"@sha256:{'0' * 64}"


class Inputs(Interface):
    """An image."""

    image: Image = about("Image.", group="Image", label="Image")


class Outputs(Interface):
    """Its repository."""

    arn: Text = about("ARN of its repository, or nothing.")


@functools.cache
def document() -> dict[str, object]:
    def define(t: Template, inputs: Inputs) -> Outputs:
        condition = t.condition("IsInEcr", is_in_ecr(inputs.image))
        return Outputs(arn=Text(If(condition, repository_arn(inputs.image), "")))

    return Build({}).root(define).document


def arn(image: str) -> str:
    return str(deploy(document(), {}, {"Image": image}).outputs["Arn"])


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (f"{REGISTRY}/airflow:3.3.2", "airflow"),
        (f"{REGISTRY}/airflow{DIGEST}", "airflow"),
        (f"{REGISTRY}/airflow:3.3.2{DIGEST}", "airflow"),
        (f"{REGISTRY}/airflow", "airflow"),
        (f"{REGISTRY}/docker-hub/apache/airflow:3", "docker-hub/apache/airflow"),
        (f"{REGISTRY}/a/b/c/d/e/f/g/h:1", "a/b/c/d/e/f/g/h"),
        (f"{REGISTRY}.cn/team/airflow:1", "team/airflow"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com/airflow:1", "airflow"),
        (f"{ACCOUNT}.dkr-ecr.eu-central-1.on.aws/airflow:1", "airflow"),
    ],
)
def test_repository_of_ecr_is_found(image: str, name: str) -> None:
    assert arn(image) == f"arn:aws:ecr:eu-central-1:{ACCOUNT}:repository/{name}"


@pytest.mark.parametrize(
    "image",
    [
        "apache/airflow:3.3.2-python3.12",
        "public.ecr.aws/team/airflow:3.3.2",
        f"registry.example.com:5000/team/airflow{DIGEST}",
    ],
)
def test_other_registries_have_no_repository(image: str) -> None:
    assert arn(image) == ""

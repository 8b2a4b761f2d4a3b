"""Find the ECR repository in the name of an image, with CloudFormation's functions.

An image in ECR is ``ACCOUNT.dkr.ecr.REGION.SUFFIX/NAME:TAG``, with ``@DIGEST`` behind
or instead of the tag, and ``.dkr-ecr.`` in a dual-stack address; no other registry has
``.dkr`` in its name. A repository's name may hold slashes itself. Fn::Split finds a
text, Fn::Select needs an element that exists: so the text is appended first.
"""

from __future__ import annotations

from troposphere import AWSHelperFn, Equals, Join, Not, Select, Split, Sub

from templates.types import Image

REGISTRY = ".dkr"
"""Behind the account's number, in the address of every registry of ECR."""

DEEPEST = 8
"""Most parts of a repository's name; GitLab's groups behind a cache need several."""


def is_in_ecr(image: Image) -> AWSHelperFn:
    """Return the expression of a condition: whether ECR keeps an image."""
    return Not(Equals(Select(1, _split_registry(image)), ""))


def repository_arn(image: Image) -> AWSHelperFn:
    """Return the ARN of the repository of an image that ECR keeps.

    The image's name behind its first slash ends at two slashes, which are appended,
    without tag and digest.
    """
    slashes = "/" * (DEEPEST + 1)
    parts = Split("/", Sub(f"${{Image}}{slashes}", Image=image))
    name: AWSHelperFn = Join(
        "/", [*(Select(each, parts) for each in range(1, DEEPEST + 1)), "", ""]
    )
    for end in ("//", "@", ":"):
        name = Select(0, Split(end, name))
    return Sub(
        "arn:${AWS::Partition}:ecr:${AWS::Region}:${Account}:repository/${Name}",
        Account=Select(0, _split_registry(image)),
        Name=name,
    )


def _split_registry(image: Image) -> Split:
    return Split(REGISTRY, Sub(f"${{Image}}{REGISTRY}", Image=image))

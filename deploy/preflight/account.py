"""Who launches, on what stack, and in which region."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cli.errors import AwsError, Refused
from deploy.aws import is_missing
from deploy.planning import check_ready
from deploy.preflight.context import LaunchContext, numbers
from deploy.preflight.findings import Finding, passed, refused, unknown, warning
from deploy.stacks import REVIEW

VERSION = "Version"
"""Output of the parent: the version of the templates."""

ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*):"
    r"(?P<account>\d{12}|aws|):"
)

IMAGE_OF_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr(-fips)?\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?P<suffix>[a-z.]+)/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>.+))?"
)
"""An image in a private repository of ECR, in any partition."""

BOTO_NAMES = {
    "applicationautoscaling": "application-autoscaling",
    "elasticloadbalancing": "elbv2",
    "waf": "wafv2",
}
"""Services that botocore's list of endpoints spells otherwise."""


def identity(context: LaunchContext) -> Iterator[Finding]:
    """Name the principal; the root user has no limits."""
    aws = context.aws
    text = f"{aws.principal}, account {aws.account}, region {aws.region}."
    if aws.principal.endswith(":root") and not aws.is_local:
        yield warning(
            text,
            "Do not launch as the root user: no policy limits it. Sign in as a role.",
        )
    else:
        yield passed(text)


def stack(context: LaunchContext) -> Iterator[Finding]:
    """Tell whether CloudFormation takes a change of the stack now."""
    name = context.environment.stack_name
    if not context.may_describe_stacks:
        yield unknown(
            f"Not allowed to look at stack {name}; the rest is checked as for a new "
            "one.",
            "Allow cloudformation:DescribeStacks on it.",
        )
        return
    existing = context.stack
    if existing is None:
        yield passed(f"There is no stack {name}: the launch creates it.")
        return
    if existing.status == REVIEW:
        yield passed(f"Stack {name} is empty, left by a plan: the launch uses it.")
        return
    try:
        check_ready(existing)
    except Refused as error:
        (problem,) = error.problems
        yield refused(problem.what, problem.remedy)
        return
    yield _version(existing.outputs.get(VERSION, ""), context.output(VERSION), name)


def _version(old: str, new: str, name: str) -> Finding:
    if not old:
        return warning(
            f"Stack {name} has no output {VERSION}: it is not of these templates, or "
            "older than their first version.",
            "Compare with `build.py plan ENV`, or choose another --stack-name.",
        )
    if numbers(old) > numbers(new):
        return warning(
            f"Stack {name} has version {old}; this is {new}, an older one.",
            "Launch from a checkout of the newer version; the database is not "
            "migrated backwards.",
        )
    change = f"from version {old} to {new}" if old != new else f"of version {old}"
    return passed(f"Stack {name} is updated, {change}.")


def region(context: LaunchContext) -> Iterator[Finding]:
    """Tell which services have no endpoint in the region."""
    aws = context.aws
    names = sorted(BOTO_NAMES.get(name, name) for name in context.services)
    missing = [name for name in names if not aws.offers(name)]
    if missing:
        yield refused(
            f"{aws.region} has no endpoint of {', '.join(missing)}.",
            "Launch in another region. If AWS has added it since, upgrade boto3.",
        )
    else:
        yield passed(f"All {len(names)} services are offered in {aws.region}.")


def addresses(context: LaunchContext) -> Iterator[Finding]:
    """Refuse ARNs and images of another partition, region or account."""
    wrong, count = [], 0
    for name, value in context.environment.parameters.items():
        for text in value.split(","):
            difference = _difference(context, text)
            count += difference is not None
            if difference:
                wrong.append(f"{name} is in {difference}")
    if wrong:
        yield refused(
            f"{'; '.join(wrong)}. This launch is in {_place(context)}.",
            "Correct the parameter, or --region and --profile.",
        )
    elif count:
        yield passed(f"All {count} ARNs and images belong to {_place(context)}.")


def _place(context: LaunchContext) -> str:
    aws = context.aws
    return f"{aws.partition}, {aws.region}, account {aws.account}"


def _difference(context: LaunchContext, text: str) -> str | None:
    """Return where else a value is, "" if it is here, and None for other values."""
    aws = context.aws
    arn = ARN.match(text)
    if arn:
        if arn["partition"] != aws.partition:
            return f"partition {arn['partition']}"
        if arn["region"] not in ("", aws.region):
            return f"region {arn['region']}"
        # A shared snapshot belongs to another account.
        if arn["service"] != "rds" and arn["account"] not in ("", "aws", aws.account):
            return f"account {arn['account']}"
        return ""
    image = IMAGE_OF_ECR.fullmatch(text)
    if image:
        # The tasks' execution role pulls from repositories of its own region.
        return "" if image["region"] == aws.region else f"region {image['region']}"
    return None


def boundaries(context: LaunchContext) -> Iterator[Finding]:
    """Ask IAM for the permissions boundaries that the roles get."""
    for arn in context.values("AWS::IAM::Role", "PermissionsBoundary"):
        try:
            context.aws.call("iam", "get_policy", arn, PolicyArn=arn)
        except AwsError as error:
            if not is_missing(error):
                raise
            yield refused(
                f"There is no policy {arn}.", "Create it, or correct the boundary."
            )
        else:
            yield passed(f"{arn} exists.")

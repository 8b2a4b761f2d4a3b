"""The product in Service Catalog: the portfolio's stack, and a version for a release.

The stack knows the product's first version only; every later one is added through the
API, so that no version anybody has launched is ever edited or deleted. Versions past
the newest few are deprecated: what runs on them goes on, and nobody starts anew.

The stack is brought up to date first: the launch role then may do what the new
version's templates take, and read them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from cli.errors import AwsError, ExitCode, Failure, Problem, UsageError
from deploy import console, prompts, stacks
from deploy.addresses import Publication
from deploy.aws import Aws, is_missing, tolerant
from deploy.dist import CATALOG, ROOT, Dist, Environment
from deploy.events import StackWatcher, known_events
from deploy.launch import execute, follow
from deploy.planning import proposed
from deploy.publishing import publish

KEEP = 5
"""Versions that can be launched, unless told otherwise."""

VERSION = re.compile(r"[A-Za-z0-9._-]{1,100}")

FIRST_NAME = "FirstVersionName"
FIRST_URL = "FirstVersionUrl"
FIXED = frozenset({FIRST_NAME, FIRST_URL})
"""What an update of the portfolio's stack must not touch."""

PRODUCT_ID = "ProductId"
ROLE_ARN = "LaunchRoleArn"


@dataclass(frozen=True)
class CatalogVersion:
    """A version that the product has."""

    id: str
    name: str
    created: datetime
    guidance: str
    is_active: bool


@dataclass(frozen=True)
class CatalogRelease:
    """What a publication to the catalog would do to the versions."""

    name: str
    is_there: bool
    deprecated: tuple[CatalogVersion, ...]


def release(name: str, versions: Sequence[CatalogVersion], keep: int) -> CatalogRelease:
    """Return what a new version does: it comes first, and the oldest are deprecated."""
    is_there = any(version.name == name for version in versions)
    usable = sorted(
        (v for v in versions if v.is_active and v.guidance != "DEPRECATED"),
        key=lambda v: v.created,
        reverse=True,
    )
    room = keep if is_there else keep - 1
    return CatalogRelease(name, is_there, tuple(usable[max(room, 0) :]))


def default_version(publication: Publication) -> str:
    """Return a version's name that follows from what it launches."""
    return f"build-{publication[ROOT].key.rpartition('/')[2][:12]}"


def offer(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    *,
    bucket: str | None,
    version: str | None,
    keep: int,
    parameters: Mapping[str, str],
    dry_run: bool,
    yes: bool,
) -> ExitCode:
    """Bring the portfolio up to date and add a version."""
    dist = replace(dist, root=CATALOG)
    done = publish(aws, dist, bucket)
    name = version or default_version(done.publication)
    if not VERSION.fullmatch(name):
        raise UsageError(
            Problem(
                where=f"--version {name}",
                what="A version's name has letters, digits, dots, underscores and "
                "hyphens.",
                remedy="Give such a name.",
            )
        )
    stack = stacks.find(aws, environment.stack_name)
    is_new = stack is None or stack.status == stacks.REVIEW
    given = _parameters(dist, stack, parameters, name, is_new=is_new)
    versions = [] if is_new or stack is None else _versions(aws, stack.outputs)
    planned = release(name, versions, keep)
    same = _same_content(aws, stack, versions, done.publication)
    changed = _bring_up_to_date(
        aws,
        dist,
        done.publication,
        Environment(
            environment.name,
            environment.stack_name,
            given,
            environment.tags,
            is_protected=False,
        ),
        dry_run=dry_run,
        yes=yes,
    )
    _tell(planned, is_new=is_new, same=same, dry_run=dry_run)
    if dry_run:
        return ExitCode.OK
    if changed not in (ExitCode.OK, ExitCode.UNCHANGED):
        return changed
    outputs = stacks.existing(aws, environment.stack_name).outputs
    if not is_new and not planned.is_there:
        _add(aws, outputs[PRODUCT_ID], name, done.publication)
    for old in planned.deprecated:
        _deprecate(aws, outputs[PRODUCT_ID], old)
    _check_role(aws, outputs.get(ROLE_ARN, ""), done.publication)
    if planned.is_there and not planned.deprecated and changed:
        return ExitCode.UNCHANGED
    console.show(f"Product {outputs[PRODUCT_ID]} offers version {name}.")
    return ExitCode.OK


def _parameters(
    dist: Dist,
    stack: stacks.StackSummary | None,
    given: Mapping[str, str],
    version: str,
    *,
    is_new: bool,
) -> dict[str, str]:
    """Return the parameters of the portfolio's stack; the first version's stay."""
    known = dist.templates.get(CATALOG, {}).get("Parameters", {})
    wrong = sorted(given.keys() - known.keys() | given.keys() & FIXED)
    if wrong:
        raise UsageError(
            Problem(
                where=f"--parameter {wrong[0]}",
                what="The portfolio has no such choice.",
                why=f"It has: {', '.join(sorted(known.keys() - FIXED))}.",
                remedy="Correct the name.",
            )
        )
    if is_new or stack is None:
        return {**given, FIRST_NAME: version}
    kept = {n: v for n, v in stack.parameters.items() if n in known}
    return {**kept, **given}


def _bring_up_to_date(
    aws: Aws,
    dist: Dist,
    publication: Publication,
    environment: Environment,
    *,
    dry_run: bool,
    yes: bool,
) -> ExitCode:
    with proposed(aws, dist, publication, environment, is_nested=False) as plan:
        console.plan(plan, dist)
        if plan.is_empty:
            return ExitCode.UNCHANGED
        if dry_run:
            return ExitCode.OK
        verb = "Create" if plan.is_new else "Update"
        prompts.agree(
            f"{verb} stack {plan.stack_name}?",
            where=f"Stack {plan.stack_name}",
            yes=yes,
        )
        known = known_events(aws, plan.stack_id)
        execute(aws, plan)
    return follow(
        aws, dist, environment, StackWatcher(aws, plan.stack_id, known), quiet=True
    )


def _versions(aws: Aws, outputs: Mapping[str, str]) -> list[CatalogVersion]:
    product = outputs.get(PRODUCT_ID, "")
    return [
        CatalogVersion(
            id=row["Id"],
            name=row["Name"],
            created=row["CreatedTime"],
            guidance=row.get("Guidance", "DEFAULT"),
            is_active=bool(row.get("Active", True)),
        )
        for page in aws.pages(
            "servicecatalog",
            "list_provisioning_artifacts",
            f"Product {product}",
            ProductId=product,
        )
        for row in page["ProvisioningArtifactDetails"]
    ]


def _same_content(
    aws: Aws,
    stack: stacks.StackSummary | None,
    versions: Sequence[CatalogVersion],
    publication: Publication,
) -> str:
    """Return the version that already launches this very parent, if one does."""
    if stack is None:
        return ""
    for version in versions:
        info: dict[str, str] = tolerant(
            partial(_source, aws, stack.outputs[PRODUCT_ID], version), {}
        )
        if publication.root_url in info.values():
            return version.name
    return ""


def _source(aws: Aws, product: str, version: CatalogVersion) -> dict[str, str]:
    info: dict[str, str] = aws.call(
        "servicecatalog",
        "describe_provisioning_artifact",
        f"Version {version.name}",
        ProductId=product,
        ProvisioningArtifactId=version.id,
        Verbose=True,
    ).get("Info", {})
    return info


def _tell(planned: CatalogRelease, *, is_new: bool, same: str, dry_run: bool) -> None:
    would = "Would add" if dry_run else "Adds"
    if is_new:
        console.say(f"{would} the product with its first version, {planned.name}.")
    elif planned.is_there:
        console.say(f"Version {planned.name} is there already, and stays as it is.")
    else:
        console.say(f"{would} version {planned.name}.")
        if same:
            console.note(f"Version {same} launches the very same template.")
    for old in planned.deprecated:
        console.say(
            f"{'Would deprecate' if dry_run else 'Deprecates'} version {old.name}: "
            "what runs on it goes on, new launches are discouraged."
        )


def _add(aws: Aws, product: str, name: str, publication: Publication) -> None:
    token = publication[ROOT].key.rpartition("/")[2][:40] + name
    aws.call(
        "servicecatalog",
        "create_provisioning_artifact",
        f"Product {product}",
        ProductId=product,
        Parameters={
            "Name": name,
            "Type": "CLOUD_FORMATION_TEMPLATE",
            "Info": {"LoadTemplateFromURL": publication.root_url},
        },
        # The same for a repeated call, so that a lost answer adds no second version.
        IdempotencyToken=uuid.uuid5(uuid.NAMESPACE_URL, token).hex,
    )


def _deprecate(aws: Aws, product: str, version: CatalogVersion) -> None:
    aws.call(
        "servicecatalog",
        "update_provisioning_artifact",
        f"Version {version.name}",
        ProductId=product,
        ProvisioningArtifactId=version.id,
        Guidance="DEPRECATED",
    )


def _check_role(aws: Aws, role_arn: str, publication: Publication) -> None:
    """Say so when the launch role may not read what it is to launch."""
    place = publication.place
    arns = [
        f"arn:{aws.partition}:s3:::{place.bucket}/{file.key}"
        for file in publication.files
    ]
    if not role_arn or aws.is_local:
        return
    try:
        answer = aws.call(
            "iam",
            "simulate_principal_policy",
            role_arn,
            PolicySourceArn=role_arn,
            ActionNames=["s3:GetObject"],
            ResourceArns=arns,
        )
    except AwsError as error:
        if is_missing(error):
            raise
        console.note(f"Not checked whether {role_arn} may read the templates.")
        return
    except Failure:
        console.note(
            f"Not checked whether {role_arn} may read the templates: that takes "
            "iam:SimulatePrincipalPolicy."
        )
        return
    barred = [
        row["EvalResourceName"]
        for row in answer["EvaluationResults"]
        if row["EvalDecision"] != "allowed"
    ]
    if barred:
        raise Failure(
            *(
                Problem(
                    where=arn,
                    what=f"{role_arn} may not read it, so a launch would fail.",
                    remedy="Look for a boundary or a bucket policy that denies it.",
                )
                for arn in barred
            )
        )

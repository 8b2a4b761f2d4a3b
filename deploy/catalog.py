"""The product in Service Catalog: the portfolio's stack, and a version per release.

The stack knows the product's first version only; later versions are added through the
API, so that a launched version is never edited or deleted. All but the newest versions
are deprecated: their stacks keep running, new launches are discouraged.

The stack is updated first, so that the launch role has the permissions that the new
version's templates need.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from cli import console
from cli.errors import AwsError, ExitCode, Failure, Problem, UsageError
from deploy import changes, prompts, stacks
from deploy.addresses import Publication
from deploy.aws import Aws, is_missing, tolerant
from deploy.console import print_plan
from deploy.dist import CATALOG, ROOT, Dist, Environment
from deploy.events import StackWatcher
from deploy.launch import QUIET_ENDS, execute, follow
from deploy.planning import proposed
from deploy.publishing import publish

KEEP = 5
"""Default number of versions that can be launched."""

VERSION = re.compile(r"[A-Za-z0-9._-]{1,100}")

FIRST_NAME = "FirstVersionName"
FIRST_URL = "FirstVersionUrl"
FIXED = frozenset({FIRST_NAME, FIRST_URL})
"""Parameters that an update of the portfolio's stack must not change."""

PRODUCT_ID = "ProductId"
ROLE_ARN = "LaunchRoleArn"


@dataclass(frozen=True)
class CatalogVersion:
    """An existing version of the product."""

    id: str
    name: str
    created: datetime
    guidance: str
    is_active: bool


@dataclass(frozen=True)
class CatalogRelease:
    """What a new version does to the existing ones."""

    name: str
    exists: bool
    deprecated: tuple[CatalogVersion, ...]


def release(name: str, versions: Sequence[CatalogVersion], keep: int) -> CatalogRelease:
    """Return what a new version does: the oldest ones are deprecated."""
    exists = any(version.name == name for version in versions)
    usable = sorted(
        (v for v in versions if v.is_active and v.guidance != "DEPRECATED"),
        key=lambda v: v.created,
        reverse=True,
    )
    room = keep if exists else keep - 1
    return CatalogRelease(name, exists, tuple(usable[max(room, 0) :]))


def default_version(publication: Publication) -> str:
    """Return a version's name that follows from the content of its template."""
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
    """Update the portfolio and add a version."""
    dist = replace(dist, root=CATALOG)
    publication = publish(aws, dist, bucket).publication
    name = version or default_version(publication)
    if not VERSION.fullmatch(name):
        raise UsageError(
            Problem(
                where=f"--version {name}",
                what="A version's name has letters, digits, dots, underscores and "
                "hyphens.",
                remedy="Choose such a name.",
            )
        )
    stack = stacks.find(aws, environment.stack_name)
    is_new = stack is None or stack.status == stacks.REVIEW
    stack_parameters = _parameters(dist, stack, parameters, name, is_new=is_new)
    versions = [] if is_new or stack is None else _versions(aws, stack.outputs)
    planned = release(name, versions, keep)
    same = _same_content(aws, stack, versions, publication)
    stack_result = _update_stack(
        aws,
        dist,
        publication,
        Environment(
            environment.name,
            environment.stack_name,
            stack_parameters,
            environment.tags,
            is_protected=False,
        ),
        dry_run=dry_run,
        yes=yes,
    )
    console.record(
        Stack=environment.stack_name,
        Version=name,
        IsNewVersion=not planned.exists,
        Deprecated=[version.name for version in planned.deprecated],
        IsDryRun=dry_run,
    )
    _print_release(planned, is_new=is_new, same=same, dry_run=dry_run)
    if dry_run:
        return ExitCode.OK
    if stack_result not in (ExitCode.OK, ExitCode.UNCHANGED):
        return stack_result
    outputs = stacks.existing(aws, environment.stack_name).outputs
    console.record(Product=outputs[PRODUCT_ID])
    if not is_new and not planned.exists:
        _add(aws, outputs[PRODUCT_ID], name, publication)
    for old in planned.deprecated:
        _deprecate(aws, outputs[PRODUCT_ID], old)
    _check_role(aws, outputs.get(ROLE_ARN, ""), publication)
    if planned.exists and not planned.deprecated and stack_result:
        return ExitCode.UNCHANGED
    console.result(f"Product {outputs[PRODUCT_ID]} has version {name}.")
    return ExitCode.OK


def _parameters(
    dist: Dist,
    stack: stacks.StackSummary | None,
    parameters: Mapping[str, str],
    version: str,
    *,
    is_new: bool,
) -> dict[str, str]:
    """Return the parameters of the portfolio's stack; the first version's stay."""
    known = dist.templates.get(CATALOG, {}).get("Parameters", {})
    wrong = sorted(parameters.keys() - known.keys() | parameters.keys() & FIXED)
    if wrong:
        raise UsageError(
            Problem(
                where=f"--parameter {wrong[0]}",
                what="The portfolio has no such parameter.",
                why=f"It has: {', '.join(sorted(known.keys() - FIXED))}.",
                remedy="Correct the name.",
            )
        )
    if is_new or stack is None:
        return {**parameters, FIRST_NAME: version}
    previous = {n: v for n, v in stack.parameters.items() if n in known}
    return {**previous, **parameters}


def _update_stack(
    aws: Aws,
    dist: Dist,
    publication: Publication,
    environment: Environment,
    *,
    dry_run: bool,
    yes: bool,
) -> ExitCode:
    with proposed(aws, dist, publication, environment, is_nested=False) as plan:
        print_plan(plan, dist)
        console.record(Plan=changes.as_json(plan))
        if plan.is_empty:
            return ExitCode.UNCHANGED
        if dry_run:
            return ExitCode.OK
        verb = "Create" if plan.is_new else "Update"
        prompts.confirm(
            f"{verb} stack {plan.stack_name}?",
            where=f"Stack {plan.stack_name}",
            yes=yes,
        )
        known = execute(aws, plan)
    return follow(
        aws,
        dist,
        environment,
        StackWatcher(aws, plan.stack_id, known),
        quiet=QUIET_ENDS,
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
    """Return the version that already launches the same template, if any."""
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


def _print_release(
    planned: CatalogRelease, *, is_new: bool, same: str, dry_run: bool
) -> None:
    would = "Would add" if dry_run else "Adding"
    if is_new:
        console.message(f"{would} the product with its first version, {planned.name}.")
    elif planned.exists:
        console.message(f"Version {planned.name} exists already and is not changed.")
    else:
        console.message(f"{would} version {planned.name}.")
        if same:
            console.note(f"Version {same} launches the same template.")
    for old in planned.deprecated:
        console.message(
            f"{'Would deprecate' if dry_run else 'Deprecating'} version {old.name}: "
            "its stacks keep running, new launches are discouraged."
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
        # The same for a retry, so that a lost answer adds no second version.
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
    """Fail when the launch role cannot read the templates."""
    bucket = publication.location.bucket
    arns = [
        f"arn:{aws.partition}:s3:::{bucket}/{file.key}" for file in publication.files
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
        console.note(f"Not checked: whether {role_arn} can read the templates.")
        return
    except Failure:
        console.note(
            f"Not checked: whether {role_arn} can read the templates, which needs "
            "iam:SimulatePrincipalPolicy."
        )
        return
    unreadable = [
        row["EvalResourceName"]
        for row in answer["EvaluationResults"]
        if row["EvalDecision"] != "allowed"
    ]
    if unreadable:
        raise Failure(
            *(
                Problem(
                    where=arn,
                    what=f"{role_arn} cannot read it: a launch would fail.",
                    remedy="Look for a boundary or a bucket policy that denies it.",
                )
                for arn in unreadable
            )
        )

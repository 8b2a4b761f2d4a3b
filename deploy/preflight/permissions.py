"""Whether the credentials may do what CloudFormation does in their name.

The permissions are those of the launch role in Service Catalog, which follow from the
templates; here for the names of this stack. IAM simulates the policies of the caller,
its boundary and the organization's policies. Resource policies and conditions on the
request are not simulated, so only a denial is certain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from cli.console import shortened
from cli.errors import AwsError
from cloudformation.evaluation import references
from deploy.addresses import BUCKET
from deploy.bucket import default_name
from deploy.dist import BOUNDARY
from deploy.preflight.context import LaunchContext, known_text, service_key
from deploy.preflight.findings import Finding, passed, refused, unknown

SIMULATE = "iam:SimulatePrincipalPolicy"

OF_THE_CALLER = frozenset(
    f"cloudformation:{name}"
    for name in (
        *("CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet"),
        *("DescribeStackEvents", "DescribeStackResources", "ExecuteChangeSet"),
        *("GetTemplateSummary", "ListChangeSets", "ListStackResources"),
        *("TagResource", "UntagResource", "ValidateTemplate"),
    )
)
"""Actions that a service role does not need: `launch` calls them itself."""

MET_BY_ITS_VALUE = ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool")
"""Operators of conditions that a request with the value in the policy meets."""

PARALLEL = 8
"""Simulations at once; IAM throttles more."""

NAMED = 8
"""How many missing actions a line names."""

DIFFERENT = re.compile(r"\[([^\]]*)\]")
"""Groups of actions in IAM's answer that they "require different authorization
information" and cannot be simulated together."""

ASSUMED_ROLE = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/(?P<name>[^/]+)/.+")


@dataclass(frozen=True)
class Permission:
    """Actions that a launch needs on resources."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: tuple[tuple[str, str, str], ...]
    """Key, type and value of the request's context in which the statement applies."""


def permissions(context: LaunchContext) -> Iterator[Finding]:
    """Simulate every action of the launch as the caller."""
    principal = context.environment.role_arn or context.aws.principal
    if principal.endswith(":root"):
        yield passed("The root user may do everything.")
        return
    needed = required(context)
    if not needed:
        yield unknown("dist/ has no launch role, which lists the permissions.")
        return
    source = _source(context, principal)
    if source is None:
        yield unknown(f"IAM cannot simulate {principal}.", "Launch as a role or user.")
        return
    denied: dict[str, str] = {}
    conditional: set[str] = set()
    with ThreadPoolExecutor(PARALLEL) as threads:
        answers = threads.map(partial(_simulate, context, source), needed)
        for answer in answers:
            for action, decision in answer.items():
                if decision == "conditional":
                    conditional.add(action)
                elif decision != "allowed":
                    denied[action] = decision
    count = len({action for permission in needed for action in permission.actions})
    if denied:
        yield refused(
            f"{source} may not {shortened(sorted(denied), NAMED)}: "
            f"{len(denied)} of {count} actions.",
            "Allow them as docs/permissions.md describes, or launch as another role.",
        )
    elif conditional:
        yield unknown(
            f"{count - len(conditional)} of {count} actions are allowed; "
            f"{shortened(sorted(conditional), NAMED)} depend on conditions that only "
            "the request has."
        )
    else:
        yield passed(f"All {count} actions are allowed to {source}.")


def statements(context: LaunchContext) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of the launch role that allow something."""
    attached = {
        name
        for resource in context.launch_role
        if resource.type == "AWS::IAM::Role"
        for name, _ in references(resource.properties.get("ManagedPolicyArns", []))
    }
    for resource in context.launch_role:
        if resource.name in attached:
            for statement in resource.properties["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow" and not _is_of_catalog(statement):
                    yield statement


def _is_of_catalog(statement: Mapping[str, Any]) -> bool:
    """Whether a statement is about Service Catalog's own copies of templates."""
    return any(
        "servicecatalog:" in key
        for tests in statement.get("Condition", {}).values()
        for key in tests
    )


def required(context: LaunchContext) -> list[Permission]:
    """Return the permissions for the services of this launch and its stack's name."""
    renamed = partial(_renamed, context, default_name(context.aws))
    permissions = []
    for statement in statements(context):
        actions = tuple(
            action
            for action in _as_list(statement["Action"])
            if _concerns(context, action)
        )
        if actions:
            permissions.append(
                Permission(
                    actions,
                    tuple(map(renamed, _as_list(statement["Resource"]))),
                    tuple(
                        _request_context(
                            statement.get("Condition", {}),
                            renamed,
                            context.environment.parameters.get(BOUNDARY, ""),
                        )
                    ),
                )
            )
    return permissions


def _request_context(
    conditions: Mapping[str, Any], renamed: Callable[[str], str], boundary: str
) -> Iterator[tuple[str, str, str]]:
    """Yield values that meet conditions; a key that has to be absent is left out.

    Roles get the permissions boundary that the environment names.
    """
    for operator, tests in conditions.items():
        kind = "boolean" if operator == "Bool" else "string"
        for key, values in tests.items():
            value = known_text(_as_list(values)[0])
            if key == "iam:PermissionsBoundary":
                value = boundary
            if value and operator.startswith(MET_BY_ITS_VALUE):
                yield key, kind, renamed(value)


def _concerns(context: LaunchContext, action: str) -> bool:
    if context.environment.role_arn and action in OF_THE_CALLER:
        return False
    prefix = service_key(action.partition(":")[0])
    # backup-storage belongs to backup.
    return any(prefix.startswith(service) for service in context.services)


def _renamed(context: LaunchContext, bucket: str, text: str) -> str:
    """Return a resource of a provisioned product as one of this stack.

    The beginning of a pattern is kept and its end made up: IAM simulates names.
    """
    stack = context.environment.stack_name
    provisioned = f"SC-{context.aws.account}-pp"
    for old, new in (
        (BUCKET, bucket),
        (provisioned, stack),
        (provisioned.lower(), stack.lower()),
        ("/SC-", f"/{stack[:5]}"),
    ):
        text = text.replace(old, new)
    if text == "*":
        return text
    sample = text.replace(":*:*", f":{context.aws.account}:*")
    return sample.replace("*", "x")


def _source(context: LaunchContext, principal: str) -> str | None:
    """Return the ARN of the role or user whose policies count."""
    assumed = ASSUMED_ROLE.fullmatch(principal)
    if assumed:
        # The session's ARN lacks the path of the role.
        role = context.aws.call(
            "iam", "get_role", f"Role {assumed['name']}", RoleName=assumed["name"]
        )["Role"]
        return str(role["Arn"])
    return principal if ":user/" in principal or ":role/" in principal else None


def _simulate(
    context: LaunchContext, source: str, permission: Permission
) -> dict[str, str]:
    """Return the decision about each action of a permission."""
    decisions: dict[str, str] = {}
    groups: list[Sequence[str]] = [permission.actions]
    while groups:
        actions = groups.pop()
        try:
            decisions.update(_decisions(context, source, permission, actions))
        except AwsError as error:
            if error.code not in ("InvalidInput", "InvalidInputException"):
                raise
            if len(actions) == 1:
                decisions[actions[0]] = "conditional"
            else:
                groups += _apart(actions, error.message)
    return decisions


def _apart(actions: Sequence[str], message: str) -> list[Sequence[str]]:
    """Split actions that IAM does not simulate together, as its answer says or in two.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    does not say which those are.
    """
    groups = [
        [name for name in map(str.strip, text.split(",")) if name in actions]
        for text in DIFFERENT.findall(message)
    ]
    named = [name for group in groups for name in group]
    if len(groups) > 1 and all(groups) and sorted(named) == sorted(actions):
        return list(groups)
    middle = len(actions) // 2
    return [actions[:middle], actions[middle:]]


def _decisions(
    context: LaunchContext,
    source: str,
    permission: Permission,
    actions: Sequence[str],
) -> Iterable[tuple[str, str]]:
    pages = context.aws.pages(
        "iam",
        "simulate_principal_policy",
        source,
        PolicySourceArn=source,
        ActionNames=list(actions),
        ResourceArns=list(permission.resources),
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": [value]}
            for key, kind, value in permission.context
        ],
        MaxItems=1000,
    )
    for page in pages:
        for result in page["EvaluationResults"]:
            yield result["EvalActionName"], _decision(result)


def _decision(result: Mapping[str, Any]) -> str:
    """Return allowed where one resource of the statement is; each action has its own.

    A denial that misses a context value is no denial yet.
    """
    specific = result.get("ResourceSpecificResults", [])
    decisions = [row["EvalResourceDecision"] for row in specific]
    if "allowed" in (*decisions, result["EvalDecision"]):
        return "allowed"
    missing = [
        *result.get("MissingContextValues", []),
        *(key for row in specific for key in row.get("MissingContextValues", [])),
    ]
    return "conditional" if missing else str(result["EvalDecision"])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

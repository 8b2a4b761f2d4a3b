"""The permissions that a launch of the templates needs, and no others.

CloudFormation acts with the identity that launches a stack; Service Catalog gives its
users a role for that. The permissions of the role follow from three things.
**Actions**: those of every resource type in the compiled templates, as the providers'
schemas list them (``handler_permissions.py``). **Resources**: the product's tables
(``LaunchScopes``). **Services and policies**: the templates again. Roles are passed
only to services that a role of the templates trusts, and only policies are attached
that the templates create or name.

A launch cannot delete what the templates retain: where every resource of a type is
retained, the actions that only a deletion needs are left out.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from awacs.aws import (
    Action,
    Allow,
    ArnLike,
    Bool,
    ConditionElement,
    Deny,
    Null,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import AWSHelperFn, Sub, encode_to_dict

from compiler.iam_scopes import (
    ACCOUNT,
    HERE,
    IAM_PREFIXES,
    LINKED_ROLES,
    ON_BEHALF_OF,
    STACK_NAME_TAG,
    UNLISTED_PERMISSIONS,
    Creation,
    LaunchScopes,
    NamedResource,
    ServiceScope,
    UnlistedPermission,
)
from compiler.output import relative
from compiler.policy_conditions import all_of
from compiler.values import ASSET_BUCKET
from compiler.wiring import Template, WiringError

PROVISIONED = "SC-${AWS::AccountId}-pp-"
"""Prefix of stack names in Service Catalog; nested stacks have it too."""

SHORTEST_NAME = 5
"""How much of its stack's name a load balancer's name of 32 characters keeps."""

POLICY_CHARACTERS = 6_144
"""IAM's quota for a managed policy, white space not counted."""

POLICIES_PER_ROLE = 10
"""IAM's quota for managed policies on a role, before any increase."""

LONGEST = {
    "${AWS::AccountId}": "123456789012",
    "${AWS::Partition}": "aws-us-gov",
    "${AWS::Region}": "us-isof-south-1",
    "${Bucket}": "b" * 63,
    "${HostedZoneId}": "Z" * 32,
}
"""The longest value of each variable, to measure a policy with."""

KEY_USES = frozenset(
    {
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:RetireGrant",
    }
)
"""Actions of services with a key in the launcher's name."""

GRANTS = frozenset({"kms:CreateGrant"})
ATTACHING = ("iam:AttachRolePolicy", "iam:DetachRolePolicy")
BOUNDING = ("iam:CreateRole", "iam:PutRolePermissionsBoundary")
"""Actions that give a role its permissions boundary."""
PUBLISHED_READS = ("s3:GetObject", "s3:GetObjectVersion")

BOUNDARY_CHANGES = (
    "iam:CreatePolicyVersion",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:SetDefaultPolicyVersion",
)
"""Actions that would change the permissions boundary itself."""

UNDER_CONDITION = frozenset(
    {
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        *ATTACHING,
        *BOUNDING,
        *KEY_USES,
        *PUBLISHED_READS,
    }
)
"""Actions with a statement of their own."""

READ_VERBS = ("Describe", "Get", "List", "Validate")
REVEALS_CONTENT = frozenset({"secretsmanager:GetSecretValue", *PUBLISHED_READS})
"""Actions that are named like read actions, but return content."""

READS_ON_ALL = "Other actions on * only describe or list, and take no other resource."

CUSTOM = "Custom::"
"""Prefix of types that a function of the templates provides."""


def required_permissions(
    templates: Iterable[Template],
    scopes: LaunchScopes,
    boundary_arn: str | AWSHelperFn,
    bucket: str | AWSHelperFn = ASSET_BUCKET,
    stack_prefix: str = PROVISIONED,
) -> list[Statement]:
    """Return the permissions to launch these templates as stacks with this prefix.

    Roles are created with the permissions boundary ``boundary_arn`` only; ``bucket``
    holds the published files.
    """
    groups = permissions_by_policy_group(
        templates, scopes, boundary_arn, bucket, stack_prefix
    )
    return [statement for statements in groups.values() for statement in statements]


def permissions_by_policy_group(
    templates: Iterable[Template],
    scopes: LaunchScopes,
    boundary_arn: str | AWSHelperFn,
    bucket: str | AWSHelperFn = ASSET_BUCKET,
    stack_prefix: str = PROVISIONED,
) -> dict[str, list[Statement]]:
    """Return the same in lists that each fit into one managed policy."""
    launched = LaunchedTemplates(
        [t.document for t in templates],
        scopes,
        by_catalog=stack_prefix == PROVISIONED,
    )
    scope = StackScope(stack_prefix)
    policy_groups: dict[str, list[Statement]] = {
        name: [] for name in scopes.policy_groups
    }
    for service in scopes.services:
        policy_groups[service.policy_group] += _on_service(service, launched, scope)
    policy_groups[scopes.key_group] += _on_keys_through_services(launched, scope)
    policy_groups[scopes.role_group] += _on_roles(launched, scope, boundary_arn)
    policy_groups[scopes.role_group] += _on_published_files(bucket)
    policy_groups[scopes.any_resource_group] += _on_any_resource(launched)
    for policy_group, statements in policy_groups.items():
        check_size(policy_group, statements)
    return {
        policy_group: statements
        for policy_group, statements in policy_groups.items()
        if statements
    }


def check_size(name: str, statements: Sequence[Statement]) -> None:
    """Refuse a policy that IAM would refuse."""
    used = characters(statements)
    if used > POLICY_CHARACTERS:
        raise WiringError(
            f"the launch role's policy {name}",
            f"it has {used:,} characters of {POLICY_CHARACTERS:,}",
            "Move some of its services to another policy group",
        )


def check_count(policies: int) -> None:
    """Refuse more policies than IAM attaches to a role."""
    if policies > POLICIES_PER_ROLE:
        raise WiringError(
            "the launch role",
            f"it has {policies} policies of {POLICIES_PER_ROLE}",
            "Merge two policy groups",
        )


def explanation(
    policy_group: str, statements: Sequence[Statement], scopes: LaunchScopes
) -> str:
    """Return why the actions of a policy group reach as far as they do."""
    allowed = {
        f"{action.prefix}:{action.action}"
        for statement in statements
        for action in statement.properties["Action"]
    }
    reach = [
        f"{service.prefix}: {service.why}"
        for service in scopes.services
        if service.policy_group == policy_group
        and any(owner_of(action) == service.prefix for action in allowed)
    ]
    anywhere = [
        f"{action} on *: {scopes.without_resource[action]}"
        for action in sorted(allowed & scopes.without_resource.keys())
    ]
    others = READS_ON_ALL if policy_group == scopes.any_resource_group else ""
    return " ".join([*reach, *anywhere, others]).rstrip()


def characters(statements: Sequence[Statement]) -> int:
    """Return the most characters that IAM will count."""
    document = {
        "Version": "2012-10-17",
        "Statement": _substituted(encode_to_dict(list(statements))),
    }
    text = json.dumps(document, separators=(",", ":"))
    for token, longest in LONGEST.items():
        text = text.replace(token, longest)
    return len(text)


class LaunchedTemplates:
    """All resources of the launched templates, and the actions that they need."""

    def __init__(
        self,
        documents: Sequence[Mapping[str, Any]],
        scopes: LaunchScopes,
        *,
        by_catalog: bool = True,
    ) -> None:
        """``by_catalog`` is whether Service Catalog launches them."""
        self._documents = documents
        self.scopes = scopes
        self._by_catalog = by_catalog

    def resources(self, name: str = "") -> Iterator[Mapping[str, Any]]:
        """Yield every resource, or every one of a type."""
        for document in self._documents:
            for resource in document.get("Resources", {}).values():
                if name in ("", resource["Type"]):
                    yield resource

    @functools.cached_property
    def types(self) -> tuple[str, ...]:
        """The types that AWS provides."""
        types = {resource["Type"] for resource in self.resources()}
        return tuple(sorted(name for name in types if not name.startswith(CUSTOM)))

    @functools.cached_property
    def services(self) -> frozenset[str]:
        """The services of these types and needs, by IAM's name."""
        prefixes = frozenset(
            {
                *(service_of(name) for name in self.types),
                *(owner_of(action) for need in self.needs for action in need.actions),
            }
        )
        for prefix in sorted(prefixes - {s.prefix for s in self.scopes.services}):
            raise WiringError(
                self.scopes.source,
                f"SERVICES does not say on what {prefix} may act",
                f"Add Service(prefix={prefix!r}, ...) with its reason",
            )
        return prefixes

    @functools.cached_property
    def needs(self) -> tuple[UnlistedPermission, ...]:
        """Permissions that no schema lists and these templates need."""
        text = json.dumps(self._documents, ensure_ascii=False)
        return tuple(
            need
            for need in UNLISTED_PERMISSIONS
            if need.marker in text and (self._by_catalog or not need.is_of_catalog)
        )

    @functools.cached_property
    def actions(self) -> frozenset[str]:
        """Everything that CloudFormation will call."""
        called = {action for name in self.types for action in self.actions_of(name)}
        called |= {action for need in self.needs for action in need.actions}
        # The provider of a web ACL's association can serve Cognito and AppSync too,
        # that of a bucket S3 Tables: services without a resource here are left out.
        return frozenset(
            action
            for action in called - self.scopes.never_called.keys()
            if owner_of(action) in self.services
        )

    @functools.cached_property
    def without_resource(self) -> frozenset[str]:
        """Those of them that IAM checks against no resource."""
        scopes = self.scopes
        return (self.actions - UNDER_CONDITION) & (
            scopes.handlers.without_resource | scopes.without_resource.keys()
        )

    def actions_of(self, name: str) -> frozenset[str]:
        """Return the actions of a type's provider for the templates' resources."""
        known = self.scopes.handlers
        if name not in known.always:
            raise WiringError(
                name,
                f"{known.source.name} does not have its permissions",
                f"Run python -m compiler.handler_permissions {relative(known.source)} "
                f"{name}",
            )
        if self._is_always_retained(name):
            return known.always[name]
        return known.always[name] | known.only_to_delete[name]

    def key_uses(self) -> dict[str, frozenset[str]]:
        """Return the actions of each service with a key in the launcher's name."""
        uses: dict[str, set[str]] = {}
        for name in self.types:
            if service_of(name) != "kms":
                uses.setdefault(service_of(name), set()).update(self.actions_of(name))
        for need in self.needs:
            uses.setdefault(need.via, set()).update(need.actions)
        return {
            service: KEY_USES & actions
            for service, actions in sorted(uses.items())
            if KEY_USES & actions
        }

    def trusted_services(self) -> list[Any]:
        """Return the services that the templates' roles trust."""
        services = [
            name
            for role in self.resources("AWS::IAM::Role")
            for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            for name in _as_list(statement["Principal"].get("Service", []))
        ]
        return [json.loads(name) for name in sorted({json.dumps(n) for n in services})]

    def policies_of_aws(self) -> list[str]:
        """Return the AWS managed policies that the templates attach."""
        return sorted(
            {
                text[text.index(":iam::aws:policy/") :]
                for role in self.resources("AWS::IAM::Role")
                for text in _strings(role["Properties"].get("ManagedPolicyArns", []))
                if ":iam::aws:policy/" in text
            }
        )

    def names_given(self, named: NamedResource) -> list[str]:
        """Return patterns of the names that the templates give to a type."""
        return [
            named.resource
            + _pattern(resource["Properties"][named.property], named.unknown)
            + "*"
            for resource in self.resources(named.type)
            if named.property in resource.get("Properties", {})
        ]

    def _is_always_retained(self, name: str) -> bool:
        return all(
            resource.get(policy) == "Retain"
            for resource in self.resources(name)
            for policy in ("DeletionPolicy", "UpdateReplacePolicy")
        )


class StackScope:
    """ARNs of the resources of stacks whose names have one prefix."""

    def __init__(self, stack_prefix: str) -> None:
        literals = re.split(r"(\$\{[^}]*\})", stack_prefix)
        self._words = {
            "<stack>": stack_prefix,
            "<root>": stack_prefix.removesuffix("-"),
            # CloudFormation's own variables keep their case.
            "<lower>": "".join(
                word if word.startswith("${") else word.lower() for word in literals
            ),
            "<short>": literals[0][:SHORTEST_NAME],
        }

    def arns(self, resources: Iterable[str]) -> list[Sub]:
        """Return resources of the tables as ARNs."""
        return [
            Sub("arn:${AWS::Partition}:" + text)
            for text in dict.fromkeys(self.filled(each) for each in resources)
        ]

    def value(self, text: str) -> str | Sub:
        """Return a text of the tables as a value of a condition."""
        filled = self.filled(text)
        return Sub(filled) if "${" in filled else filled

    def filled(self, text: str) -> str:
        """Replace the placeholders of stack names."""
        for word, name in self._words.items():
            text = text.replace(word, name)
        return re.sub(r"\*+", "*", text)


def service_of(name: str) -> str:
    """Return IAM's prefix of a resource type's service."""
    namespace = name.split("::")[1]
    return IAM_PREFIXES.get(namespace, namespace.lower())


def owner_of(action: str) -> str:
    """Return IAM's prefix of the service that an action belongs to."""
    prefix = action.partition(":")[0]
    return ON_BEHALF_OF.get(prefix, prefix)


def is_read_action(action: str) -> bool:
    """Whether an action reads settings: it changes nothing and returns no content."""
    name = action.partition(":")[2]
    return name.startswith(READ_VERBS) and action not in REVEALS_CONTENT


def _on_service(
    service: ServiceScope, templates: LaunchedTemplates, scope: StackScope
) -> Iterator[Statement]:
    """Yield the statements of one row of the table."""
    called = {
        action
        for action in templates.actions - UNDER_CONDITION - templates.without_resource
        if owner_of(action) == service.prefix
    }
    read_actions = {action for action in called if is_read_action(action)}
    changes = called - read_actions
    own = (
        *service.changes,
        *(name for named in service.named for name in templates.names_given(named)),
    )
    name = "".join(word.capitalize() for word in service.prefix.split("-"))
    if own:
        yield from _allow(f"{name}Changes", changes, scope.arns(own))
    if service.tagged:
        yield from _allow(
            f"{name}ChangesByTag",
            changes,
            scope.arns(service.tagged),
            StringLike(f"aws:ResourceTag/{service.tag}", scope.value("<stack>*")),
        )
    for number, creation in enumerate(service.creations, 1):
        yield from _allow(
            f"{name}Creation{number}",
            changes & {*creation.actions},
            scope.arns(creation.resources),
            *_of_creation(service, creation, scope),
        )
    yield from _allow(f"{name}Reads", read_actions, scope.arns(service.readable()))


def _on_any_resource(templates: LaunchedTemplates) -> Iterator[Statement]:
    """Yield the actions that IAM checks against no resource, of every service."""
    scopes = templates.scopes
    for action in sorted(templates.without_resource - scopes.without_resource.keys()):
        if not is_read_action(action):
            raise WiringError(
                scopes.source,
                f"{action} can be allowed on every resource only",
                "Say in WITHOUT_RESOURCE why that is acceptable, or in NEVER_CALLED "
                "that it is not needed",
            )
    yield from _allow("WithoutResource", templates.without_resource, ["*"])


def _of_creation(
    service: ServiceScope, creation: Creation, scope: StackScope
) -> Iterator[ConditionElement]:
    """Yield the conditions of one creation."""
    if creation.only_new:
        yield Null(f"aws:ResourceTag/{service.tag}", "true")
        if service.tag != STACK_NAME_TAG:
            yield StringLike(f"aws:RequestTag/{service.tag}", scope.value("<stack>*"))
    if creation.with_actions:
        yield StringEquals("ec2:CreateAction", list(creation.with_actions))


def _on_keys_through_services(
    templates: LaunchedTemplates, scope: StackScope
) -> Iterator[Statement]:
    """Yield the use of keys by services for the launcher, only through them."""
    uses = templates.key_uses()
    keys = scope.arns([f"kms:{HERE}:key/*"])
    alike = sorted({actions - GRANTS for actions in uses.values()}, key=sorted)
    for number, actions in enumerate(alike, 1):
        yield from _allow(
            f"UseKeys{number}",
            actions,
            keys,
            _through(n for n, theirs in uses.items() if theirs - GRANTS == actions),
        )
    yield from _allow(
        "GrantKeys",
        GRANTS & {action for actions in uses.values() for action in actions},
        keys,
        _through(name for name, theirs in uses.items() if theirs & GRANTS),
        Bool("kms:GrantIsForAWSResource", "true"),
    )


def _through(services: Iterable[str]) -> ConditionElement:
    """Return the condition that one of these services uses the key."""
    return StringLike(
        "kms:ViaService",
        [Sub(f"{name}.${{AWS::Region}}.amazonaws.com*") for name in services],
    )


def _on_roles(
    templates: LaunchedTemplates, scope: StackScope, boundary_arn: str | AWSHelperFn
) -> Iterator[Statement]:
    """Yield the permissions for the roles of the templates, and no others.

    A launch writes the policies of its roles: only the boundary limits what they allow.
    """
    roles = scope.arns([f"iam:{ACCOUNT}:role/<stack>*"])
    bounded = StringEquals("iam:PermissionsBoundary", boundary_arn)
    yield from _allow("CreateRoles", {*BOUNDING} & templates.actions, roles, bounded)
    yield Statement(
        Sid="KeepBoundary",
        Effect=Deny,
        Action=[Action(*action.split(":")) for action in BOUNDARY_CHANGES],
        Resource=[boundary_arn],
    )
    yield from _allow(
        "AttachPolicies",
        {*ATTACHING} & templates.actions,
        roles,
        bounded,
        ArnLike(
            "iam:PolicyARN",
            [
                *scope.arns([f"iam:{ACCOUNT}:policy/<stack>*"]),
                *(
                    Sub("arn:${AWS::Partition}" + n)
                    for n in templates.policies_of_aws()
                ),
            ],
        ),
    )
    trusted = templates.trusted_services()
    yield from _allow(
        "PassRoles",
        {"iam:PassRole"} if trusted else set(),
        roles,
        StringEquals("iam:PassedToService", trusted),
    )
    linked = [LINKED_ROLES[s] for s in sorted(templates.services & LINKED_ROLES.keys())]
    yield from _allow(
        "CreateServiceLinkedRoles",
        {"iam:CreateServiceLinkedRole"} if linked else set(),
        scope.arns(f"iam:{ACCOUNT}:role/aws-service-role/{name}/*" for name in linked),
        StringEquals("iam:AWSServiceName", linked),
    )


def _on_published_files(bucket: str | AWSHelperFn) -> Iterator[Statement]:
    """Yield read access to nested templates and assets."""
    yield from _allow(
        "ReadPublishedFiles",
        {*PUBLISHED_READS},
        [Sub("arn:${AWS::Partition}:s3:::${Bucket}/*", Bucket=bucket)],
    )


def _allow(
    sid: str, actions: Iterable[str], resources: list[Any], *tests: ConditionElement
) -> Iterator[Statement]:
    """Yield a statement, if there is anything to allow."""
    names = [Action(*action.split(":")) for action in sorted(actions)]
    if names:
        conditions = {"Condition": all_of(tests)} if tests else {}
        yield Statement(
            Sid=sid, Effect=Allow, Action=names, Resource=resources, **conditions
        )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from _strings(list(value.values()))
        case list():
            for each in value:
                yield from _strings(each)


def _pattern(value: Any, unknown: str) -> str:
    """Return a pattern of a name, with ``unknown`` for values known only at launch."""
    match value:
        case str():
            return value
        case {"Ref": "AWS::StackName"}:
            return "<stack>*"
        case {"Fn::Sub": [text, _]} | {"Fn::Sub": str(text)}:
            named = text.replace("${AWS::StackName}", "<stack>*")
            return re.sub(r"\$\{[^}]*\}", unknown, named)
        case {"Fn::Join": [separator, [*parts]]}:
            return str(separator).join(_pattern(part, unknown) for part in parts)
        case _:
            return unknown


def _substituted(value: Any) -> Any:
    """Return a document with each ``Fn::Sub`` replaced by its text."""
    match value:
        case {"Fn::Sub": [text, _]} | {"Fn::Sub": text}:
            return text
        case dict():
            return {key: _substituted(each) for key, each in value.items()}
        case list():
            return [_substituted(each) for each in value]
        case _:
            return value

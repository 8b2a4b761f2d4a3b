"""Enforces the policies of roles, for calls and for what CloudFormation does for them.

The emulator's usual credentials are those of the account's root, which may do
everything. The credentials of a role, from ``sts:AssumeRole``, are checked call by
call. A stack operation acts with the stack's service role, or with the role that
started it; each resource is then created, updated and deleted with that role's rights.

Every decision is recorded, so that a test can tell which permissions a launch used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from email.message import Message
from http.client import HTTPMessage
from typing import Any

from cloudformation.schemas import Schema, SchemaRegistry
from local.emulator.patches import nested_stacks
from local.emulator.patches.ministack import (
    CHANGE_SETS,
    CLOUDFORMATION,
    CreateResult,
    Handlers,
    account,
    names,
    region,
    stack_named,
)
from local.emulator.patches.partitions import partition_of
from local.emulator.patches.resource_calls import (
    Operation,
    Place,
    ResourceCalls,
    Subject,
)
from local.iam import aws_calls
from local.iam.aws_calls import AwsScope
from local.iam.http_request import HttpRequest
from local.iam.policy import ApiCall, RolePermissions, statements, tag_context

SECRETS = names("services.secretsmanager")
IAM = names("services.iam")
STS = names("services.sts")

ROLE_ARN = "RoleARN"
CUSTOM = "Custom::"

STARTING = (
    "CreateStack",
    "UpdateStack",
    "DeleteStack",
    "ExecuteChangeSet",
    "ContinueUpdateRollback",
    "RollbackStack",
)
"""Operations that act with the service role of the stack."""

LINKED_ROLES = ("iam:CreateServiceLinkedRole",)
"""Called only where the account lacks a role, which the emulator does not know."""

_principal: ContextVar[str] = ContextVar("principal", default="")
"""ARN of the role that acts; empty for the account's root."""


class AccessDeniedError(Exception):
    """The role's policies do not allow a call."""

    def __init__(self, role_arn: str, call: ApiCall) -> None:
        super().__init__(
            f"User: {role_arn} is not authorized to perform: {call} because no "
            f"identity-based policy allows the {call.action} action"
        )


class Authorizer:
    """Checks calls of roles, and keeps every decision."""

    def __init__(self, calls: ResourceCalls, registry: SchemaRegistry) -> None:
        self._calls = calls
        self._registry = registry
        self._decisions: dict[tuple[str, str, str, str], bool] = {}
        """Whether a call was allowed, by role, action, resource and context."""
        self._tags: dict[str, dict[str, str]] = {}
        """Tags of the resources of stacks, by ARN."""
        self._arns: dict[str, str] = {}
        """ARN of a resource by its physical ID."""

    def check(self, call: ApiCall) -> None:
        """Raise AccessDeniedError unless the acting role may make a call."""
        role = _principal.get()
        if not role:
            return
        is_allowed = permissions_of(role).allows(call)
        context = json.dumps(dict(call.context), sort_keys=True)
        self._decisions[role, call.action, call.resource, context] = is_allowed
        if not is_allowed:
            raise AccessDeniedError(role, call)

    def guarded(self, resource_type: str, handlers: Handlers) -> Handlers:
        """Return handlers that the acting role needs the rights of the provider for."""
        if resource_type.startswith(CUSTOM):
            return self._guarded_function(handlers)

        def create(logical_id: str, declared: Any, stack: str) -> CreateResult:
            if resource_type == nested_stacks.TYPE:
                # Before it is created: all its resources would be.
                name = nested_stacks.child_name(stack, logical_id)
                arn = _place().arn("cloudformation", f"stack/{name}/new")
                new = self._subject(resource_type, arn, declared, stack, {})
                self._check("create", new)
                result: CreateResult = handlers["create"](logical_id, declared, stack)
                return result
            physical_id, attributes = handlers["create"](logical_id, declared, stack)
            new = self._subject(
                resource_type, physical_id, declared, stack, attributes or {}
            )
            try:
                self._check("create", new)
            except AccessDeniedError:
                handlers["delete"](physical_id, declared)
                raise
            self._remember(new)
            return physical_id, attributes

        def update(
            physical_id: str, old: Any, new: Any, stack: str, *more: Any
        ) -> CreateResult:
            subject = self._subject(resource_type, physical_id, new, stack)
            self._check("update", subject)
            result: CreateResult = handlers["update"](
                physical_id, old, new, stack, *more
            )
            return result

        def delete(physical_id: str, declared: Any) -> Any:
            subject = self._subject(resource_type, physical_id, declared)
            self._check("delete", subject)
            return handlers["delete"](physical_id, declared)

        guarded = {**handlers, "create": create, "delete": delete}
        return {**guarded, "update": update} if "update" in handlers else guarded

    def _guarded_function(self, handlers: Handlers) -> Handlers:
        """Guard a custom resource: CloudFormation invokes its function."""

        def guard(work: Callable[..., Any], place: int) -> Callable[..., Any]:
            def invoke(*arguments: Any) -> Any:
                token = (arguments[place] or {}).get("ServiceToken", "")
                self.check(ApiCall(action="lambda:InvokeFunction", resource=token))
                return work(*arguments)

            return invoke

        places = {"create": 1, "update": 2, "delete": 1}
        return {
            name: guard(work, places[name]) if name in places else work
            for name, work in handlers.items()
        }

    def _check(self, operation: Operation, subject: Subject | None) -> None:
        """Check what the provider of a resource calls."""
        if subject is not None and _principal.get():
            for call in self._calls.of(subject, operation):
                if call.action not in LINKED_ROLES:
                    self.check(call)

    def _subject(
        self,
        resource_type: str,
        physical_id: str,
        declared: Any,
        stack_name: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> Subject | None:
        """Return a resource; one that exists has the ARN and tags of its creation."""
        schema = self._registry.find(resource_type)
        if schema is None or not isinstance(declared, dict):
            return None
        if attributes is None and _principal.get() and physical_id not in self._arns:
            self._recall()
        arn = self._arns.get(physical_id, "")
        return Subject(
            schema=schema,
            place=_place(),
            physical_id=physical_id,
            properties=declared,
            attributes={"Arn": arn} if attributes is None else attributes,
            tags=_tags(schema, declared, stack_name) or self._tags.get(arn, {}),
            known=self._tags,
        )

    def _remember(self, subject: Subject | None) -> None:
        """Keep ARN and tags of a resource, whatever created it."""
        if subject is not None and subject.own_arn:
            self._arns.setdefault(subject.physical_id, subject.own_arn)
            self._tags.setdefault(subject.own_arn, dict(subject.tags))

    def _recall(self) -> None:
        """Read the resources of an earlier process from its stacks."""
        for stack in list(CLOUDFORMATION["_stacks"].values()):
            for resource in stack.get("_resources", {}).values():
                self._remember(
                    self._subject(
                        resource["ResourceType"],
                        resource["PhysicalResourceId"],
                        resource.get("Properties", {}),
                        stack["StackName"],
                        resource.get("Attributes") or {},
                    )
                )

    def record(self) -> list[dict[str, Any]]:
        """Return every decision."""
        return [
            {
                "role": role,
                "action": action,
                "resource": resource,
                "context": json.loads(context),
                "allowed": is_allowed,
            }
            for (role, action, resource, context), is_allowed in self._decisions.items()
        ]


def _place() -> Place:
    name = region()
    return Place(partition=partition_of(name)[0], region=name, account=account())


def permissions_of(role_arn: str) -> RolePermissions:
    """Return the policies of a role; none for a role that does not exist."""
    role = IAM["_roles"].get(role_arn.rpartition("/")[2])
    if role is None:
        return RolePermissions(())
    attached = [_document(arn) for arn in role["AttachedPolicies"]]
    inline = [json.loads(text) for text in role["InlinePolicies"].values()]
    boundary = role.get("PermissionsBoundary")
    return RolePermissions(
        statements([*(document for document in attached if document), *inline]),
        statements([_document(boundary) or {"Statement": []}]) if boundary else None,
    )


def _document(policy_arn: str) -> dict[str, Any] | None:
    policy = IAM["_policies"].get(policy_arn)
    if policy is None:
        return None
    text = policy["Versions"][policy["DefaultVersionId"]]["Document"]
    document: dict[str, Any] = json.loads(text) if isinstance(text, str) else text
    return document


def service_trusted_by(role_arn: str) -> str:
    """Return the first service that a role's trust policy names, or nothing."""
    role = IAM["_roles"].get(role_arn.rpartition("/")[2])
    trust = json.loads(role["AssumeRolePolicyDocument"]) if role else {"Statement": []}
    for statement in trust["Statement"]:
        service = statement["Principal"].get("Service", "")
        return str(service[0] if isinstance(service, list) else service)
    return ""


def role_of_session(access_key: str) -> str:
    """Return the ARN of the role that temporary credentials are of, or nothing."""
    session = STS["_sessions"].get(access_key)
    if session is None:
        return ""
    name = str(session["Arn"]).split(":assumed-role/", 1)[-1].rpartition("/")[0]
    role = IAM["_roles"].get(name.rpartition("/")[2])
    return str(role["Arn"]) if role else str(session["Arn"])


@contextmanager
def acting_as(role_arn: str) -> Iterator[None]:
    """Let a role act, in this context and in the operations that it starts."""
    token = _principal.set(role_arn)
    try:
        yield
    finally:
        _principal.reset(token)


def request_calls(method: str, target: str, headers: Any, body: bytes) -> list[ApiCall]:
    """Return the permissions that a request to the emulator needs."""
    message = HTTPMessage()
    for name, value in headers:
        Message.add_header(message, name.decode(), value.decode())
    http = HttpRequest(
        method=method, target=target, headers=message, body=body, client=""
    )
    request = aws_calls.read(http, AwsScope(region=region(), account=account()))
    calls = aws_calls.calls(request)
    if request.service == "iam" and (named := request.body.get("RoleName")):
        # Only the account knows the path of a role.
        known = IAM["_roles"].get(named, {"Arn": "*"})
        calls = [ApiCall(action=request.name, resource=known["Arn"])]
    if request.service == "iam" and (of := request.body.get("AWSServiceName")):
        calls = [
            ApiCall(
                action=request.name,
                resource=f"arn:aws:iam::{account()}:role/aws-service-role/{of}/X",
                context={"iam:awsservicename": str(of)},
            )
        ]
    if request.service == "secretsmanager" and (named := request.body.get("SecretId")):
        _, secret = SECRETS["_resolve"](named)
        if secret:
            tags = {tag["Key"]: tag["Value"] for tag in secret.get("Tags", ())}
            calls = [
                replace(call, resource=secret["ARN"], context=tag_context(tags))
                for call in calls
            ]
    role = request.body.get(ROLE_ARN)
    if request.service == "cloudformation" and role:
        passed = {"iam:passedtoservice": "cloudformation.amazonaws.com"}
        calls.append(ApiCall(action="iam:PassRole", resource=str(role), context=passed))
    return calls


def install() -> None:
    """Let stack operations act with the stack's service role."""
    actions = CLOUDFORMATION["_ACTION_HANDLERS"]
    actions["CreateChangeSet"] = _remembering_role(actions["CreateChangeSet"])
    for name in STARTING:
        actions[name] = _with_service_role(actions[name])


def _first(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name, "")
    return str(value[0] if isinstance(value, list) else value)


def _remembering_role(create: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the service role of a change set until it is executed."""

    def remember(request: dict[str, Any]) -> Any:
        answer = create(request)
        role = _first(request, ROLE_ARN)
        _, change_set = CHANGE_SETS["_find_change_set"](
            _first(request, "ChangeSetName"), _first(request, "StackName")
        )
        if role and change_set is not None:
            change_set[ROLE_ARN] = role
        return answer

    return remember


def _with_service_role(action: Callable[..., Any]) -> Callable[..., Any]:
    def start(request: dict[str, Any]) -> Any:
        name = _first(request, "StackName")
        stack = stack_named(name) if name else None
        role = _first(request, ROLE_ARN)
        if change_set_name := _first(request, "ChangeSetName"):
            _, change_set = CHANGE_SETS["_find_change_set"](change_set_name, name)
            if change_set is not None:
                role = change_set.get(ROLE_ARN, "")
                stack = stack_named(change_set["StackId"])
        role = role or (stack or {}).get(ROLE_ARN, "")
        with acting_as(role or _principal.get()):
            answer = action(request)
        stack = stack or (stack_named(name) if name else None)
        if role and stack is not None:
            stack[ROLE_ARN] = role
        return answer

    return start


def _tags(schema: Schema, properties: Any, stack_name: str) -> dict[str, str]:
    """Return the tags of a resource: its own, the stack's and CloudFormation's."""
    tagging = schema.document.get("tagging", {})
    stack = stack_named(stack_name) if stack_name else None
    if not tagging.get("taggable") or stack is None:
        return {}
    tags = {tag["Key"]: str(tag.get("Value", "")) for tag in stack.get("Tags", ())}
    own = properties.get("Tags") or {} if isinstance(properties, dict) else {}
    if isinstance(own, dict):
        tags |= {key: str(value) for key, value in own.items()}
    else:
        tags |= {tag["Key"]: str(tag.get("Value", "")) for tag in own}
    if tagging.get("cloudFormationSystemTags"):
        tags["aws:cloudformation:stack-name"] = stack_name
    return tags

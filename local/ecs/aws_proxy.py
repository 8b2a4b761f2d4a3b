"""The AWS endpoint of the local environment: what ``AWS_ENDPOINT_URL`` names.

A request with a task's credentials is checked against the policies of the task's role
before it is processed, and refused in AWS's words. The agent answers the actions of ECS
that concern tasks, the emulator everything else; published metrics are also kept here,
for the alarms. Requests with other credentials, such as those of a deployment, are not
checked.

S3 decrypts and encrypts with the caller's rights to the key, so for a bucket with a key
of its own the caller needs that right too.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from local.ecs import put_metric_data
from local.ecs.credentials import (
    InvalidTokenError,
    RoleCredentials,
    TemporaryCredentials,
)
from local.ecs.ecs_api import EcsApi, EcsApiError
from local.ecs.metrics import MetricStore
from local.ecs.roles import AccessDeniedError, RoleAuthorizer
from local.ecs.web import HttpRequest, HttpResponse, HttpServer, forward
from local.iam import aws_calls
from local.iam.aws_calls import AwsRequest, AwsScope
from local.iam.policy import ApiCall, kms_context, tag_context

JSON = "application/x-amz-json-1.1"
CREDENTIALS = "/_local/credentials?role="
"""Where the emulator gets credentials of the role that one of its functions has, so
that the function's calls are checked too; the role's ARN follows, percent-encoded."""

KEY_USES = {
    "s3:GetObject": "kms:Decrypt",
    "s3:GetObjectVersion": "kms:Decrypt",
    "s3:PutObject": "kms:GenerateDataKey",
}
"""Action on an object -> the action on the key of its bucket that it needs."""


class AwsProxy:
    """An HTTP server in front of the emulator."""

    def __init__(
        self,
        emulator_url: str,
        scope: AwsScope,
        credentials: RoleCredentials,
        roles: RoleAuthorizer,
        ecs: EcsApi,
        *,
        bucket_key: Callable[[str], str],
        metrics: MetricStore,
        port: int,
        on_error: Callable[[str], None],
    ) -> None:
        """Listen at once."""
        url = urlsplit(emulator_url)
        self._upstream = (url.hostname or "127.0.0.1", url.port or 80)
        self._scope = scope
        self._credentials = credentials
        self._roles = roles
        self._ecs = ecs
        self._bucket_key = bucket_key
        self._metrics = metrics
        self._bucket_keys: dict[str, str] = {}
        self._on_error = on_error
        self._lock = threading.Lock()
        self._server = HttpServer(self._answer, port=port, on_error=on_error)
        self.url = self._server.url

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _answer(self, http: HttpRequest) -> HttpResponse:
        if http.target.startswith(CREDENTIALS):
            role = unquote(http.target.removeprefix(CREDENTIALS))
            return _json(200, self._credentials.issue(role, "function").document())
        request = aws_calls.read(http, self._scope)
        try:
            caller = self._credentials.of_key(
                aws_calls.access_key(
                    http.headers.get("Authorization") or "", http.target
                ),
                http.headers.get("X-Amz-Security-Token") or "",
            )
        except InvalidTokenError:
            return _refusal(
                request,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            )
        if caller:
            try:
                self._check(request, caller.role_arn)
            except AccessDeniedError as error:
                return _refusal(request, "AccessDenied", str(error))
        if request.service == "ecs":
            return self._answer_ecs(request)
        if request.name == "cloudwatch:PutMetricData":
            try:
                for metric, datum in put_metric_data.read(request.body, time.time()):
                    self._metrics.put(metric, datum)
            except put_metric_data.UnreadableMetricsError as error:
                return _refusal(request, "InvalidParameterValue", str(error))
        return self._forward(http, caller)

    def _check(self, request: AwsRequest, role_arn: str) -> None:
        for call in self._calls(request):
            self._roles.check(role_arn, call)
            if call.action in KEY_USES and request.http.method != "HEAD":
                self._check_key(call, role_arn)
        if request.name == "ecs:RunTask":
            for passed in self._roles_of(str(request.body.get("taskDefinition"))):
                context = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
                call = ApiCall(action="iam:PassRole", resource=passed, context=context)
                self._roles.check(role_arn, call)

    def _calls(self, request: AwsRequest) -> Iterator[ApiCall]:
        """Yield every permission that a request needs, with the tags of tasks."""
        for call in aws_calls.calls(request):
            tags = (
                self._ecs.task_tags(call.resource) if request.service == "ecs" else {}
            )
            yield replace(call, context={**call.context, **tag_context(tags)})

    def _roles_of(self, reference: str) -> list[str]:
        try:
            definition = self._ecs.definition(reference)
        except ClientError:
            # ECS refuses a definition that does not exist.
            return []
        roles = (definition.task_role_arn, definition.execution_role_arn)
        return [role for role in roles if role]

    def _check_key(self, call: ApiCall, role_arn: str) -> None:
        bucket = call.resource.rpartition(":::")[2].partition("/")[0]
        with self._lock:
            key = self._bucket_keys.get(bucket)
        if key is None:
            key = self._bucket_key(bucket)
            with self._lock:
                self._bucket_keys[bucket] = key
        if key.startswith("arn:"):
            context = kms_context("s3", self._scope.region)
            action = KEY_USES[call.action]
            key_call = ApiCall(action=action, resource=key, context=context)
            self._roles.check(role_arn, key_call)

    def _answer_ecs(self, request: AwsRequest) -> HttpResponse:
        if self._ecs.knows(request.action):
            try:
                return _json(200, self._ecs.answer(request.action, request.body))
            except EcsApiError as error:
                return _json(400, error.body())
        response = self._forward(request.http, None)
        if request.action == "DescribeServices" and response.status == 200:  # noqa: PLR2004 - OK
            return _json(200, self._ecs.overlay(json.loads(response.body)))
        return response

    def _forward(
        self, http: HttpRequest, caller: TemporaryCredentials | None
    ) -> HttpResponse:
        """Ask the emulator, which takes the access key for the account."""
        extra = [("Host", f"{self._upstream[0]}:{self._upstream[1]}")]
        if caller:
            account = self._scope.account
            signed = http.headers.get("Authorization") or ""
            extra += [
                ("Authorization", signed.replace(caller.access_key, account)),
                ("X-Amz-Security-Token", ""),
            ]
            target = http.target.replace(caller.access_key, account)
            http = replace(http, target=target)
        try:
            return forward(*self._upstream, http, extra=extra)
        except (OSError, HTTPException) as error:
            text = f"the emulator does not answer: {type(error).__name__}: {error}"
            self._on_error(text)
            return HttpResponse(503, text.encode(), (("Content-Type", "text/plain"),))


def _json(status: int, body: dict[str, Any]) -> HttpResponse:
    text = json.dumps(body, default=str).encode()
    return HttpResponse(status, text, (("Content-Type", JSON),))


def _refusal(request: AwsRequest, code: str, message: str) -> HttpResponse:
    """Refuse in the form that the service's clients read."""
    is_json = request.http.headers.get("X-Amz-Target")
    if is_json or request.service in {"lambda", "ecs"}:
        name = f"{code}Exception" if code == "AccessDenied" else code
        status = 403 if request.service == "lambda" else 400
        response = _json(status, {"__type": name, "message": message})
        headers = (*response.headers, ("X-Amzn-Errortype", name))
        return replace(response, headers=headers)
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    if request.service != "s3":
        error = f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>"
    return HttpResponse(403, error.encode(), (("Content-Type", "text/xml"),))

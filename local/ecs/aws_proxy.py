"""The door to AWS for everybody in the rehearsal: what ``AWS_ENDPOINT_URL`` names.

A request with a task's credentials is held against the policies of the task's role
before anything sees it, and refused in AWS's words. Actions of ECS that concern tasks
are answered by the agent, everything else by the emulator; metrics are kept on their
way there, for the alarms. Requests of anybody else, of the person who deploys for
instance, are not checked.

S3 decrypts and encrypts with the caller's rights to the key, so for a bucket with a key
of its own the caller is asked for that right too.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit

from local.ecs import aws_calls, put_metric_data
from local.ecs.aws_calls import Asked, Where
from local.ecs.credentials import Credentials, InvalidTokenError, Sessions, access_key
from local.ecs.ecs_api import ApiError, EcsApi
from local.ecs.emulator_client import EmulatorError
from local.ecs.metrics import Metrics
from local.ecs.model import TaskDefinition
from local.ecs.policy import Call, kms_way
from local.ecs.roles import AccessDeniedError, Roles
from local.ecs.web import Answer, Request, Server, ask

JSON = "application/x-amz-json-1.1"
CREDENTIALS = "/_local/credentials?role="
"""Where the emulator gets credentials of the role that one of its functions has, so
that the function's calls are checked too; the role's ARN follows, percent-encoded."""
WRITES = frozenset({"PUT", "POST"})


class Gateway:
    """An HTTP server in front of the emulator."""

    def __init__(
        self,
        emulator_url: str,
        where: Where,
        sessions: Sessions,
        roles: Roles,
        *,
        bucket_key: Callable[[str], str],
        definition: Callable[[str], TaskDefinition],
        metrics: Metrics,
        port: int,
    ) -> None:
        """Listen at once; ``attach`` says who answers for tasks."""
        at = urlsplit(emulator_url)
        self._upstream = (at.hostname or "127.0.0.1", at.port or 80)
        self._where = where
        self._sessions = sessions
        self._roles = roles
        self._bucket_key = bucket_key
        self._definition = definition
        self._metrics = metrics
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()
        self._ecs: EcsApi | None = None
        self._server = Server(self._answer, port=port)
        self.url = self._server.url

    def attach(self, ecs: EcsApi) -> None:
        """Let this one answer what concerns tasks."""
        self._ecs = ecs

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _answer(self, request: Request) -> Answer:
        if request.target.startswith(CREDENTIALS):
            role = unquote(request.target.removeprefix(CREDENTIALS))
            return _json(200, self._sessions.issue(role, "function").document())
        asked = aws_calls.read(request, self._where)
        try:
            session = self._sessions.whose(
                access_key(dict(request.headers), request.target),
                request.headers.get("X-Amz-Security-Token") or "",
            )
        except InvalidTokenError:
            return _refusal(
                asked,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            )
        if session:
            try:
                self._check(asked, session)
            except AccessDeniedError as error:
                return _refusal(asked, "AccessDenied", str(error))
        if self._ecs and asked.service == "ecs":
            return self._answer_ecs(self._ecs, asked)
        if asked.name == "cloudwatch:PutMetricData":
            try:
                self._publish(asked)
            except put_metric_data.UnreadableError as error:
                return _refusal(asked, "InvalidParameterValue", str(error))
        return self._pass_on(request, session)

    def _publish(self, asked: Asked) -> None:
        for metric, datum in put_metric_data.read(asked.body, time.time()):
            self._metrics.put(metric, datum)

    def _check(self, asked: Asked, session: Credentials) -> None:
        for call in aws_calls.calls(asked):
            self._roles.check(session.role_arn, call)
        if asked.service == "s3":
            self._check_key(asked.request, session)
        if asked.name == "ecs:RunTask":
            for role in self._roles_of(str(asked.body.get("taskDefinition"))):
                passed = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
                self._roles.check(
                    session.role_arn,
                    Call(action="iam:PassRole", resource=role, context=passed),
                )

    def _roles_of(self, reference: str) -> list[str]:
        try:
            found = self._definition(reference)
        except EmulatorError:
            return []
        return [one for one in (found.task_role_arn, found.execution_role_arn) if one]

    def _check_key(self, request: Request, session: Credentials) -> None:
        bucket, key = aws_calls.bucket_and_key(request.target)
        if not key or request.method not in {"GET", *WRITES}:
            return
        with self._lock:
            known = self._keys.get(bucket)
        if known is None:
            known = self._bucket_key(bucket)
            with self._lock:
                self._keys[bucket] = known
        if known.startswith("arn:"):
            word = "GenerateDataKey" if request.method in WRITES else "Decrypt"
            way = kms_way("s3", self._where.region)
            self._roles.check(
                session.role_arn,
                Call(action=f"kms:{word}", resource=known, context=way),
            )

    def _answer_ecs(self, ecs: EcsApi, asked: Asked) -> Answer:
        if ecs.knows(asked.action):
            try:
                return _json(200, ecs.answer(asked.action, asked.body))
            except ApiError as error:
                return _json(400, error.body())
        answer = self._pass_on(asked.request, None)
        if asked.action == "DescribeServices" and answer.status == 200:  # noqa: PLR2004 - OK
            return _json(200, ecs.overlay(json.loads(answer.body)))
        return answer

    def _pass_on(self, request: Request, session: Credentials | None) -> Answer:
        """Ask the emulator, which takes the access key for the account."""
        extra = [("Host", f"{self._upstream[0]}:{self._upstream[1]}")]
        if session:
            account = self._where.account
            signed = request.headers.get("Authorization") or ""
            extra += [
                ("Authorization", signed.replace(session.access_key, account)),
                ("X-Amz-Security-Token", ""),
            ]
            request = Request(
                method=request.method,
                target=request.target.replace(session.access_key, account),
                headers=request.headers,
                body=request.body,
                client=request.client,
            )
        try:
            return ask(*self._upstream, request, extra=extra)
        except (OSError, HTTPException) as error:
            text = f"the emulator does not answer: {type(error).__name__}: {error}"
            return Answer(503, text.encode(), (("Content-Type", "text/plain"),))


def _json(status: int, body: dict[str, Any]) -> Answer:
    text = json.dumps(body, default=str).encode()
    return Answer(status, text, (("Content-Type", JSON),))


def _refusal(asked: Asked, code: str, message: str) -> Answer:
    """Refuse in the form that the service's clients read."""
    if asked.request.headers.get("X-Amz-Target") or asked.service in {"lambda", "ecs"}:
        name = f"{code}Exception" if code == "AccessDenied" else code
        status = 403 if asked.service == "lambda" else 400
        answer = _json(status, {"__type": name, "message": message})
        return Answer(
            answer.status, answer.body, (*answer.headers, ("X-Amzn-Errortype", name))
        )
    text = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    error = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    if asked.service != "s3":
        error = f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>"
    return Answer(403, error.encode(), (("Content-Type", "text/xml"),))

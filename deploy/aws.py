"""Every call of AWS goes through ``Aws``: one class to fake, and one for errors.

``Aws.call`` retries with back-off (botocore's standard mode: exponential, with
jitter, for throttling, timeouts and server errors), and turns what still fails into
a problem: whose credentials, which action, which resource, what to do. An answer that
a caller may expect, such as a stack that does not exist, is an ``AwsError`` with its
code.

Nothing else in this package imports boto3, and nothing here knows what is deployed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import boto3
import botocore.exceptions as faults
import botocore.session
from botocore.config import Config
from botocore.parsers import ResponseParserError

from cli.errors import (
    AwsError,
    Denied,
    Failure,
    Problem,
    Throttled,
    Unable,
    Unreachable,
)

ATTEMPTS = 8
"""For each call; with back-off some two minutes of throttling."""

LOCAL_ATTEMPTS = 2
"""An emulator that does not answer has crashed; it is not busy."""

CONNECT_SECONDS = 10
READ_SECONDS = 60

CONNECTIONS = 16
"""As many as files are processed in parallel when publishing."""

EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "TokenRefreshRequired",
    }
)
INVALID = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "Forbidden",
        "UnauthorizedOperation",
    }
)
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
BROKEN = frozenset(
    {
        "500",
        "502",
        "503",
        "504",
        "InternalError",
        "InternalFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
"""Errors of the service, or of a proxy in between."""

CLOSED_REGION = frozenset({"OptInRequired", "SubscriptionRequiredException"})

MISSING_CODES = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})

IAM_ACTIONS: Mapping[str, str] = {
    "s3:head_bucket": "s3:ListBucket",
    "s3:head_object": "s3:GetObject",
    "s3:list_object_versions": "s3:ListBucketVersions",
    "s3:delete_objects": "s3:DeleteObjectVersion",
    "s3:put_public_access_block": "s3:PutBucketPublicAccessBlock",
    "s3:put_bucket_encryption": "s3:PutEncryptionConfiguration",
    "s3:put_bucket_lifecycle_configuration": "s3:PutLifecycleConfiguration",
    "elbv2:*": "elasticloadbalancing",
}
"""IAM actions whose name differs from the operation."""

DENIED_ACTION = re.compile(r"not authorized to perform: (?P<action>[\w:-]+\w)")
DENIED_RESOURCE = re.compile(r"on resource: (?P<resource>\S+?)(?=[\s,;]|$)")


@dataclass(frozen=True, kw_only=True)
class EmulatorEndpoint:
    """Where an emulator listens, and how to log in.

    ``kinds`` returns what each resource is, by stack name and logical ID: real,
    emulated or a stub.
    """

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    kinds: Callable[[], Mapping[str, Mapping[str, str]]] = dict


class Aws:
    """One account and region, as one set of credentials sees them."""

    def __init__(
        self,
        *,
        profile: str | None = None,
        region: str | None = None,
        emulator: EmulatorEndpoint | None = None,
    ) -> None:
        self.profile = profile
        self.emulator = emulator
        self.calls: Counter[str] = Counter()
        """How often each operation was called."""
        self._region = emulator.region if emulator else region
        self._clients: dict[str, Any] = {}
        self._identity: dict[str, str] = {}
        self._session: Any = None
        self._boto_session: Any = None
        self._lock = Lock()

    # Account and region.

    @property
    def is_local(self) -> bool:
        """Whether an emulator answers."""
        return self.emulator is not None

    @property
    def region(self) -> str:
        """Name of the one region of a command."""
        name = self._region or self._boto().region_name
        if not name:
            raise Unable(
                Problem(
                    where="AWS region",
                    what="No region is set.",
                    remedy="Pass --region, set AWS_REGION, or set one for the profile: "
                    "aws configure set region REGION.",
                )
            )
        return str(name)

    @property
    def partition(self) -> str:
        """Return aws, aws-cn, aws-us-gov or another."""
        try:
            return str(self._boto().get_partition_for_region(self.region))
        except faults.UnknownRegionError as error:
            raise Unable(
                Problem(
                    where=f"Region {self.region}",
                    what="AWS has no region of that name.",
                    remedy="Correct --region, AWS_REGION or the profile.",
                )
            ) from error

    @property
    def dns_suffix(self) -> str:
        """End of the host names of this partition, as amazonaws.com."""
        known = self._core().get_data("partitions")["partitions"]
        return next(
            str(partition["outputs"]["dnsSuffix"])
            for partition in known
            if partition["id"] == self.partition
        )

    @property
    def account(self) -> str:
        """Number of the account."""
        return self._caller()["Account"]

    @property
    def principal(self) -> str:
        """ARN of the principal of these credentials."""
        return self._caller()["Arn"]

    # Calls.

    def call(
        self, service: str, operation: str, resource: str = "", /, **parameters: Any
    ) -> dict[str, Any]:
        """Call one operation; ``resource`` is what a message names."""
        self.calls[f"{service}:{operation}"] += 1
        try:
            method = getattr(self._client(service), operation)
            answer: dict[str, Any] = method(**parameters)
        except faults.ClientError as error:
            raise self._failure(service, operation, resource, error) from error
        except (
            faults.NoCredentialsError,
            faults.PartialCredentialsError,
            faults.CredentialRetrievalError,
            faults.TokenRetrievalError,
            faults.UnauthorizedSSOTokenError,
            faults.SSOError,
        ) as error:
            raise self._no_credentials(error) from error
        except (
            faults.ConnectionError,
            faults.HTTPClientError,
            faults.IncompleteReadError,
            # A proxy's web page instead of an answer.
            ResponseParserError,
        ) as error:
            raise self._no_answer(error) from error
        except faults.BotoCoreError as error:
            raise Unable(
                Problem(
                    where=f"{_service(service)} in {self.region}",
                    what=f"{error}",
                    remedy="Correct what it names, and run this again.",
                )
            ) from error
        return answer

    def pages(
        self, service: str, operation: str, resource: str = "", /, **parameters: Any
    ) -> Iterator[dict[str, Any]]:
        """Call one operation until there is no next page."""
        token_in, token_out = PAGING.get(operation, ("NextToken", "NextToken"))
        while True:
            page = self.call(service, operation, resource, **parameters)
            yield page
            token = page.get(token_out)
            if not token:
                return
            parameters[token_in] = token

    # Sessions and clients.

    def _caller(self) -> Mapping[str, str]:
        with self._lock:
            if not self._identity:
                self._identity = self.call("sts", "get_caller_identity")
            return self._identity

    def _core(self) -> Any:
        if self._session is None:
            core = botocore.session.Session(profile=self.profile)
            try:
                # Reads the profile now, so that a misspelt one is named here.
                core.get_scoped_config()
            except faults.ProfileNotFound as error:
                raise Unable(
                    Problem(
                        where=f"Profile {self.profile or 'of AWS_PROFILE'}",
                        what=f"{error}.",
                        remedy="Correct --profile; `aws configure list-profiles` lists "
                        "them.",
                    )
                ) from error
            self._session = core
        return self._session

    def _boto(self) -> Any:
        if self._boto_session is None:
            # Once: a second session cannot use the same core.
            self._boto_session = boto3.Session(
                botocore_session=self._core(), region_name=self._region
            )
        return self._boto_session

    def _client(self, service: str) -> Any:
        with _client_lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        options: dict[str, Any] = {}
        if self.emulator:
            options = {
                "endpoint_url": self.emulator.endpoint,
                "aws_access_key_id": self.emulator.access_key_id,
                "aws_secret_access_key": self.emulator.secret_access_key,
            }
        return self._boto().client(
            service,
            region_name=self.region,
            config=Config(
                retries={
                    "mode": "standard",
                    "total_max_attempts": LOCAL_ATTEMPTS if self.emulator else ATTEMPTS,
                },
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                user_agent_extra="airflow-on-fargate",
            ),
            **options,
        )

    # Errors.

    def _failure(
        self, service: str, operation: str, resource: str, error: Any
    ) -> Failure:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        message = str(answer.get("Message", "")).strip() or code
        where = f"{_service(service)} in {self.region}"
        if code in BROKEN:
            return self._no_answer(error)
        if code in DENIED:
            return self._denied(service, operation, resource, message)
        if code in THROTTLED:
            return Throttled(
                Problem(
                    where=where,
                    what=f"AWS throttles {operation} even after several attempts.",
                    why=message,
                    remedy="Wait a minute and run this again.",
                )
            )
        return self._not_accepted(where, code, message) or AwsError(
            Problem(where=resource or where, what=f"{message} ({code})"),
            code=code,
            message=message,
        )

    def _not_accepted(self, where: str, code: str, message: str) -> Unable | None:
        """Return the problem of the credentials, if that is the reason."""
        if code in EXPIRED:
            return Unable(
                Problem(
                    where="AWS credentials",
                    what="They have expired.",
                    why=message,
                    remedy=f"Sign in again (aws sso login{self._profile_option()}, or "
                    "renew the session), then run this again; it continues where it "
                    "stopped.",
                )
            )
        if code in INVALID:
            return Unable(
                Problem(
                    where="AWS credentials",
                    what=f"AWS does not accept them: {message}",
                    remedy="Check with `aws sts get-caller-identity"
                    f"{self._profile_option()}`; in a region that is off by default, "
                    "enable it first.",
                )
            )
        if code in CLOSED_REGION:
            return Unable(
                Problem(
                    where=where,
                    what=message,
                    remedy="Enable the region for the account, or choose another.",
                )
            )
        return None

    def _denied(
        self, service: str, operation: str, resource: str, message: str
    ) -> Denied:
        action, on = DENIED_ACTION.search(message), DENIED_RESOURCE.search(message)
        name = action["action"] if action else iam_action(service, operation)
        target = on["resource"] if on else resource or "this account"
        who = self._identity.get("Arn", "These credentials")
        return Denied(
            Problem(
                where=target,
                what=f"{who} may not {name} on it.",
                why=message if message not in DENIED else "",
                remedy=f"Allow {name} on {target}, or use other credentials with "
                "--profile.",
            )
        )

    def _no_credentials(self, error: Exception) -> Unable:
        return Unable(
            Problem(
                where="AWS credentials",
                what=f"{error}".rstrip(".") + ".",
                remedy="Sign in (aws sso login"
                f"{self._profile_option()}), pass --profile, or use the emulator, "
                "which needs no account: --emulator.",
            )
        )

    def _no_answer(self, error: Exception) -> Unreachable:
        if self.emulator:
            return Unreachable(
                Problem(
                    where=f"The emulator at {self.emulator.endpoint}",
                    what="It does not answer any more.",
                    why=f"{error}",
                    remedy="Run the command again: it restarts the emulator.",
                )
            )
        return Unreachable(
            Problem(
                where=f"AWS in {self.region}",
                what=f"{error}".rstrip(".") + ".",
                remedy="Check the network, a proxy (HTTPS_PROXY) and the name of the "
                "region; then run this again.",
            )
        )

    def _profile_option(self) -> str:
        return f" --profile {self.profile}" if self.profile else ""


PAGING: Mapping[str, tuple[str, str]] = {
    "list_tasks": ("nextToken", "nextToken"),
    "list_provisioning_artifacts": ("PageToken", "NextPageToken"),
}
"""Parameter and member that carry the next page, where they are not NextToken."""

Answer = TypeVar("Answer")

_client_lock = Lock()
"""boto3 sessions do not create clients in parallel."""


def iam_action(service: str, operation: str) -> str:
    """Return the action that IAM knows an operation by."""
    special = IAM_ACTIONS.get(f"{service}:{operation}")
    prefix = IAM_ACTIONS.get(f"{service}:*", service)
    name = "".join(word.capitalize() for word in operation.split("_"))
    return special or f"{prefix}:{name}"


def is_missing(error: AwsError) -> bool:
    """Whether an answer says that something does not exist."""
    return (
        error.code in MISSING_CODES
        or "does not exist" in error.message
        or error.code.endswith(("NotFoundException", "NotFoundFault", "NotFound"))
    )


def tolerant(call: Callable[[], Answer], otherwise: Answer) -> Answer:
    """Return an optional answer, or ``otherwise`` when the call fails."""
    try:
        return call()
    except Failure:
        return otherwise


def _service(name: str) -> str:
    return SERVICES.get(name, name)


SERVICES: Mapping[str, str] = {
    "cloudformation": "CloudFormation",
    "ecs": "ECS",
    "logs": "CloudWatch Logs",
    "s3": "S3",
    "servicecatalog": "Service Catalog",
    "sts": "STS",
}

"""Every call of AWS goes through ``Aws``: one class to fake, and one for errors.

``Aws.call`` retries with back-off (botocore's standard mode: exponential, with
jitter, for throttling, timeouts and server errors), and turns what still fails into
a problem: whose credentials, which action, which resource, what to do. An answer that
a caller may expect, such as a stack that does not exist, is an ``AwsError`` with its
code.

A setting that can never work (a region that does not exist, a broken file of the AWS
configuration, an empty variable) is reported before the first call. While AWS does not
answer, every further attempt is shown.

Nothing else in this package imports boto3, and nothing here knows what is deployed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.exceptions as faults
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.parsers import ResponseParserError

from cli import console
from cli.errors import (
    AwsError,
    Denied,
    Failure,
    Problem,
    Refused,
    Throttled,
    Unable,
    Unreachable,
    UsageError,
)

ATTEMPTS = 8
"""For each call; with back-off some two minutes of throttling."""

LOCAL_ATTEMPTS = 2
"""An emulator that does not answer has crashed; it is not busy."""

UNREACHABLE_ATTEMPTS = 3
"""For each call that gets no answer at all: a wrong address does not heal."""

CONNECT_SECONDS = 5
READ_SECONDS = 20
"""Calls that take longer answer at once and are polled."""

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SHARED_CREDENTIALS_FILE",
)
"""Variables that decide about the account, the region or the address. Empty, they are
taken for a variable that was never set, and mean another account or region."""

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
SKEWED = frozenset({"RequestInTheFuture", "RequestTimeTooSkewed"})
SKEW = ("signature expired", "signature not yet current")
"""What AWS answers when the clock of this machine is wrong."""

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

MISSING_CODES = frozenset(
    {
        *("404", "NoSuchKey", "NoSuchBucket", "NotFound"),  # S3
        "NoSuchEntity",  # IAM
        "NoSuchHostedZone",  # Route 53
    }
)

IAM_ACTIONS: Mapping[str, str] = {
    "s3:list_buckets": "s3:ListAllMyBuckets",
    "s3:head_bucket": "s3:ListBucket",
    "s3:head_object": "s3:GetObject",
    "s3:list_object_versions": "s3:ListBucketVersions",
    "s3:delete_objects": "s3:DeleteObjectVersion",
    "s3:list_objects_v2": "s3:ListBucket",
    "s3:get_bucket_encryption": "s3:GetEncryptionConfiguration",
    "s3:get_public_access_block": "s3:GetBucketPublicAccessBlock",
    "s3:put_public_access_block": "s3:PutBucketPublicAccessBlock",
    "s3:put_bucket_encryption": "s3:PutEncryptionConfiguration",
    "s3:put_bucket_lifecycle_configuration": "s3:PutLifecycleConfiguration",
    "elbv2:*": "elasticloadbalancing",
    "service-quotas:*": "servicequotas",
}
"""IAM actions whose name differs from the operation."""

CONFIGURATION_FAULTS = (
    faults.ConfigNotFound,
    faults.ConfigParseError,
    faults.InvalidConfigError,
    faults.InvalidDefaultsMode,
    faults.InvalidRetryConfigurationError,
    faults.InvalidRetryModeError,
    faults.ProfileNotFound,
)

CREDENTIAL_FAULTS = (
    faults.NoCredentialsError,
    faults.PartialCredentialsError,
    faults.CredentialRetrievalError,
    faults.TokenRetrievalError,
    faults.UnauthorizedSSOTokenError,
    faults.SSOError,
)

UNREACHABLE = (faults.ConnectionError, faults.HTTPClientError)

PROCESS = "custom-process"
"""How botocore names credentials of a program."""

KEYS = re.compile(r"[!-~]+ [!-~]+")
"""Access key ID and secret: printable characters of ASCII without a blank."""

ENDPOINT = re.compile(r"https?://[^/\s]\S*")

AWS_COMMAND = re.compile(r"(?<![\w/-])aws (?=[a-z0-9]+ [a-z-]+)")

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
        """Name of the one region of a command.

        As every tool of AWS reads it: an option, AWS_REGION, AWS_DEFAULT_REGION, the
        profile.
        """
        name = self._region or os.environ.get("AWS_REGION") or self._boto().region_name
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
            raise UsageError(_unknown_region(self.region)) from error

    @property
    def has_known_region(self) -> bool:
        """Whether botocore's list has the region; a newer one can be missing."""
        known = self._core().get_data("partitions")["partitions"]
        return any(self.region in partition["regions"] for partition in known)

    @property
    def dns_suffix(self) -> str:
        """End of the host names of this partition, as amazonaws.com."""
        known = self._core().get_data("partitions")["partitions"]
        return next(
            str(partition["outputs"]["dnsSuffix"])
            for partition in known
            if partition["id"] == self.partition
        )

    def offers(self, service: str) -> bool:
        """Whether a service has an endpoint in the region, or is a global one.

        From botocore's own list, offline. A service that it does not know counts.
        """
        session = self._boto()
        try:
            # A global service, such as IAM, has no region at all.
            if not session.get_available_regions(service):
                return True
            regions = session.get_available_regions(service, self.partition)
        except faults.UnknownServiceError:
            return True
        return self.region in regions

    @property
    def account(self) -> str:
        """Number of the account."""
        return self._caller()["Account"]

    @property
    def principal(self) -> str:
        """ARN of the principal of these credentials."""
        return self._caller()["Arn"]

    def require_account(self, account: str) -> None:
        """Raise Refused unless the credentials are of this account."""
        if self.account != account:
            raise Refused(
                Problem(
                    where=f"Account {self.account}",
                    what=f"The parameter file says account {account}.",
                    why=f"These are the credentials of {self.principal}.",
                    remedy="Use credentials of that account, or correct "
                    '"Target" in the parameter file.',
                )
            )

    def shell_command(self, text: str) -> str:
        """Return a text whose `aws` commands reach this account, or the emulator."""
        if self.emulator:
            endpoint = self.emulator
            words = (
                f"NO_PROXY=127.0.0.1 AWS_ACCESS_KEY_ID={endpoint.access_key_id} "
                f"AWS_SECRET_ACCESS_KEY={endpoint.secret_access_key} "
                f"aws --endpoint-url {endpoint.endpoint} "
            )
        elif self.profile:
            words = f"aws --profile {shlex.quote(self.profile)} "
        else:
            return text
        return AWS_COMMAND.sub(lambda _match: words, text)

    # Calls.

    def call(
        self, service: str, operation: str, resource: str = "", /, **parameters: Any
    ) -> dict[str, Any]:
        """Call one operation; ``resource`` is what a message names."""
        self.calls[f"{service}:{operation}"] += 1
        client = self._client(service)
        where = f"{_service(service)} in {self.region}"
        try:
            with console.waiting_for(where):
                answer: dict[str, Any] = getattr(client, operation)(**parameters)
        except faults.ClientError as error:
            if not self.emulator and not _is_of_aws(error.response):
                raise self._no_answer(_web_page(error.response)) from error
            raise self._failure(service, operation, resource, error) from error
        except CREDENTIAL_FAULTS as error:
            raise self._no_credentials(error) from error
        except faults.SSLError as error:
            raise self._no_trust(str(error)) from error
        except (
            faults.ConnectionError,
            faults.HTTPClientError,
            faults.IncompleteReadError,
        ) as error:
            raise self._no_answer(str(error)) from error
        except (AttributeError, LookupError, ResponseParserError, TypeError) as error:
            # What botocore's parsers and redirects raise on a page that is not of AWS.
            raise self._no_answer(_web_page({})) from error
        except CONFIGURATION_FAULTS as error:
            raise _wrong_configuration(error) from error
        except (faults.BotoCoreError, ValueError) as error:
            raise Unable(
                Problem(
                    where=where,
                    what=f"{error}",
                    remedy="Correct what it names, and run this again.",
                )
            ) from error
        if not self.emulator and not _is_of_aws(answer):
            raise self._no_answer(_web_page(answer))
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

    def client(self, service: str) -> Any:
        """Return a client of boto3, for what is more than one call: an upload."""
        return self._client(service)

    def _caller(self) -> Mapping[str, str]:
        with self._lock:
            if not self._identity:
                self._identity = self.call("sts", "get_caller_identity")
            return self._identity

    def _core(self) -> Any:
        if self._session is None:
            if self.emulator:
                self._session = _session_without_settings()
            else:
                self._session = self._session_of_user()
        return self._session

    def _session_of_user(self) -> Any:
        """Return a session with the user's settings; report what is wrong with them."""
        _refuse_empty_variables()
        core = botocore.session.Session(profile=self.profile)
        try:
            # Reads the files now, so that a misspelt profile is named here.
            core.get_scoped_config()
            bundle = core.get_config_variable("ca_bundle")
        except faults.ProfileNotFound as error:
            raise Unable(
                Problem(
                    where=f"Profile {self.profile or 'of AWS_PROFILE'}",
                    what=f"{error}.",
                    remedy="Correct --profile or AWS_PROFILE; `aws configure "
                    "list-profiles` lists them.",
                )
            ) from error
        except faults.DataNotFoundError:
            raise
        except (faults.BotoCoreError, ValueError, OSError) as error:
            raise _wrong_configuration(error) from error
        _check_bundle(bundle)
        _check_endpoints()
        return core

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
                try:
                    self._clients[service] = self._make(service)
                except CREDENTIAL_FAULTS as error:
                    raise self._no_credentials(error) from error
                except faults.DataNotFoundError:
                    # botocore is damaged, which is no setting of the user.
                    raise
                except (faults.BotoCoreError, ValueError, OSError) as error:
                    raise _wrong_configuration(error) from error
            return self._clients[service]

    def _make(self, service: str) -> Any:
        if not self._clients:
            # Reports a region that does not exist, before the first call.
            _ = self.partition
            if not self.emulator:
                self._check_credentials()
        options: dict[str, Any] = {}
        if self.emulator:
            options = {
                "endpoint_url": self.emulator.endpoint,
                "aws_access_key_id": self.emulator.access_key_id,
                "aws_secret_access_key": self.emulator.secret_access_key,
            }
        attempts = LOCAL_ATTEMPTS if self.emulator else ATTEMPTS
        client = self._boto().client(
            service,
            region_name=self.region,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                user_agent_extra="airflow-on-fargate",
                # No proxy stands between this machine and itself.
                **({"proxies": {}} if self.emulator else {}),
            ),
            **options,
        )
        client.meta.events.register_first("needs-retry", self._before_retry)
        return client

    def _check_credentials(self) -> None:
        """Read the credentials, if there are any; report what their source answers."""
        try:
            with console.waiting_for("AWS credentials"):
                credentials = self._core().get_credentials()
                keys = credentials.get_frozen_credentials() if credentials else None
        except (json.JSONDecodeError, OSError) as error:
            raise self._no_credentials(error) from error
        except (*CONFIGURATION_FAULTS, ValueError) as error:
            raise _wrong_configuration(error) from error
        except (faults.BotoCoreError, faults.ClientError) as error:
            raise self._no_credentials(error) from error
        if keys and not KEYS.fullmatch(f"{keys.access_key} {keys.secret_key}"):
            raise Unable(
                Problem(
                    where="AWS credentials",
                    what="The key holds a character that no key of AWS has, as a blank "
                    "or a line break.",
                    why=f"Its source is {credentials.method}.",
                    remedy="Copy the access key ID and the secret access key again.",
                )
            )

    def _before_retry(
        self,
        attempts: int,
        response: Any = None,
        caught_exception: Exception | None = None,
        **details: Any,
    ) -> None:
        """Show that a call is tried again; stop where no further attempt helps."""
        most = LOCAL_ATTEMPTS if self.emulator else ATTEMPTS
        if isinstance(caught_exception, faults.SSLError):
            raise caught_exception
        if isinstance(caught_exception, UNREACHABLE):
            most = min(most, UNREACHABLE_ATTEMPTS) if self.has_known_region else 1
            if attempts >= most:
                raise caught_exception
            why = str(caught_exception)
        elif response is not None and response[0].status_code >= SERVER_ERRORS:
            why = f"it answers {response[0].status_code}"
        elif response is not None and _code(response[1]) in THROTTLED:
            why = "it limits the rate of calls"
        else:
            return
        if attempts < most:
            operation = details["operation"]
            console.message(
                f"{_service(operation.service_model.service_name)} in {self.region} "
                f"does not answer {operation.name}: {why.rstrip('.')}. Trying again, "
                f"attempt {attempts + 1} of {most} ..."
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
            return self._no_answer(str(error))
        if code in SKEWED or message.lower().startswith(SKEW):
            return _wrong_clock(message)
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
            Problem(
                where=resource or where,
                what=f"{message} ({code})",
                why=f"It is the answer of {where} to {iam_action(service, operation)}.",
                remedy="Correct what it names, then run this again.",
            ),
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
        remedy = (
            f"Sign in (aws sso login{self._profile_option()}), pass --profile, or use "
            "the emulator, which needs no account: --emulator."
        )
        what = f"{error}".rstrip(" .:")
        if PROCESS in what or isinstance(error, (OSError, json.JSONDecodeError)):
            # A program or a file that the configuration or a variable names.
            remedy = (
                "Correct credential_process of the profile, or the file of "
                "AWS_WEB_IDENTITY_TOKEN_FILE; run the program to see what it prints."
            )
        if what.endswith(PROCESS):
            what = "The program of credential_process has failed without a message"
        if isinstance(error, json.JSONDecodeError):
            what = "The program of credential_process has printed no JSON"
        return Unable(Problem(where="AWS credentials", what=f"{what}.", remedy=remedy))

    def _no_trust(self, why: str) -> Unreachable:
        return Unreachable(
            Problem(
                where=f"AWS in {self.region}",
                what=f"{why.rstrip('.')}.",
                why="The connection is not encrypted as AWS does it: a proxy decrypts "
                "it, or AWS_ENDPOINT_URL leads elsewhere.",
                remedy="Name the certificate of your network with AWS_CA_BUNDLE, or "
                "correct the address; then run this again.",
            )
        )

    def _no_answer(self, why: str) -> Unreachable:
        if self.emulator:
            return Unreachable(
                Problem(
                    where=f"The emulator at {self.emulator.endpoint}",
                    what="It does not answer any more.",
                    why=why,
                    remedy="Run the command again: it restarts the emulator.",
                )
            )
        if not self.has_known_region:
            return Unreachable(_unknown_region(self.region))
        return Unreachable(
            Problem(
                where=f"AWS in {self.region}",
                what=why.rstrip(".") + ".",
                remedy="Check the network, a proxy (HTTPS_PROXY), AWS_ENDPOINT_URL and "
                "the region; then run this again.",
            )
        )

    def _profile_option(self) -> str:
        return f" --profile {self.profile}" if self.profile else ""


PAGING: Mapping[str, tuple[str, str]] = {
    "describe_db_cluster_snapshots": ("Marker", "Marker"),
    "describe_db_clusters": ("Marker", "Marker"),
    "describe_db_engine_versions": ("Marker", "Marker"),
    "describe_log_groups": ("nextToken", "nextToken"),
    "describe_orderable_db_instance_options": ("Marker", "Marker"),
    "filter_log_events": ("nextToken", "nextToken"),
    "list_buckets": ("ContinuationToken", "ContinuationToken"),
    "list_provisioning_artifacts": ("PageToken", "NextPageToken"),
    "list_roles": ("Marker", "Marker"),
    "list_tasks": ("nextToken", "nextToken"),
    "simulate_principal_policy": ("Marker", "Marker"),
}
"""Parameter and member that carry the next page, where they are not NextToken."""

SERVER_ERRORS = 500
"""HTTP status codes from here on are errors of the service."""

Answer = TypeVar("Answer")

_client_lock = Lock()
"""boto3 sessions do not create clients in parallel."""


def _session_without_settings() -> Any:
    """Return a session that reads no file, profile or variable of the user."""
    defaults = {
        name: (None, None, default, conversion)
        for name, (
            _,
            _,
            default,
            conversion,
        ) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for name in ("config_file", "credentials_file"):
        defaults[name] = (None, None, os.devnull, None)
    return botocore.session.Session(session_vars=defaults)


def _unknown_region(region: str) -> Problem:
    return Problem(
        where=f"Region {region}",
        what="AWS has no region of that name.",
        why="It comes from --region, AWS_REGION, AWS_DEFAULT_REGION, the profile, or "
        '"Target" in the parameter file.',
        remedy="Correct it; the names are as eu-central-1 and us-east-1.",
    )


def _refuse_empty_variables() -> None:
    empty = [name for name in VARIABLES if os.environ.get(name, "x").strip() == ""]
    if empty:
        raise UsageError(
            Problem(
                where=", ".join(empty),
                what="It is set and empty.",
                why="Taken for not set, it would mean another account or region.",
                remedy="Give it a value, or remove it with unset.",
            )
        )


def _check_endpoints() -> None:
    """Raise Unable unless every variable with an address has one."""
    for name, address in _endpoints().items():
        try:
            _ = urlsplit(address).port
            is_address = bool(ENDPOINT.fullmatch(address))
        except ValueError:
            is_address = False
        if not is_address:
            raise Unable(
                Problem(
                    where=name,
                    what=f"It is no address: {address}.",
                    remedy=f"Correct {name}: an address is as https://host:443.",
                )
            )


def _endpoints() -> dict[str, str]:
    """Return the variables that say where AWS is, of one service or of all."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("AWS_ENDPOINT_URL") and value
    }


def _check_bundle(path: object) -> None:
    """Raise Unable unless a file of certificate authorities can be read."""
    if not isinstance(path, str) or not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise Unable(
            Problem(
                where=path,
                what=f"It is no file of certificates: {error}.",
                why="AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle of the profile "
                "names it.",
                remedy="Correct the path, or remove the setting.",
            )
        ) from error


def _wrong_configuration(error: Exception) -> Unable:
    """Return the problem of a setting that boto3 cannot use; its text names it."""
    text = f"{error}".rstrip(".")
    remedy = "Correct the file or the variable that it names, and run this again."
    if "invalid endpoint" in text.lower():
        remedy = "Correct endpoint_url of the profile: an address as https://host."
    return Unable(Problem(where="AWS configuration", what=f"{text}.", remedy=remedy))


def _wrong_clock(message: str) -> Unable:
    return Unable(
        Problem(
            where="The clock of this machine",
            what="It is wrong by more than AWS accepts.",
            why=message,
            remedy="Set the clock (timedatectl set-ntp true), then run this again.",
        )
    )


def _is_of_aws(answer: Mapping[str, Any]) -> bool:
    """Whether AWS has answered, and not a proxy or the login page of a network."""
    metadata = answer.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders")
    return headers is None or bool(
        metadata.get("RequestId")
        or metadata.get("HTTPStatusCode", SERVER_ERRORS) >= SERVER_ERRORS
        or any(name.lower().startswith("x-amz") for name in headers)
    )


def _code(answer: Mapping[str, Any]) -> str:
    return str(answer.get("Error", {}).get("Code", ""))


def _web_page(answer: Mapping[str, Any]) -> str:
    metadata = answer.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode")
    return "Not AWS has answered, but a proxy or the login page of a network" + (
        f" (status {status})" if status else ""
    )


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

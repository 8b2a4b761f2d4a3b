"""Connections and variables in AWS Secrets Manager, for Airflow in the API server.

Running tasks ask the API server for them, so a lookup must cost neither a call each nor
the time of a service that does not answer. Hits and misses are kept for a minute. While
Secrets Manager fails, what is known stays in use, and everything else is looked up in
Airflow's own database at once.

The name of a connection or variable comes from DAG code. The role may read what is
below the prefix and nothing else, whatever the name is.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.secrets import BaseSecretsBackend

from fargate_runtime.contract import CONNECTIONS_FOLDER, VARIABLES_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
"""How long a value, or that there is none, is taken as current."""

OUTDATED_SECONDS = 3600.0
"""How long a value stays in use while Secrets Manager fails."""

PAUSE_SECONDS = 15.0
"""After a failure no call is made for so long: every task would wait for it."""

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 1, 2, 2
"""Of each call. Six seconds at most."""

MOST_NAMES = 2000
"""Names that are kept; DAG code may ask for any number of them."""

MISSES = frozenset(
    {
        "ResourceNotFoundException",
        # Marked for deletion; or no secret can have such a name.
        "InvalidRequestException",
        "InvalidParameterException",
        "ValidationException",
    }
)
REFUSALS = frozenset({"AccessDeniedException", "AccessDenied", "DecryptionFailure"})
"""Of this one secret, by its policy or its key; logged once for each name."""

FIELDS = {
    "conn_type": ("conn_type", "connection_type", "engine"),
    "host": ("host", "remote_host", "server"),
    "port": ("port",),
    "login": ("login", "user", "username", "user_name"),
    "password": ("password", "pass"),
    "schema": ("schema", "database", "dbname"),
    "extra": ("extra",),
}
"""Field of a connection -> its names in JSON. A login that RDS keeps has some of them,
and members that are no fields."""


@dataclass(frozen=True)
class Lookup:
    """What Secrets Manager answered for a name, and when."""

    value: str | None
    at: float


class SecretsManager(BaseSecretsBackend):  # type: ignore[misc]  # Airflow is not installed here
    """The backend that ``[secrets] backend`` names.

    It has no lock, which a process that is forked meanwhile would never get: each step
    is one operation on a dictionary, and two threads may ask for the same name.
    """

    def __init__(
        self,
        prefix: str,
        *,
        read: Callable[[str], str | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look below a prefix; ask nothing yet."""
        super().__init__()
        self._prefix = prefix
        self._read = read or SecretReader()
        self._clock = clock
        self._lookups: dict[str, Lookup] = {}
        self._paused_until = 0.0
        self._is_failing = False

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - Airflow's signature
        """Return a connection as a URI, or as JSON with Airflow's names of fields."""
        name = f"{self._prefix}/{CONNECTIONS_FOLDER}/{conn_id}"
        value = self._value(name)
        if value is None:
            return None
        try:
            return with_fields(value)
        except ValueError:
            # The error's own text could hold a part of the value.
            log.warning("The secret %s is neither a URI nor a JSON object", name)
            return None

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - as above
        """Return a variable."""
        return self._value(f"{self._prefix}/{VARIABLES_FOLDER}/{key}")

    def _value(self, name: str) -> str | None:
        now = self._clock()
        known = self._lookups.get(name)
        if known and now - known.at < KEPT_SECONDS:
            return known.value
        if now < self._paused_until:
            return _outdated(known, now)
        try:
            value = self._read(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, tasks go on
            self._pause(name, error)
            return _outdated(known, now)
        if self._is_failing:
            log.warning("Secrets Manager answers again")
            self._is_failing = False
        if len(self._lookups) >= MOST_NAMES:
            self._lookups = {}
        self._lookups[name] = Lookup(value, now)
        return value

    def _pause(self, name: str, error: Exception) -> None:
        self._paused_until = self._clock() + PAUSE_SECONDS
        if not self._is_failing:
            log.error(
                "Secrets Manager does not answer, at first for %s: %s. Known values "
                "stay in use for an hour; others are looked up in the metadata",
                name,
                error,
            )
        self._is_failing = True


class SecretReader:
    """Reads one secret with the role of the task."""

    def __init__(self) -> None:
        """Make no client yet: most commands of Airflow look nothing up."""
        self._client: Any = None
        self._process = 0
        self._refused: set[str] = set()

    def __call__(self, name: str) -> str | None:
        """Return the text of a secret, or nothing if there is none that can be read.

        Raises what the client raises where the service is the reason.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - with the client

        try:
            answer = self._client_of_process().get_secret_value(SecretId=name)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in REFUSALS:
                self._tell_refusal(name, error)
            elif code not in MISSES:
                raise
            return None
        text: str | None = answer.get("SecretString")
        return text

    def _tell_refusal(self, name: str, error: Exception) -> None:
        if len(self._refused) < MOST_NAMES and name not in self._refused:
            self._refused.add(name)
            log.warning("The secret %s cannot be read: %s", name, error)

    def _client_of_process(self) -> Any:
        # A forked process must not write to the sockets of its parent.
        if self._client is None or self._process != os.getpid():
            import boto3  # noqa: PLC0415 - takes half a second
            from botocore.config import Config  # noqa: PLC0415 - as above

            self._client = boto3.session.Session().client(
                "secretsmanager",
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"total_max_attempts": ATTEMPTS},
                ),
            )
            self._process = os.getpid()
        return self._client


def with_fields(value: str) -> str:
    """Return a connection in JSON with the fields that Airflow knows, or a URI."""
    if not value.lstrip().startswith("{"):
        if "://" not in value:
            raise ValueError("no URI")
        return value.strip()
    members = json.loads(value)
    fields = {
        field: next((members[name] for name in names if name in members), None)
        for field, names in FIELDS.items()
    }
    return json.dumps({k: v for k, v in fields.items() if v is not None})


def _outdated(known: Lookup | None, now: float) -> str | None:
    """Return what is known from before, while it may still be used."""
    return known.value if known and now - known.at < OUTDATED_SECONDS else None

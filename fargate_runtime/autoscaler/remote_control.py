"""Client of the workers over Celery's remote control."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from fargate_runtime.connections import broker
from fargate_runtime.scaling_protocol import STATE, WorkerReport

REPLY_SECONDS = 2.0
"""How long to wait for the last worker; all of them reply within tenths of it."""

UNEXPECTED_SECONDS = 0.5
"""How long to wait when ECS reports no running worker: it reports with a delay."""

SOCKET_SECONDS = 3.0


class BrokerUnavailableError(Exception):
    """The broker did not respond; the message says why."""


class WorkerReplies(NamedTuple):
    """Reports by node name, and replies that are no reports."""

    reports: list[tuple[str, WorkerReport]]
    problems: list[str]


class RemoteControl:
    """Client of all workers of the broker."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Configure the client; sends nothing. Raises EnvError."""
        self._app = import_module("celery").Celery(
            broker=broker(environ), set_as_current=False
        )
        self._app.conf.update(
            broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
            broker_transport_options={
                "socket_timeout": SOCKET_SECONDS,
                "socket_connect_timeout": SOCKET_SECONDS,
                "socket_keepalive": True,
                # By default kombu tries to connect for ever.
                "max_retries": 1,
                "interval_start": 0,
                "connect_retries_timeout": SOCKET_SECONDS,
            },
            broker_connection_retry=False,
            broker_connection_timeout=SOCKET_SECONDS,
            # No pool: to wait for a free connection has no timeout, and one that broke
            # unnoticed would cost a round.
            broker_pool_limit=None,
        )

    def reports(self, expected: int) -> WorkerReplies:
        """Request all reports; wait until ``expected`` arrived, or for the timeout.

        Raises BrokerUnavailableError, which differs from no replies.
        """
        replies: list[Mapping[str, Any]] = self._broadcast(
            STATE,
            reply=True,
            timeout=REPLY_SECONDS if expected else UNEXPECTED_SECONDS,
            limit=expected or None,
        )
        parsed = WorkerReplies([], [])
        for node, reply in (item for by_node in replies for item in by_node.items()):
            try:
                parsed.reports.append((node, WorkerReport.parse(reply)))
            except ValueError as error:
                parsed.problems.append(f"Worker {node}: {error}")
        return parsed

    def send(self, command: str, nodes: Sequence[str]) -> None:
        """Send a command to workers. Raises BrokerUnavailableError."""
        self._broadcast(command, destination=list(nodes), reply=False)

    def _broadcast(self, command: str, **options: Any) -> Any:
        errors = (OSError, import_module("kombu.exceptions").KombuError)
        try:
            return self._app.control.broadcast(command, **options) or []
        except errors as error:
            # It never holds a password: kombu names host and port alone.
            raise BrokerUnavailableError(f"{type(error).__name__}: {error}") from error

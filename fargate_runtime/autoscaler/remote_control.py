"""The workers as the autoscaler reaches them: by Celery's remote control."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from fargate_runtime.connections import broker
from fargate_runtime.scaling_protocol import STATE, Report

ANSWER_SECONDS = 2.0
"""How long to wait for the last worker; all of them answer within tenths of it."""

UNEXPECTED_SECONDS = 0.5
"""How long to listen when ECS says that no worker runs: it says so a little late."""

SOCKET_SECONDS = 3.0


class SilentError(Exception):
    """The broker does not answer; the message says why."""


class Answers(NamedTuple):
    """What the workers said, by node name; and what was said that makes no sense."""

    reports: list[tuple[str, Report]]
    problems: list[str]


class RemoteControl:
    """A client of all workers of the broker."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Prepare; nothing is sent yet. Raises PartError."""
        self._app = import_module("celery").Celery(
            broker=broker(environ), set_as_current=False
        )
        self._app.conf.update(
            broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
            broker_transport_options={
                "socket_timeout": SOCKET_SECONDS,
                "socket_connect_timeout": SOCKET_SECONDS,
                "socket_keepalive": True,
                # kombu's own is to try to connect for ever.
                "max_retries": 1,
                "interval_start": 0,
                "connect_retries_timeout": SOCKET_SECONDS,
            },
            broker_connection_retry=False,
            broker_connection_timeout=SOCKET_SECONDS,
            # No pool: to wait for a free connection has no end, and one that broke in
            # silence would cost a round.
            broker_pool_limit=None,
        )

    def reports(self, expected: int) -> Answers:
        """Ask all workers; wait until as many as are expected answered, or for a while.

        Raises SilentError when the broker is away, which is not that nobody answers.
        """
        replies: list[Mapping[str, Any]] = self._broadcast(
            STATE,
            reply=True,
            timeout=ANSWER_SECONDS if expected else UNEXPECTED_SECONDS,
            limit=expected or None,
        )
        answers = Answers([], [])
        for node, reply in (pair for one in replies for pair in one.items()):
            try:
                answers.reports.append((node, Report.parse(reply)))
            except ValueError as error:
                answers.problems.append(f"worker {node}: {error}")
        return answers

    def send(self, command: str, nodes: Sequence[str]) -> None:
        """Tell workers something. Raises SilentError when the broker is away."""
        self._broadcast(command, destination=list(nodes), reply=False)

    def _broadcast(self, command: str, **options: Any) -> Any:
        away = (OSError, import_module("kombu.exceptions").KombuError)
        try:
            return self._app.control.broadcast(command, **options) or []
        except away as error:
            # A password is never in it: kombu tells host and port alone.
            raise SilentError(f"{type(error).__name__}: {error}") from error

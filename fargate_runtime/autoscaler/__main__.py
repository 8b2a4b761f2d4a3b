"""The autoscaler as a process: ``python -m fargate_runtime.autoscaler``.

Environment: ``SCALING_POOLS`` (``settings``), ``CLUSTER_NAME``; ``METADATA_HOST``,
``_PORT`` and ``_NAME`` with ``SCALING_USER`` and ``SCALING_PASSWORD``, a role that may
only read; ``BROKER_*`` as for ``connections``; the region and the role of the task.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from threading import Event

import boto3
from botocore.config import Config

from fargate_runtime.autoscaler.database import Database
from fargate_runtime.autoscaler.leader import Leader
from fargate_runtime.autoscaler.log import say
from fargate_runtime.autoscaler.loop import run
from fargate_runtime.autoscaler.reconciler import Rounds, World
from fargate_runtime.autoscaler.remote_control import RemoteControl
from fargate_runtime.autoscaler.services import AWS_ERRORS, Services
from fargate_runtime.autoscaler.settings import Settings, SettingsError
from fargate_runtime.env import PartError, part
from fargate_runtime.migration.databases import scaling_login

AWS_PATIENCE = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 2},
)
"""A round is repeated anyway; so better none than a late one."""


def prepare(environ: Mapping[str, str]) -> tuple[Leader, Rounds]:
    """Return what the loop needs. Raises PartError, SettingsError, or AWS's own."""
    settings = Settings.parse(part(environ, "SCALING_POOLS"))
    login = scaling_login(environ)
    cluster = part(environ, "CLUSTER_NAME")
    world = World(
        database=Database(login),
        workers=RemoteControl(environ),
        services=Services(boto3.client("ecs", config=AWS_PATIENCE), cluster),
        cloudwatch=boto3.client("cloudwatch", config=AWS_PATIENCE),
        cluster=cluster,
    )
    return Leader(login, say), Rounds(world, settings, say)


def main() -> int:
    """Return 0 when told to stop, 1 with one line when it cannot start."""
    try:
        leader, rounds = prepare(os.environ)
    except (PartError, SettingsError, *AWS_ERRORS) as error:
        sys.stderr.write(
            f"fargate_runtime.autoscaler: {' '.join(str(error).split())}\n"
        )
        return 1
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    names = ", ".join(repr(pool.name) for pool in rounds.settings.pools)
    say(f"decides for {names}")
    run(leader, rounds, say, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())

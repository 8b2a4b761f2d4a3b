"""Run the autoscaler: ``python -m fargate_runtime.autoscaler``.

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

from fargate_runtime.autoscaler.database import DatabaseSession
from fargate_runtime.autoscaler.leader import Leader
from fargate_runtime.autoscaler.log import write
from fargate_runtime.autoscaler.loop import run
from fargate_runtime.autoscaler.reconciler import AutoscalerClients, Reconciler
from fargate_runtime.autoscaler.remote_control import RemoteControl
from fargate_runtime.autoscaler.services import AWS_ERRORS, PoolServices
from fargate_runtime.autoscaler.settings import AutoscalerSettings, SettingsError
from fargate_runtime.contract import Env
from fargate_runtime.env import EnvError, autoscaler_login, required

AWS_CONFIG = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"mode": "standard", "total_max_attempts": 2},
)
"""A round is repeated anyway: better none than a late one."""


def prepare(environ: Mapping[str, str]) -> tuple[Leader, Reconciler]:
    """Return what the loop needs. Raises EnvError, SettingsError or AWS_ERRORS."""
    settings = AutoscalerSettings.parse(required(environ, Env.SCALING_POOLS))
    login = autoscaler_login(environ)
    cluster = required(environ, Env.CLUSTER_NAME)
    clients = AutoscalerClients(
        database=DatabaseSession(login),
        workers=RemoteControl(environ),
        services=PoolServices(boto3.client("ecs", config=AWS_CONFIG), cluster),
        cloudwatch=boto3.client("cloudwatch", config=AWS_CONFIG),
        cluster=cluster,
    )
    return Leader(login, write), Reconciler(clients, settings, write)


def main() -> int:
    """Return 0 when stopped by a signal, 1 with one line when it cannot start."""
    try:
        leader, reconciler = prepare(os.environ)
    except (EnvError, SettingsError, *AWS_ERRORS) as error:
        sys.stderr.write(
            f"fargate_runtime.autoscaler: {' '.join(str(error).split())}\n"
        )
        return 1
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    names = ", ".join(repr(pool.name) for pool in reconciler.settings.pools)
    write(f"Scaling pools {names}.")
    run(leader, reconciler, write, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())

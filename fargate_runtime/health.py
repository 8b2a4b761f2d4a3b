"""Container health checks: ``python -m fargate_runtime.health COMPONENT``.

Airflow's own checks import all of Airflow, which takes seconds of CPU each time.
These check the same without it, within a second or two; each wait ends after
``TIMEOUT_SECONDS``:

* scheduler, dag-processor, triggerer: did the job of this host write its heartbeat
  to the database lately? A process that lives but is stuck fails.
* worker: does this worker answer over the broker? One that lost the broker fails.

They do not detect a worker that answers but takes no tasks.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fargate_runtime.connections import broker
from fargate_runtime.env import EnvError, database_login

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS = 5
"""For one answer from the database or the broker."""

OLDEST_HEARTBEAT_SECONDS = 60
"""Jobs write one every 5 s; Airflow considers a scheduler dead after 30 s. A minute
leaves room for a slow statement while the database fails over."""

JOBS = {
    "scheduler": "SchedulerJob",
    "dag-processor": "DagProcessorJob",
    "triggerer": "TriggererJob",
}
"""Components and their ``job_type`` in Airflow's table ``job``."""

COMPONENTS = (*JOBS, "worker")

HEARTBEAT_AGE = """
SELECT extract(epoch FROM now() - max(latest_heartbeat)) FROM job
WHERE job_type = %s AND hostname = %s AND state = 'running'
"""


class Unhealthy(Exception):  # noqa: N818 - an answer, not an error
    """The component failed its check; the message says why."""


def check_job(job: str, environ: Mapping[str, str]) -> None:
    """Raise Unhealthy unless the job of this host wrote a heartbeat lately."""
    psycopg2 = import_module("psycopg2")
    login = database_login(environ, "METADATA")
    try:
        connection = psycopg2.connect(
            host=login.host,
            port=login.port,
            dbname=login.name,
            user=login.user,
            password=login.password,
            connect_timeout=TIMEOUT_SECONDS,
            options=f"-c statement_timeout={TIMEOUT_SECONDS * 1000}",
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(HEARTBEAT_AGE, (job, own_address()))
                (age,) = cursor.fetchone()
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise Unhealthy(f"the database does not answer: {error}") from error
    if age is None:
        raise Unhealthy(f"no {job} of {own_address()} is running")
    if age > OLDEST_HEARTBEAT_SECONDS:
        raise Unhealthy(f"the last heartbeat of {job} is {age:.0f} s old")


def check_worker(environ: Mapping[str, str]) -> None:
    """Raise Unhealthy unless the worker of this host answers over the broker."""
    celery = import_module("celery")
    timeouts = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    }
    app = celery.Celery(broker=broker(environ), set_as_current=False)
    app.conf.update(
        broker_use_ssl=_broker_tls(environ),
        broker_transport_options=timeouts,
        broker_connection_retry=False,
    )
    worker = f"celery@{socket.gethostname()}"
    try:
        answers = app.control.ping(
            destination=[worker], timeout=TIMEOUT_SECONDS, limit=1
        )
    except (OSError, import_module("kombu.exceptions").KombuError) as error:
        raise Unhealthy(f"the broker does not answer: {error}") from error
    if not answers:
        raise Unhealthy(f"{worker} does not answer over the broker")


def own_address() -> str:
    """Return this host's address as Airflow determines it.

    The same as ``airflow.utils.net.get_host_ip_address``, which must be
    ``AIRFLOW__CORE__HOSTNAME_CALLABLE``.
    """
    name = socket.gethostname()
    try:
        addresses = socket.getaddrinfo(
            name, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME
        )
    except OSError:
        addresses = []
    canonical = next((entry[3] for entry in addresses if entry[3]), name)
    return socket.gethostbyname(canonical)


def _broker_tls(environ: Mapping[str, str]) -> dict[str, Any]:
    ca = environ.get("AIRFLOW__CELERY__SSL_CACERT")
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} | ({"ssl_ca_certs": ca} if ca else {})


def check(component: str, environ: Mapping[str, str]) -> None:
    """Raise Unhealthy unless ``component``, which runs on this host, is healthy."""
    if component in JOBS:
        check_job(JOBS[component], environ)
    else:
        check_worker(environ)


def main(arguments: Sequence[str]) -> int:
    """Return 0 for a healthy component, 1 with one line for any other."""
    if len(arguments) != 1 or arguments[0] not in COMPONENTS:
        sys.stderr.write(
            f"fargate_runtime.health: name one of {', '.join(COMPONENTS)}\n"
        )
        return 2
    try:
        check(arguments[0], os.environ)
    except (Unhealthy, EnvError) as problem:
        line = " ".join(str(problem).split())
        sys.stderr.write(f"fargate_runtime.health {arguments[0]}: {line}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

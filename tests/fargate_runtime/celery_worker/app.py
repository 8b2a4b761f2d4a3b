"""The Celery application of the tests' workers; run by Airflow's Python.

Its settings are those that Airflow gives Celery; ``test_airflow_worker`` runs Airflow's
own worker with the compiled ones.
"""

from __future__ import annotations

import json
import os
import ssl

from celery import Celery

from fargate_runtime.connections import broker

app = Celery(broker=broker(os.environ), backend="cache+memory://")
app.conf.update(
    imports=[
        "fargate_runtime.worker.bootsteps",
        "tests.fargate_runtime.celery_worker.tasks",
    ],
    broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED},
    broker_transport_options=json.loads(os.environ["TRANSPORT_OPTIONS"]),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_channel_error_retry=True,
    task_default_queue="default",
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
)

"""The TCP ports of the product, each written once.

Security groups, containers, target groups and data stores import them from
here, so that a rule and the thing that listens behind it cannot disagree.
"""

from __future__ import annotations

HTTP = 80
"""Where the load balancer answers with a redirect to HTTPS."""

HTTPS = 443
"""The load balancer's listener, and every API of AWS."""

API_SERVER = 8080
"""Airflow's ``api-server``: web pages, REST API and ``/execution``."""

FLOWER = 5555
"""Celery's monitor."""

WORKER_LOGS = 8793
"""Where a worker serves the logs of the tasks that it runs now."""

TRIGGERER_LOGS = 8794
"""Where a triggerer serves the logs of the triggers that it runs now."""

SCHEDULER_HEALTH = 8974
"""The scheduler's health page; the container asks itself, no rule opens it."""

POSTGRESQL = 5433
"""Aurora; not 5432, the port that a scan tries first (RDS.23)."""

VALKEY = 6379
"""The Celery broker."""

"""The TCP ports of the product, each written once.

Security groups, containers, target groups and data stores import them from
here, so that a rule and the thing that listens behind it cannot disagree.
"""

from __future__ import annotations

HTTP = 80
"""The load balancer, which redirects to HTTPS."""

HTTPS = 443
"""The load balancer's listener, and every API of AWS."""

API_SERVER = 8080
"""Airflow's ``api-server``: UI, REST API and Execution API."""

FLOWER = 5555
"""Celery's monitor."""

WORKER_LOGS = 8793
"""A worker's server for logs of running tasks."""

TRIGGERER_LOGS = 8794
"""A triggerer's server for logs of running triggers."""

SCHEDULER_HEALTH = 8974
"""The scheduler's health endpoint, for its own container; no rule opens it."""

POSTGRESQL = 5433
"""Aurora; not 5432, the port that a scan tries first (RDS.23)."""

VALKEY = 6379
"""The Celery broker."""

"""The real engines of a rehearsal: PostgreSQL for Aurora, Valkey for ElastiCache.

Both come from the package index into ``.venv-engines`` (``requirements/engines.txt``),
listen on the loopback with TLS only and die with the process that started them.

Real: the servers, TLS and its certificates, roles, passwords, access rights, the
values of the compiled parameter groups, restarts and crashes.

Stand-ins: the certificate authority, the role ``rds_superuser`` and the user
``rdsadmin`` (see ``postgres``), the TLS listener of Valkey (see ``tls_front``), and
Valkey's file of changes where ElastiCache would have a replica (see ``valkey``).
Nothing here fails over by itself, and no capacity grows.
"""

from __future__ import annotations

from local.datastores.certificates import Authority
from local.datastores.postgres import Postgres
from local.datastores.readiness import Endpoint
from local.datastores.template_settings import (
    Access,
    broker_access,
    broker_settings,
    database_settings,
)
from local.datastores.valkey import Valkey
from local.errors import DatastoreError

__all__ = [
    "Access",
    "Authority",
    "DatastoreError",
    "Endpoint",
    "Postgres",
    "Valkey",
    "broker_access",
    "broker_settings",
    "database_settings",
]

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

from local.engines.built import (
    Access,
    broker_access,
    broker_settings,
    database_settings,
)
from local.engines.certificates import Authority
from local.engines.postgres import Postgres
from local.engines.processes import EngineError
from local.engines.serving import Endpoint
from local.engines.valkey import Valkey

__all__ = [
    "Access",
    "Authority",
    "Endpoint",
    "EngineError",
    "Postgres",
    "Valkey",
    "broker_access",
    "broker_settings",
    "database_settings",
]

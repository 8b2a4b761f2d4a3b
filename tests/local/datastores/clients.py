"""Both datastores, and a client process that connects to them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.datastores import (
    Authority,
    BrokerAccess,
    DatastoreEndpoint,
    Postgres,
    Valkey,
)

ROOT = Path(__file__).resolve().parents[3]
MASTER = "airflow_master"
PASSWORD = "a:b/c?d#e%f@g h&i=j+k'\"$HOME~\\"  # noqa: S105 - of a test server
WRITER = "writer.cluster-abc.eu-west-1.rds.amazonaws.com"


class Refused(Exception):  # noqa: N818 - an answer that tests ask for
    """A datastore, or TLS, refuses; the message is its own."""


@dataclass
class Datastores:
    """Both datastores, running."""

    authority: Authority
    postgres: Postgres
    database: DatastoreEndpoint
    valkey: Valkey
    broker: DatastoreEndpoint
    access: BrokerAccess

    def libpq(self, **changes: str) -> dict[str, str]:
        """Return the connection settings of the master user."""
        return {
            "PGHOST": "localhost",
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": str(self.database.port),
            "PGDATABASE": "postgres",
            "PGUSER": MASTER,
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.database.ca_path),
            **changes,
        }

    def redis(self, **changes: Any) -> dict[str, Any]:
        """Return the connection settings of the Celery user."""
        return {
            "host": "localhost",
            "port": self.broker.port,
            "username": self.access.user,
            "password": self.valkey.password,
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_ca_certs": str(self.broker.ca_path),
            **changes,
        }

    def containers(self, password: str) -> dict[str, str]:
        """Return the variables of a task definition, with one password for all."""
        server = {"HOST": "localhost", "PORT": str(self.database.port)}
        stores = {
            "MASTER": {"USER": MASTER, "PASSWORD": PASSWORD, "NAME": "postgres"},
            "METADATA": {"USER": "airflow", "PASSWORD": password, "NAME": "airflow"},
            "RESULTS": {
                "USER": "celery_results",
                "PASSWORD": password,
                "NAME": "celery_results",
            },
            "BROKER": {
                "USER": self.access.user,
                "PASSWORD": self.valkey.password,
                "PORT": str(self.broker.port),
            },
        }
        return {
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.database.ca_path),
            **{
                f"{store}_{part}": value
                for store, parts in stores.items()
                for part, value in (server | parts).items()
            },
        }


class Client:
    """A process with the packages of the image."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [python, Path(__file__).with_name("client_process.py")],
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return the answer; raise Refused if the datastore refuses."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client process has died; its error is above"
        reply = json.loads(line)
        if "refused" in reply:
            raise Refused(reply["refused"])
        return reply["answer"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)

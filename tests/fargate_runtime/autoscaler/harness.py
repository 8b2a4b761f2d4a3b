"""A real database and a real broker with a autoscaler beside them, as a process.

The tables are Airflow's, migrated by Airflow; AWS is ``fake_aws``; workers are
``pretend_workers``, which answer remote control and do nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from compiler.wiring import Build
from local.airflow_environment import airflow_environment
from local.datastores import (
    Authority,
    Postgres,
    Valkey,
    broker_access,
    broker_settings,
    database_settings,
)
from templates import cache, database
from tests.fargate_runtime.autoscaler.fake_aws import FakeAws

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "a:b/c?d#e%f@g h&i=j+k'\"~\\"  # noqa: S105 - of servers of our own
HERE = Path(__file__).parent


class Process:
    """A program whose lines are kept as they come."""

    def __init__(self, command: Sequence[str | Path], environ: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(  # noqa: S603 - our own
            command,
            env=environ,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def pid(self) -> int:
        return self.process.pid

    def logged(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def type(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        """End it, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        return status


class AutoscalerBench:
    """Both datastores, migrated; ``close`` stops every process that was started."""

    def __init__(self, folder: Path) -> None:
        dist = folder / "dist"
        dist.mkdir()
        for name, page in (("cache", cache), ("database", database)):
            text = Build().template(page.define).text()
            (dist / f"{name}.template.json").write_text(text)
        self.folder = folder
        self.python = airflow_environment().python
        self.authority = Authority(folder / "tls")
        self.postgres = Postgres(
            authority=self.authority,
            master_user="airflow_master",
            master_password=PASSWORD,
            settings=database_settings(dist),
            max_connections=100,
        )
        access = broker_access(dist)
        self.valkey = Valkey(
            authority=self.authority,
            access=access,
            password=PASSWORD,
            settings=broker_settings(dist),
        )
        self.database = self.postgres.start(folder / "postgres")
        self.broker = self.valkey.start(folder / "valkey")
        self.broker_user = access.user
        self.aws = FakeAws()
        self._processes: list[Process] = []
        self.script("set_up")

    def stop_processes(self) -> None:
        while self._processes:
            self._processes.pop().stop()

    def close(self) -> None:
        self.stop_processes()
        self.aws.close()
        self.valkey.stop()
        self.postgres.stop()

    @property
    def environ(self) -> dict[str, str]:
        """What containers are told, and where the fake of AWS is."""
        return {
            "PATH": f"{self.python.parent}:{os.defpath}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.database.ca_path),
            "SSL_CERT_FILE": str(self.database.ca_path),
            "METADATA_HOST": "localhost",
            "METADATA_PORT": str(self.database.port),
            "METADATA_NAME": "airflow",
            "SCALING_USER": "scaling",
            "SCALING_PASSWORD": PASSWORD,
            "BROKER_HOST": "localhost",
            "BROKER_PORT": str(self.broker.port),
            "BROKER_USER": self.broker_user,
            "BROKER_PASSWORD": PASSWORD,
            "CLUSTER_NAME": "cluster",
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
        }

    def script(self, command: str, *values: Any) -> Any:
        """Let ``database_script`` do something, and return what it prints as JSON."""
        owner = {
            "METADATA_USER": "airflow",
            "METADATA_PASSWORD": PASSWORD,
            "MASTER_USER": "airflow_master",
            "MASTER_PASSWORD": PASSWORD,
            "AIRFLOW_HOME": str(self.folder / "airflow"),
        }
        done = subprocess.run(  # noqa: S603 - our own script
            [self.python, HERE / "database_script.py", command],
            input=json.dumps(values),
            env=self.environ | owner,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    def sql(self, statement: str, *values: Any) -> list[list[Any]]:
        """Run a statement as the owner of the tables; return its rows."""
        rows: list[list[Any]] = self.script("sql", statement, list(values))
        return rows

    def autoscaler(self, pools: Any, **environ: str) -> Process:
        settings = pools if isinstance(pools, str) else json.dumps(pools)
        return self._start(
            [self.python, "-m", "fargate_runtime.autoscaler"],
            self.environ | {"SCALING_POOLS": settings} | environ,
        )

    def workers(self) -> Process:
        """Start a process of workers, none yet."""
        return self._start([self.python, HERE / "pretend_workers.py"], self.environ)

    def _start(self, command: Sequence[str | Path], environ: dict[str, str]) -> Process:
        process = Process(command, environ)
        self._processes.append(process)
        return process


def pool(name: str = "default", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "queue": name,
        "concurrency": 4,
        "minimum": 0,
        "maximum": 10,
        **changes,
    }


def report(name: str = "default", **changes: Any) -> dict[str, Any]:
    """Return what a worker of a pool says of itself."""
    return {
        "pool": name,
        "task": "0123456789abcdef0123456789abcdef",
        "host": "10.0.0.1",
        "state": "ready",
        "running": 0,
        "since": time.time() - 100,
        "created": time.time() - 160,
        **changes,
    }


def until(
    is_so: Callable[[], Any], seconds: float, what: str, *processes: Process
) -> None:
    """Return when ``is_so``; fail with what was output when it lasts too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            output = "\n".join(line for each in processes for line in each.lines)
            raise AssertionError(f"not within {seconds} s: {what}\n{output}")
        time.sleep(0.05)

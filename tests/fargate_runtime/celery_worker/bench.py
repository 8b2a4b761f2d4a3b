"""Real Celery workers with a real Valkey and a fake ECS."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.airflow_environment import airflow_environment
from local.datastores import BrokerAccess, DatastoreEndpoint, Valkey
from local.datastores.processes import SupervisedProcess
from tests.fargate_runtime.celery_worker.fake_ecs import FakeEcs, FakeTask

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 90
"""For every event; a worker takes half of it to start on a busy machine."""

SETTLE_SECONDS = 2
"""After which a worker would have read a message: a read waits one second at most."""

TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_keepalive": True,
    "socket_connect_timeout": 10,
    "socket_timeout": 30,
    "retry_on_timeout": True,
    "health_check_interval": 30,
}


def until(
    is_so: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS
) -> Any:
    """Wait until a condition is true and return its value."""
    end = time.monotonic() + seconds
    while not (result := is_so()):
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return result


class Client:
    """A process that sends tasks and remote control."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [
                airflow_environment().python,
                "-m",
                "tests.fargate_runtime.celery_worker.client_process",
            ],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return what a function of ``client_process`` returns."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([function, *arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client process has died; its error is above"
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate(timeout=10)


@dataclass
class Worker:
    """One worker below a ``dumb-init``, as in its container."""

    name: str
    log: Path
    process: SupervisedProcess
    ecs_task: FakeTask
    client: Client
    node: str
    """What Celery calls it."""

    def control(self, command: str, seconds: float = 5) -> Any:
        """Return what it answers to a remote control command."""
        return self.client.ask("control", command, self.node, seconds)

    def state(self) -> str:
        """Return what it tells the autoscaler, or nothing."""
        answer = self.control("scaling_state", 1) or {}
        return str(answer.get("state", ""))

    def wait_for(self, state: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it tells the autoscaler of a state."""

        def is_there() -> bool:
            assert self.process.is_running, self.process.last_words()
            return self.state() == state

        until(is_there, f"{self.name} to be {state}", seconds)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def wait_for_log(self, words: str) -> None:
        until(lambda: self.said(words), f"{self.name} to say {words!r}")

    def pids(self) -> list[int]:
        """Return the process ids of its ``dumb-init`` and of all below."""
        pids = [self.process.pid]
        for pid in pids:
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (thread / "children").read_text().split())
        return pids

    def main_pid(self) -> int:
        """Return the process id of Celery's main process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])


@dataclass
class Bench:
    """Environment of one test: a queue of its own, and its workers."""

    valkey: Valkey
    environment: Mapping[str, str]
    client: Client
    ecs: FakeEcs
    folder: Path
    queue: str
    workers: list[Worker] = field(default_factory=list)

    def worker(
        self,
        *,
        concurrency: int = 2,
        has_ecs: bool = True,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        node: str = "",
    ) -> Worker:
        """Start a worker; returns at once. ``command`` may start another than ours."""
        name = f"{self.queue}-{len(self.workers)}"
        log = self.folder / f"{name}.log"
        log.touch()
        fargate = self.ecs.environment(name)
        celery = (
            *(str(airflow_environment().programs / "celery"), "-A"),
            *(
                "tests.fargate_runtime.celery_worker.app",
                "worker",
                "--queues",
                self.queue,
            ),
            *("-O", "fair", "--concurrency", str(concurrency), "--loglevel", "INFO"),
            *("--hostname", f"celery@{name}"),
        )
        dumb_init = str(airflow_environment().programs / "dumb-init")
        process = SupervisedProcess(
            [dumb_init, "--", *(command or celery)],
            log=log,
            environ={
                **self.environment,
                "DUMB_INIT_SETSID": "0",
                "AIRFLOW_HOME": str(self.folder / "airflow"),
                "TMPDIR": str(self.folder),
                "WORKER_POOL": "default",
                "LONGEST_TASK_MINUTES": "20",
                **(fargate if has_ecs else {}),
                **(environment or {}),
            },
        )
        ecs_task = self.ecs.tasks[name]
        named = node or f"celery@{name}"
        worker = Worker(name, log, process, ecs_task, self.client, named)
        self.workers.append(worker)
        return worker

    def send(self, *runs: tuple[str, float], task: str = "hold") -> None:
        """Queue runs of a task: a name, and how many seconds it takes."""
        folder = str(self.folder)
        self.client.ask("send", self.queue, task, *([folder, *run] for run in runs))

    def end(self, *names: str) -> None:
        """Have every run of these tasks end now, and every later one at once."""
        for name in names:
            (self.folder / f"{name}.enough").touch()

    def settle(self) -> None:
        """Give a worker that must not read a message the time to read it."""
        time.sleep(SETTLE_SECONDS)

    def left(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are taken."""
        waiting, taken = self.client.ask("left", self.queue)
        return waiting, taken

    def runs(self, what: str) -> Counter[str]:
        """Return how often each task has ``started`` or ``ended``."""
        return Counter(
            path.name.partition("-")[0] for path in self.folder.glob(f"*.{what}")
        )

    def wait_for_runs(
        self, what: str, count: int, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until as many runs have ``started`` or ``ended``."""
        until(
            lambda: self.runs(what).total() >= count,
            f"{count} runs to have {what}",
            seconds,
        )

    def close(self) -> None:
        for worker in self.workers:
            # A killed dumb-init would leave the rest behind.
            for pid in worker.pids() if worker.process.is_running else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            worker.process.stop()


def stores(
    broker: DatastoreEndpoint, access: BrokerAccess, password: str
) -> dict[str, str]:
    """Return the environment that the tests' processes share."""
    return {
        "PATH": f"{airflow_environment().programs}:{os.defpath}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SSL_CERT_FILE": str(broker.ca_path),
        "BROKER_HOST": "localhost",
        "BROKER_PORT": str(broker.port),
        "BROKER_USER": access.user,
        "BROKER_PASSWORD": password,
        "TRANSPORT_OPTIONS": json.dumps(TRANSPORT_OPTIONS),
    }

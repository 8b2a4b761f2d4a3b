"""Send tasks and remote control to the tests' workers; run by Airflow's Python.

Reads requests as lines of JSON, ``[function, *arguments]``, answers each with one line.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from kombu.exceptions import KombuError
from redis import RedisError

from tests.fargate_runtime.celery_worker.app import app


def send(connection: Any, queue: str, task: str, *runs: list[Any]) -> None:
    """Queue runs of a task, each its arguments."""
    for arguments in runs:
        app.send_task(task, arguments, queue=queue, connection=connection)


def control(connection: Any, command: str, node: str, seconds: float) -> Any:
    """Return what a worker answers to a command, None without an answer."""
    answers = app.control.broadcast(
        command,
        connection=connection,
        destination=[node],
        reply=True,
        timeout=seconds,
        limit=1,
    )
    return answers[0][node] if answers else None


def consume_from(connection: Any, queue: str, node: str) -> None:
    """Tell a worker to consume from a queue, as ``airflow celery add-queue`` does."""
    app.control.add_consumer(queue, connection=connection, destination=[node])


def left(connection: Any, queue: str) -> list[int]:
    """Return how many messages wait in a queue, and how many are taken."""
    client = connection.default_channel.client
    return [client.llen(queue), client.hlen("unacked")]


def patiently(name: str, arguments: list[Any]) -> Any:
    """Call a function with a connection; tests stop the broker, and it breaks."""
    for _ in range(100):
        try:
            with app.connection_for_write() as connection:
                return FUNCTIONS[name](connection, *arguments)
        except (KombuError, OSError, RedisError):
            time.sleep(0.2)
    raise TimeoutError(f"the broker is away, and {name} needs it")


FUNCTIONS = {
    function.__name__: function for function in (send, control, consume_from, left)
}


def main() -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(patiently(name, arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""WorkerNodes that only answer remote control: run in the environment of the image.

Reads JSON objects, one a line: ``{"node": ..., "report": {...} or null}`` adds, changes
or removes a worker. Prints what it is received, as ``command node``.
"""

from __future__ import annotations

import json
import os
import select
import ssl
import sys
from functools import partial
from importlib import import_module
from typing import Any

from fargate_runtime.connections import broker

celery: Any = import_module("celery")


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class WorkerNodes:
    """Any number of nodes on one connection."""

    def __init__(self) -> None:
        self.app = celery.Celery(broker=broker(os.environ), set_as_current=False)
        self.app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
        self.connection = self.app.connection_for_read()
        self.reports: dict[str, Any] = {}
        self.consumers: dict[str, Any] = {}

    def change(self, name: str, report: Any) -> None:
        if report is None:
            self.consumers.pop(name).cancel()
        elif name not in self.consumers:
            node = self.app.control.mailbox.Node(
                name,
                handlers={
                    "scaling_state": partial(self.state, name),
                    "scaling_drain": partial(self.received, "drain", name),
                    "scaling_revive": partial(self.received, "revive", name),
                },
                channel=self.connection.channel(),
            )
            self.consumers[name] = node.listen(callback=node.handle_message)
        self.reports[name] = report
        say("changed", name)

    def state(self, name: str, _: Any, **__: Any) -> Any:
        return self.reports[name]

    def received(self, word: str, name: str, _: Any, **__: Any) -> None:
        """Pass a command on to the test."""
        say(word, name)

    def run(self) -> None:
        waiting = b""
        while True:
            if select.select([0], [], [], 0)[0]:
                read = os.read(0, 1 << 16)
                if not read:
                    return
                *lines, waiting = (waiting + read).split(b"\n")
                for line in lines:
                    received = json.loads(line)
                    self.change(received["node"], received["report"])
            try:
                self.connection.drain_events(timeout=0.05)
            except TimeoutError:
                continue


if __name__ == "__main__":
    WorkerNodes().run()

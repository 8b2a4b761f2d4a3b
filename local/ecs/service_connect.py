"""Service Connect: a TCP proxy for each name, at its own address.

Each connection goes to the next task of the service that is running, and to another one
if that refuses. The proxy speaks TCP, as the templates configure Service Connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence

from local.tcp_proxy import Streams, forward

CONNECT_SECONDS = 2

Address = tuple[str, int]


class ServiceConnectProxy:
    """Forwards connections from one address to the tasks behind it."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; connections end at once until there are targets."""
        self.address = (host, port)
        self._targets: tuple[Address, ...] = ()
        self._turns = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._is_closed = asyncio.Event()
        listener = socket.create_server((host, port), backlog=256)
        self._thread = threading.Thread(
            target=self._run,
            args=[listener],
            name=f"connect-{host}:{port}",
            daemon=True,
        )
        self._thread.start()

    def route_to(self, targets: Sequence[Address]) -> None:
        """Send new connections to these targets."""
        self._targets = tuple(targets)

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._loop.call_soon_threadsafe(self._is_closed.set)
        self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            # The end of the runner cancels what still serves a connection.
            runner.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._connected, sock=listener)
        await self._is_closed.wait()
        server.close()

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        server = await self._connect()
        if server is None:
            writer.close()
            return
        # The end of the runner; Python 3.11 logs a connection that is cancelled.
        with contextlib.suppress(asyncio.CancelledError):
            await forward((reader, writer), server)

    async def _connect(self) -> Streams | None:
        targets = self._targets
        first = next(self._turns)
        for step in range(len(targets)):
            target = targets[(first + step) % len(targets)]
            with contextlib.suppress(OSError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(*target)
        return None

"""Service Connect: a TCP proxy for each name, at an address of its own.

Each connection goes to the next task of the service that is running, and to another
one if that refuses. The proxy speaks TCP, as the templates ask Service Connect to.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence

CHUNK = 65536
CONNECT_SECONDS = 2

Place = tuple[str, int]


class Balancer:
    """Passes connections at one address on to the tasks behind it."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; there is nobody behind it yet."""
        self.place = (host, port)
        self._targets: tuple[Place, ...] = ()
        self._turn = itertools.count()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._listener = socket.create_server((host, port), backlog=256)
        self._thread = threading.Thread(
            target=self._accept, name=f"connect-{host}:{port}", daemon=True
        )
        self._thread.start()

    def lead_to(self, targets: Sequence[Place]) -> None:
        """Send new connections to these."""
        self._targets = tuple(targets)

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._is_closed = True
        # A blocked accept() is only woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            server = self._reach()
            if server is None:
                return
            with server, self._known(client, server):
                _pump(client, server)

    def _reach(self) -> socket.socket | None:
        targets = self._targets
        first = next(self._turn)
        for step in range(len(targets)):
            target = targets[(first + step) % len(targets)]
            with contextlib.suppress(OSError):
                return socket.create_connection(target, CONNECT_SECONDS)
        return None

    @contextlib.contextmanager
    def _known(self, *pair: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.update(pair)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(pair)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until both sides have said all."""
    one.settimeout(None)
    other.settimeout(None)
    with selectors.DefaultSelector() as ready:
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while ready.get_map():
            for key, _ in ready.select():
                source, sink = key.fileobj, key.data
                if not isinstance(source, socket.socket):
                    continue
                try:
                    data = source.recv(CHUNK)
                    if data:
                        sink.sendall(data)
                        continue
                    ready.unregister(source)
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    return

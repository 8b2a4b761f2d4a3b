"""Forwards TCP connections; as a script, a TLS listener for a server without TLS.

``tcp_proxy.py HOST PORT SOCKET CERTIFICATE KEY`` accepts TLS connections and forwards
each to its own connection to ``SOCKET``. The module imports only the standard library,
so that the script starts fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from asyncio import StreamReader, StreamWriter

CHUNK = 65536

Streams = tuple[StreamReader, StreamWriter]

_forwarding: set[asyncio.Task[None] | None] = set()
"""Tasks that forward. Once a client has left, asyncio itself refers to its task weakly,
and the garbage collector would end it before the server has seen the end."""


async def forward(client: Streams, server: Streams) -> None:
    """Copy bytes in both directions until both sides have ended."""
    task = asyncio.current_task()
    _forwarding.add(task)
    try:
        await asyncio.gather(_copy(client[0], server[1]), _copy(server[0], client[1]))
    finally:
        _forwarding.discard(task)
        client[1].close()
        server[1].close()


async def _copy(source: StreamReader, sink: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
            return
    # TLS has no half-closed connections, and a broken one ends as a whole.
    sink.close()


async def serve_tls(
    host: str, port: str, path: str, certificate: str, key: str
) -> None:
    """Accept connections until the process ends."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # ElastiCache speaks 1.2 and 1.3.
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(certificate, key)

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            server = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await forward((reader, writer), server)

    await asyncio.start_server(connected, host, int(port), ssl=tls)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve_tls(*sys.argv[1:]))

"""A TLS listener in front of a server that has none.

``tls_front.py HOST PORT SOCKET CERTIFICATE KEY`` takes TLS connections and hands each
over to a connection of its own to ``SOCKET``. Whichever side ends, ends the other.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from asyncio import StreamReader, StreamWriter

CHUNK = 65536


async def copy(source: StreamReader, sink: StreamWriter) -> None:
    """Hand over everything until the source ends, then end the sink."""
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


async def serve(host: str, port: str, path: str, certificate: str, key: str) -> None:
    """Listen for ever."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # ElastiCache speaks 1.2 and 1.3.
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(certificate, key)

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            back_reader, back_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back_writer), copy(back_reader, writer))

    server = await asyncio.start_server(connected, host, int(port), ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))

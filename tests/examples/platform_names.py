"""The two host names by which frameworks know the platform, served over TLS before the sandbox."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bot_core.sandbox import Sandbox
from tests.fakes.tls import PrivateCA

__all__ = ("NAMES_LEAD_HERE", "PLATFORM", "platform_names")

PLATFORM = ("api.sgroup.qq.com", "bots.qq.com")
# The beginning of a program for which these names lead to the port that is its first argument, as lines in the hosts
# file would do it.
NAMES_LEAD_HERE = f"""
import socket, sys
resolve = socket.getaddrinfo
def getaddrinfo(host, port, *rest, **more):
    if host in {PLATFORM!r}:
        host, port = "127.0.0.1", int(sys.argv[1])
    return resolve(host, port, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


@asynccontextmanager
async def platform_names(sandbox: Sandbox, tls: PrivateCA) -> AsyncIterator[int]:
    """Serve the platform's host names over TLS, before the sandbox; give the port."""
    target = urlsplit(sandbox.api_base)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.cert_file, tls.key_file)

    async def pump(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                drain.write(piece)
                await drain.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # whoever hangs up first
        finally:
            drain.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]

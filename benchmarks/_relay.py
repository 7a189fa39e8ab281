"""A stretch of network between a bot and the sandbox, that is not there at first, or swallows answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from urllib.parse import urlsplit

__all__ = ("Relay", "free_port")


def free_port(*, as_long_as: int = 0) -> int:
    """Return a port where nobody listens, with as many digits as this one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if not as_long_as or len(str(port)) == len(str(as_long_as)):
            return port


class Relay:
    """Passes connections on, once it is open.

    Attributes:
        url: Where to connect to.
        swallow: So many answers are cut off, as if the network had failed behind the request.
    """

    def __init__(self, target: str, *, instead: tuple[int, int] | None = None) -> None:
        """Take the address to pass on to; ``instead=(a, b)`` tells port `b` where an answer says `a`."""
        parts = urlsplit(target)
        assert parts.port is not None
        self._port = free_port()
        self._target = (parts.hostname, parts.port)
        self._instead = instead
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = parts._replace(netloc=f"{parts.hostname}:{self._port}").geturl()
        self.swallow = 0

    @property
    def port(self) -> int:
        """Where it listens, or will."""
        return self._port

    async def open(self, *, port: int | None = None) -> None:
        """Be there from now on."""
        self._port = port or self._port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Cut all connections."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, up_writer}
            try:
                await asyncio.gather(self._pass(reader, up_writer), self._pass(up_reader, writer, answers=True))
            finally:
                for one in (writer, up_writer):
                    self._writers.discard(one)
                    one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        while chunk := await reader.read(65536):
            if answers and self.swallow:
                self.swallow -= 1
                break
            if answers and self._instead:
                before, after = (f":{port}/".encode() for port in self._instead)
                chunk = chunk.replace(before, after)
            writer.write(chunk)
            await writer.drain()
        writer.close()

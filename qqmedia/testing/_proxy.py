"""A TCP proxy that stalls, refuses, cuts, delays and answers in the server's place, when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

__all__ = ("FaultyProxy", "faulty_proxy")

_PIECE_BYTES: Final = 16 * 1024
# A client that still sends while it has its answer already must be let finish, or it sees a reset and no answer.
_DRAIN_SECONDS: Final = 2.0
_LAST_TURNS: Final = 5
_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # closing sends a reset


@dataclass(slots=True)
class _Healthy:
    """Passes everything on."""


@dataclass(slots=True)
class _Stall:
    """Takes connections and nothing else."""


@dataclass(slots=True)
class _Cut:
    """Resets a connection when so many bytes went to the server."""

    after_bytes: int


@dataclass(slots=True)
class _Delay:
    """Passes each piece on so much later."""

    seconds: float

    async def wait(self) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(slots=True)
class _Hold:
    """Passes each piece of a client on when it is told to, or when it has waited for too long."""

    most_seconds: float
    waiting: int = 0
    in_time: bool = True
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await asyncio.wait_for(self.told.wait(), self.most_seconds)
        except TimeoutError:
            self.in_time = False
        finally:
            self.waiting -= 1


@dataclass(slots=True)
class _Answer:
    """Answers the next requests itself; `None`: all of them."""

    status: int
    times: int | None


_Fault: TypeAlias = _Healthy | _Stall | _Cut | _Delay | _Hold | _Answer
_Pause: TypeAlias = Callable[[], Awaitable[None]]


class FaultyProxy:
    """Stands between a driver and its server; made by `faulty_proxy`.

    It runs in a thread of its own, so that it works while a driver blocks the event loop. A fault holds from when the
    call returns until the next one; connections that are open then are closed.

    Attributes:
        url: What the driver is to use as the server's address: the same scheme and path, another port, and 127.0.0.1
            where the server's own name is not one of loopback.
        connections: How many were taken since the last fault was set.
    """

    def __init__(self, upstream_url: str) -> None:
        self._upstream = urlsplit(upstream_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qqmedia faulty proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._welcoming = False
        self._fault: _Fault = _Healthy()
        self._open: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        """The proxy's address."""
        host = self._upstream.hostname or ""
        # Names of loopback are kept: a signature or a virtual host may depend on them.
        keeps = host == "localhost" or host.endswith(".localhost")
        return self._upstream._replace(netloc=f"{host if keeps else '127.0.0.1'}:{self._port}").geturl()

    async def heal(self) -> None:
        """Pass everything on again."""
        await self._set(_Healthy())

    async def refuse(self) -> None:
        """Refuse connections, as a server does that is not there."""
        await self._call(self._refuse())

    async def stall(self) -> None:
        """Take connections, and never read nor answer."""
        await self._set(_Stall())

    async def cut(self, *, after_bytes: int = 0) -> None:
        """Reset each connection when so many bytes went through it to the server."""
        await self._set(_Cut(after_bytes))

    async def delay(self, seconds: float) -> None:
        """Hold back each piece (of at most 16 KiB), in both directions."""
        await self._set(_Delay(seconds))

    async def hold(self, *, most_seconds: float) -> None:
        """Hold back each piece that is sent to the server until `let_go`, or for so long."""
        await self._set(_Hold(most_seconds))

    @property
    def holding(self) -> bool:
        """Whether `hold` keeps something back now."""
        return isinstance(self._fault, _Hold) and self._fault.waiting > 0

    async def let_go(self) -> bool:
        """Pass on what `hold` keeps back now, and return whether it never had to wait for too long."""
        fault = self._fault
        if not isinstance(fault, _Hold):
            return True
        await self._call(self._let_go(fault))
        return fault.in_time

    async def answer(self, status: int, *, times: int | None = None) -> None:
        """Answer the next requests with this HTTP status, all of them where `times` is `None`; then pass on.

        Only for servers without TLS.
        """
        await self._set(_Answer(status, times))

    # --- life

    def _start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def _stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def _set(self, fault: _Fault) -> None:
        await self._call(self._change(fault))

    # --- in the proxy's own thread

    async def _listen(self) -> None:
        if self._server is None:
            self._welcoming = True
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _change(self, fault: _Fault) -> None:
        self._fault, self.connections = fault, 0
        await self._hang_up()
        await self._listen()

    @staticmethod
    async def _let_go(fault: _Hold) -> None:
        fault.told.set()
        fault.told = asyncio.Event()

    async def _refuse(self) -> None:
        self.connections = 0
        await self._close()

    async def _close(self) -> None:
        self._welcoming = False
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._hang_up()

    async def _end(self) -> None:
        await self._close()
        for _ in range(_LAST_TURNS):  # what was being accepted or closed comes to its end
            await asyncio.sleep(0)

    async def _hang_up(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # sockets are closed one turn later

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._welcoming:  # it was accepted just before
            writer.close()
            return
        task = self._loop.create_task(self._serve(reader, writer), name="qqmedia faulty proxy connection")
        self._open.add(task)  # ended by `_hang_up`
        task.add_done_callback(self._open.discard)
        task.add_done_callback(lambda _: writer.close())  # even where it was cancelled before it began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._fault
        self.connections += 1
        with contextlib.suppress(OSError, EOFError):
            if isinstance(fault, _Answer) and fault.times != 0:
                await self._answer(fault, reader, writer)
            elif isinstance(fault, _Stall):
                await asyncio.Event().wait()
            else:
                await self._pass_on(fault, reader, writer)

    async def _answer(self, fault: _Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if fault.times is not None:
            fault.times -= 1
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {fault.status} Told to\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await reader.read(_PIECE_BYTES):
                    pass

    async def _pass_on(self, fault: _Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = fault.after_bytes if isinstance(fault, _Cut) else None
        if limit == 0:
            _reset(writer)
            return
        port = self._upstream.port or (443 if self._upstream.scheme == "https" else 80)
        up_reader, up_writer = await asyncio.open_connection(self._upstream.hostname, port)
        before = fault.wait if isinstance(fault, _Delay | _Hold) else None
        back = fault.wait if isinstance(fault, _Delay) else None
        pumps = [
            asyncio.ensure_future(_pump(reader, up_writer, before, limit)),
            asyncio.ensure_future(_pump(up_reader, writer, back, None)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if limit is not None and pumps[0] in done:
                _reset(writer)
                _reset(up_writer)
            elif pumps[1] not in done:
                await pumps[1]  # the client has said all; the answer may still come
        finally:
            up_writer.close()  # first: a second cancel would end what is awaited below
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: _Pause | None, limit: int | None
) -> None:
    passed = 0
    while limit is None or passed < limit:
        piece = await reader.read(_PIECE_BYTES if limit is None else min(_PIECE_BYTES, limit - passed))
        if not piece:
            with contextlib.suppress(OSError):
                writer.write_eof()
            return
        if pause:
            await pause()
        writer.write(piece)
        await writer.drain()
        passed += len(piece)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    writer.transport.abort()


@asynccontextmanager
async def faulty_proxy(upstream_url: str) -> AsyncIterator[FaultyProxy]:
    """Put a proxy before the server at this URL, until the block ends."""
    proxy = FaultyProxy(upstream_url)
    await asyncio.to_thread(proxy._start)  # noqa: SLF001 - the two are one thing
    try:
        yield proxy
    finally:
        await asyncio.to_thread(proxy._stop)  # noqa: SLF001

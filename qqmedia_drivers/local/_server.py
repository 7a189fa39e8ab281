"""One HTTP server over one folder, and the registry that lends it to every driver which names its port."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import web
from aiohttp.http import HttpProcessingError

from qqmedia import ConfigurationError, StorageUnavailableError, Upload
from qqmedia.threads import Threads
from qqmedia_drivers.local._batches import Batches
from qqmedia_drivers.local._box import Box, ServerOptions
from qqmedia_drivers.local._folder import Folder, Stop, WriteStopped
from qqmedia_drivers.local._http import Handler, RecentBytes
from qqmedia_drivers.local._kept import keep
from qqmedia_drivers.local._names import object_name
from qqmedia_drivers.local._ports import bind_shared, join

__all__ = ("LocalServer", "lent_server", "warn_once")

# Writing this much takes about as long as a trip to a thread; more of them share one trip.
_SHORT_BYTES: Final = 1024 * 1024
# For how long running downloads may go on when the last driver is closed.
_SHUTDOWN_SECONDS: Final = 1.0
# An idle connection is kept this long: the platform does not come back on it.
_KEEPALIVE_SECONDS: Final = 20.0
# How often a process that could not listen looks whether the one before it is gone.
_TAKE_OVER_SECONDS: Final = 0.5

T = TypeVar("T")
logger = logging.getLogger("qqmedia_drivers.local")


def _http_logger() -> logging.Logger:
    """Return the logger for aiohttp: what scanners of the internet send must not fill a bot's log with tracebacks."""
    http_logger = logging.getLogger("qqmedia_drivers.local.http")
    http_logger.addFilter(_is_no_gibberish)  # the same function each time: it is added once
    return http_logger


def _is_no_gibberish(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class LocalServer:
    """Stores uploads in a folder and serves them; made by `start`, ended by `stop`.

    Attributes:
        options: As they came out: with the port that was got.
    """

    def __init__(self, options: ServerOptions, box: Box, tls: ssl.SSLContext | None, threads: Threads) -> None:
        self.options = options
        self._tls = tls
        self._threads = threads
        self._folder = Folder(options, box)
        self._recent = RecentBytes()
        self._short = Batches(threads)
        handler = Handler(self._folder, self._recent, threads, options.resource_path)
        self._runner = web.ServerRunner(
            web.Server(handler, access_log=None, logger=_http_logger(), keepalive_timeout=_KEEPALIVE_SECONDS),
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        self._successor: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, options: ServerOptions, tls: ssl.SSLContext | None, state_dir: Path) -> LocalServer:
        """Join the folder, take the port and serve.

        Raises:
            ConfigurationError: Another process serves the port with other options, or `host` is wrong.
            StorageError: The port is taken by another program, or the folder cannot be used.
        """
        threads = Threads()
        joined = threads.submit(join, options, state_dir)
        try:
            box, listener, options = await asyncio.shield(asyncio.wrap_future(joined))
        except asyncio.CancelledError:
            threads.submit(_undo, joined)
            threads.close(WriteStopped)
            raise
        except BaseException:
            threads.close(WriteStopped)
            raise
        server = cls(options, box, tls, threads)
        try:
            await server._serve(listener)
        except BaseException:
            await server.stop()
            raise
        return server

    async def put(self, owner: object, upload: Upload, clock: Callable[[], float]) -> str:
        """Store the upload for the owner and return the name under which it is served."""
        name = object_name(upload)
        stop = Stop()
        write = partial(self._folder.put, owner, name, upload, clock, stop)
        if upload.lasts:
            write = partial(keep, self.options.resource_path, name, upload, stop)
        try:
            await (self._short.run(write) if upload.size <= _SHORT_BYTES else self.in_thread(write))
        except WriteStopped as error:
            raise StorageUnavailableError("the server is being closed") from error
        finally:
            stop.asked = True
        if isinstance(upload.content, bytes) and not upload.lasts:
            self._recent.add(name, upload.content)
        return name

    async def release(self, owner: object, name: str) -> None:
        """Give up the owner's claim; the object goes when nobody else has one."""
        await self.in_thread(self._folder.release, owner, name)
        if name not in self._folder.objects:
            self._recent.discard(name)

    async def release_all(self, owner: object) -> None:
        """Give up every claim of the owner."""
        await self.in_thread(self._folder.release_all, owner)

    async def stop(self) -> None:
        """Stop serving and remove what was stored; downloads that run get a second."""
        try:
            if self._successor is not None:
                self._successor.cancel()
                await asyncio.wait([self._successor])
            await self._runner.cleanup()
        finally:
            await self._threads.finish(self._folder.close, WriteStopped)

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function that touches the disk or the network's settings in a thread."""
        return await self._threads.start(function, *arguments)

    async def _serve(self, listener: socket.socket | None) -> None:
        await self._runner.setup()
        if listener is not None:
            await self._listen(listener)
            return
        logger.info(
            "port %d is served by another process on the same folder; this one takes over when that ends",
            self.options.port,
        )
        self._successor = asyncio.create_task(self._take_over(), name=f"qqmedia-local {self.options.port} successor")

    async def _listen(self, listener: socket.socket) -> None:
        await web.SockSite(self._runner, listener, ssl_context=self._tls).start()
        logger.info("serving %s on %s port %d", self.options.resource_path, self.options.host, self.options.port)

    async def _take_over(self) -> None:
        while True:
            await asyncio.sleep(_TAKE_OVER_SECONDS)
            try:
                listener = await self.in_thread(bind_shared, self.options)
            except OSError as error:
                logger.warning("port %d cannot be taken over yet: %s", self.options.port, error)
                continue
            if listener is not None:
                await self._listen(listener)
                return


class _Entry:
    """A server that is lent, or about to be started or stopped (whoever does that holds `lock`)."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.server: LocalServer | None = None

    def is_idle(self) -> bool:
        return not self.users


class _Registry:
    """The servers of this process, by event loop and port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # event loops may run in several threads
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Entry]]
        self._loops = weakref.WeakKeyDictionary()
        self._said: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[str]] = weakref.WeakKeyDictionary()

    def of_this_loop(self) -> dict[int, _Entry]:
        with self._lock:
            return self._loops.setdefault(asyncio.get_running_loop(), {})

    def is_new(self, text: str) -> bool:
        with self._lock:
            said = self._said.setdefault(asyncio.get_running_loop(), set())
            new = text not in said
            said.add(text)
            return new


# Process-wide, since a port belongs to the process (ARCHITECTURE, decision 6).
_registry: Final = _Registry()


def warn_once(text: str) -> None:
    """Log a warning, unless this event loop had it before: five bots on one port need not say it five times."""
    if _registry.is_new(text):
        logger.warning("%s", text)


@asynccontextmanager
async def lent_server(
    options: ServerOptions, tls: ssl.SSLContext | None, state_dir: Path
) -> AsyncIterator[LocalServer]:
    """Lend the server of this port; the first borrower starts it, the last one stops it.

    Port 0 is a server of one's own, which others may then share by naming the port that it got.

    Raises:
        ConfigurationError: It runs with other options, or as `LocalServer.start`.
        StorageError: As `LocalServer.start`.
    """
    entries = _registry.of_this_loop()
    entry = entries.setdefault(options.port, _Entry()) if options.port else _Entry()
    entry.users += 1
    try:
        yield await _borrow(entries, entry, options, tls, state_dir)
    finally:
        entry.users -= 1
        await _give_back(entries, entry, options.port)


async def _borrow(
    entries: dict[int, _Entry],
    entry: _Entry,
    options: ServerOptions,
    tls: ssl.SSLContext | None,
    state_dir: Path,
) -> LocalServer:
    async with entry.lock:
        if entry.server is None:
            entry.server = await LocalServer.start(options, tls, state_dir)
            entries[entry.server.options.port] = entry
        elif options.port and (differences := options.differences(entry.server.options)):
            raise ConfigurationError(
                f"port {options.port} is already served by this process with other options: {differences}; "
                "give both the same options, or another port"
            )
        return entry.server


async def _give_back(entries: dict[int, _Entry], entry: _Entry, port: int) -> None:
    if not entry.is_idle():
        return
    async with entry.lock:
        if entry.is_idle() and entry.server is not None:  # nobody came while the lock was waited for
            server, entry.server = entry.server, None
            port = server.options.port
            await server.stop()
    if entry.is_idle() and entries.get(port) is entry:  # nobody came meanwhile
        del entries[port]


def _undo(joined: Future[tuple[Box, socket.socket | None, ServerOptions]]) -> None:
    """Give back what `join` got, or is about to get, for somebody who was cancelled meanwhile."""
    if joined.exception() is not None:
        return
    box, listener, _ = joined.result()
    if listener is not None:
        listener.close()
    box.close()

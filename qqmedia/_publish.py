"""Second half of the way: from what will be sent to where it can be fetched."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from qqmedia._breaker import Breaker
from qqmedia._context import Clock
from qqmedia._expiry import Expiry
from qqmedia._policy import LONGEST_TTL
from qqmedia._puts import OpenDriver
from qqmedia._reach import is_url, reach_of
from qqmedia.errors import DriverBrokenError, MediaSourceError, QQMediaError, StorageError
from qqmedia.media import LASTING, HostedMedia, MediaKind, Reach, Upload, Workspace
from qqmedia.plugins import Answerer, Plugins

__all__ = ("Publisher",)

_REMEMBERED: Final = 10_000  # URLs, some 300 bytes each
_KEPT: Final = "kept/"  # in front of the keys of what is stored for good
_CLOSE_SECONDS: Final = 5.0  # for drivers to clean up a put that is cancelled
_REACHES: Final = (Reach.PUBLIC, Reach.UNKNOWN, Reach.PRIVATE)  # the best first

logger = logging.getLogger("qqmedia.host")


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where an object stands; without its content."""

    url: str | None
    reach: Reach
    expires_at: float | None


@dataclass(slots=True)
class _Flight:
    """A put that is under way, and those who wait for it."""

    task: asyncio.Task[_Stored]
    waiters: list[asyncio.Future[_Stored]] = field(default_factory=list)

    def tell(self) -> None:
        """Tell them what came of it: one callback for all, where `asyncio.shield` takes two for each."""
        task = self.task
        error = None if task.cancelled() else task.exception()
        for waiter in self.waiters:
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(task.result())


class Publisher:
    """Asks plugins, then drivers; stores the same thing once; takes it down when its time is up.

    Attributes:
        listened: Whether some plugin wants to know what is put and taken down.
    """

    def __init__(
        self,
        drivers: Sequence[OpenDriver],
        plugins: Plugins,
        *,
        clock: Clock,
        platform_on_loopback: bool,
        reprepare: Callable[[Upload, bytes, str], Awaitable[Upload]],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._drivers = drivers
        self._plugins = plugins
        self._clock = clock
        self._platform_on_loopback = platform_on_loopback
        self._reprepare = reprepare
        self._in_thread = in_thread
        self._answerers = {kind: plugins.answerers(kind) for kind in MediaKind}
        self.listened = plugins.are_told
        self._shelves = [_Shelf(driver, self) for driver in drivers]
        self._closing = False

    @property
    def reach(self) -> Reach:
        """The best of what the drivers reach."""
        if len(self._drivers) == 1:  # as a rule, and asked for with every medium
            return self._drivers[0].reach
        reaches = {driver.reach for driver in self._drivers}
        return next(reach for reach in _REACHES if reach in reaches)

    @property
    def idle(self) -> bool:
        """Whether some driver hosts nothing for now, and has told why."""
        return any(driver.idle for driver in self._drivers)

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """What the URLs of drivers begin with that serve from this very machine."""
        return tuple(driver.own_address for driver in self._drivers if driver.own_address)

    async def publish(self, upload: Upload) -> HostedMedia:
        """Return where it can be fetched.

        Raises:
            StorageError: No driver could store it; the last one's error.
        """
        if answerers := self._answerers[upload.kind]:
            answer = await self._ask(answerers, upload)
            if answer is not None:
                return answer
        for shelf in self._shelves[:-1]:
            if (hosted := await self._unless_resting(shelf, upload)) is not None:
                return hosted
        return await self._shelves[-1].publish(upload)  # never passed over: its error is the answer

    async def keep(self, upload: Upload) -> HostedMedia:
        """Return where it can be fetched for good, or for as long as the first driver that stores it can promise.

        Raises:
            StorageError: No driver could store it; the last one's error.
        """
        failed: StorageError | DriverBrokenError | None = None
        nowhere = HostedMedia(url=None, upload=upload, reach=Reach.PRIVATE, expires_at=None, driver="")
        for shelf in self._shelves:
            try:
                hosted = await shelf.keep(upload)
            except (StorageError, DriverBrokenError) as error:
                failed = error
                continue
            if hosted.url is not None:
                return hosted
            nowhere = hosted
        if failed is not None:
            raise failed
        return nowhere

    async def _unless_resting(self, shelf: _Shelf, upload: Upload) -> HostedMedia | None:
        if (known := shelf.known(upload)) is not None:
            return known
        breaker = shelf.breaker
        if not breaker.admits():
            return None
        try:
            hosted = await shelf.publish(upload)
        except (StorageError, DriverBrokenError) as error:
            breaker.failed(error)
            return None
        except BaseException:
            breaker.gave_up()
            raise
        breaker.worked()
        return hosted

    async def aclose(self) -> None:
        """End what is under way; nothing is deleted."""
        self._closing = True
        for shelf in self._shelves:
            await shelf.aclose()

    @property
    def closing(self) -> bool:
        """Whether the host is being closed."""
        return self._closing

    def judged(self, url: str | None, reach: Reach) -> Reach:
        """Say who can fetch this URL of a driver with that reach."""
        if url is None:
            return Reach.PRIVATE
        return reach if reach is not Reach.UNKNOWN else self._reach_of(url)

    def now(self) -> float:
        """Return the time of the host's clock."""
        return self._clock.time()

    def expiry(self, expire: Callable[[str], Awaitable[None]]) -> Expiry:
        """Make an expiry that goes by the host's clock."""
        return Expiry(self._clock, expire)

    def announce(self, media: HostedMedia, *, up: bool) -> None:
        """Tell the plugins."""
        (self._plugins.published if up else self._plugins.unpublished)(media)

    def _reach_of(self, url: str) -> Reach:
        return reach_of(url, platform_on_loopback=self._platform_on_loopback)

    async def _ask(self, answerers: Sequence[Answerer], upload: Upload) -> HostedMedia | None:
        medium = await self._as_hooks_take_it(upload)
        for answerer in answerers:
            answer = await _answer(answerer, upload.kind, medium)
            match answer:
                case None | "" | b"":
                    continue
                case str() if is_url(answer):
                    reach = self._reach_of(answer)
                    return HostedMedia(url=answer, upload=upload, reach=reach, expires_at=None, driver=answerer.name)
                case bytes():
                    changed = await self._reprepare(upload, answer, f"answered by {answerer.name}")
                    return HostedMedia(
                        url=None, upload=changed, reach=Reach.PRIVATE, expires_at=None, driver=answerer.name
                    )  # fmt: skip
                case _:
                    raise DriverBrokenError(
                        f"plugin {answerer.name!r} answered get_{upload.kind} with {answer!r:.80};"
                        " expected an http(s) URL, bytes or None"
                    )
        return None

    async def _as_hooks_take_it(self, upload: Upload) -> bytes | str:
        if upload.kind is MediaKind.IMAGE:
            if isinstance(upload.content, bytes):
                return upload.content
            content: bytes = await self._in_thread(upload.read)
            return content
        if isinstance(upload.content, Path):
            return str(upload.content)
        path: str = await self._in_thread(_write, upload)
        return path


class _Shelf:
    """What one driver holds, as far as this host knows."""

    def __init__(self, driver: OpenDriver, publisher: Publisher) -> None:
        self.breaker = Breaker(driver.name, publisher.now)
        self._driver = driver
        self._publisher = publisher
        self._known: OrderedDict[str, _Stored] = OrderedDict()  # the oldest first
        # What will be taken down, as plugins are told of it: without content, and `None` where none wants to know.
        self._ours: dict[str, HostedMedia | None] = {}
        self._flights: dict[str, _Flight] = {}
        self._deleting: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[_Stored]] = set()  # flights, abandoned ones too; ended in `aclose`
        self._expiry = publisher.expiry(self._take_down)
        self._told = False  # that it does not keep for good

    async def publish(self, upload: Upload) -> HostedMedia:
        stored = self._good(upload) or await self._board(upload)
        return self._hosted(upload, stored)

    async def keep(self, upload: Upload) -> HostedMedia:
        """Store it under a key of its own, so that the one that is to expire can go."""
        ttl = LASTING if self._driver.keeps else timedelta(seconds=LONGEST_TTL)
        hosted = await self.publish(replace(upload, key=f"{_KEPT}{upload.key}", ttl=ttl))
        if hosted.url is not None and hosted.expires_at is not None and not self._told:
            self._told = True
            logger.warning(
                "driver %r does not keep media for good: %s and others answer for %d days only (said once); public URLs"
                " last (url=public), where a driver has them", self._driver.name, hosted.url.partition("?")[0], ttl.days
            )  # fmt: skip
        return hosted

    def known(self, upload: Upload) -> HostedMedia | None:
        stored = self._good(upload)
        return None if stored is None else self._hosted(upload, stored)

    async def aclose(self) -> None:
        await self._expiry.aclose()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)

    def _good(self, upload: Upload) -> _Stored | None:
        """Return what is known, if at least half of its time remains."""
        stored = self._known.get(upload.key)
        if stored is None or stored.expires_at is None:
            return stored
        remaining = stored.expires_at - self._publisher.now()
        return stored if remaining >= upload.ttl.total_seconds() / 2 else None

    async def _board(self, upload: Upload) -> _Stored:
        """Wait for the put of this key, and begin it if nobody has."""
        while True:
            flight, leads = self._flights.get(upload.key), False
            if flight is None:
                flight, leads = self._take_off(upload), True
            told: asyncio.Future[_Stored] = asyncio.get_running_loop().create_future()
            flight.waiters.append(told)
            try:
                return await told
            except asyncio.CancelledError:
                if flight.task.cancelled() and self._publisher.closing:
                    raise QQMediaError(f"the media host was closed while {upload.key} was being stored") from None
                raise
            except MediaSourceError:
                if leads:
                    raise
                # Whoever began is gone, and his temporary file with him: begin again, with our own.
            finally:
                flight.waiters.remove(told)
                if not flight.waiters and not flight.task.done():
                    self._forget(upload.key, flight)
                    flight.task.cancel()
                # An error's traceback holds this frame: with these in it, it would keep itself, and the content, alive.
                del told, flight

    def _take_off(self, upload: Upload) -> _Flight:
        task = asyncio.create_task(self._store(upload), name=f"qqmedia put {upload.key}")
        flight = self._flights[upload.key] = _Flight(task)
        self._tasks.add(task)

        def landed(task: asyncio.Task[_Stored]) -> None:
            self._tasks.discard(task)
            self._forget(upload.key, flight)
            flight.tell()

        task.add_done_callback(landed)
        return flight

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _store(self, upload: Upload) -> _Stored:
        if (gone := self._deleting.get(upload.key)) is not None:
            await gone.wait()
        url = await self._driver.find(upload)
        found = url is not None
        if not found:
            url = await self._driver.put(upload)
        expires_at = self._publisher.now() + upload.ttl.total_seconds()
        until = None if url is None or upload.lasts else expires_at
        stored = _Stored(url, self._publisher.judged(url, self._driver.reach), until)
        if url is None:
            return stored
        self._remember(upload.key, stored)
        listened = self._publisher.listened
        if until is not None and self._driver.can_delete and (not found or upload.key in self._ours):
            self._ours[upload.key] = self._hosted(_without_content(upload), stored) if listened else None
            self._expiry.set(upload.key, expires_at)
        if not found and listened:
            self._publisher.announce(self._hosted(upload, stored), up=True)
        return stored

    def _remember(self, key: str, stored: _Stored) -> None:
        self._known[key] = stored
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _hosted(self, upload: Upload, stored: _Stored) -> HostedMedia:
        until = None if stored.expires_at is None else datetime.fromtimestamp(stored.expires_at, UTC)
        return HostedMedia(
            url=stored.url, upload=upload, reach=stored.reach, expires_at=until, driver=self._driver.name
        )  # fmt: skip

    async def _take_down(self, key: str) -> None:
        if key in self._flights:  # it is being stored again, which extends its life; if that fails, look again soon
            self._expiry.set(key, self._publisher.now() + 1.0)
            return
        media = self._ours.pop(key)
        self._known.pop(key, None)
        done = self._deleting[key] = asyncio.Event()
        try:
            await self._driver.delete(key)
        except StorageError as error:
            logger.warning("%s; it stays there", error)
            return
        finally:
            del self._deleting[key]
            done.set()
        if media is not None:
            self._publisher.announce(media, up=False)


async def _answer(answerer: Answerer, kind: MediaKind, medium: bytes | str) -> object:
    """Ask one of them; what a stranger's code raises is told with its name, and lets the bytes go up."""
    try:
        answer = answerer.ask(medium)
        return await answer if inspect.isawaitable(answer) else answer
    except QQMediaError:
        raise
    except Exception as error:
        raise DriverBrokenError(
            f"plugin {answerer.name!r} failed in get_{kind}: {type(error).__name__}: {error};"
            " QQMEDIA_BLOCK keeps an installed plugin out"
        ) from error


def _without_content(upload: Upload) -> Upload:
    return replace(upload, content=b"", stamp=None, workspace=Workspace())


def _write(upload: Upload) -> str:
    path = upload.workspace.file(f".{upload.key.rpartition('.')[2]}")
    path.write_bytes(upload.read())
    return str(path)

"""One put through one driver: bounded, limited in time, tried again where that can help, and told in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final, TypeVar

import stamina

from qqmedia._limits import idle_limit, total_seconds
from qqmedia._policy import HostPolicy
from qqmedia._reach import is_url
from qqmedia.driver import Driver, SupportsDelete, SupportsFind, SupportsKeep, SupportsReach
from qqmedia.errors import (
    DriverBrokenError,
    QQMediaError,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia.media import Reach, Upload

__all__ = ("OpenDriver",)

_LONGEST_PAUSE_FACTOR: Final = 20
_OURS: Final = StorageError.__module__

T = TypeVar("T")
logger = logging.getLogger("qqmedia.host")
# Set while stamina learns that a try of ours failed, and at no other time.
_said_already: ContextVar[bool] = ContextVar("qqmedia_said_already", default=False)


def _is_of_others(_record: logging.LogRecord) -> bool:
    return not _said_already.get()


# For every retry stamina says "stamina.retry_scheduled"; our own line says more. Its hooks and its logger belong to the
# whole process: this takes out what is said of our retries, and nothing of anybody else's.
logging.getLogger("stamina").addFilter(_is_of_others)


class OpenDriver:
    """A driver while it is open, as the host uses it."""

    def __init__(self, name: str, driver: Driver, policy: HostPolicy, slots: asyncio.Semaphore) -> None:
        self.name = name
        self._driver = driver
        self._policy = policy
        self._slots = slots
        self._finder = driver if isinstance(driver, SupportsFind) else None
        self._deleter = driver if isinstance(driver, SupportsDelete) else None
        self._keeper = driver if isinstance(driver, SupportsKeep) else None
        self._reacher = driver if isinstance(driver, SupportsReach) else None

    @property
    def reach(self) -> Reach:
        """Who can fetch what it hosts."""
        return self._reacher.reach if self._reacher else Reach.UNKNOWN

    @property
    def idle(self) -> bool:
        """Whether it hosts nothing for now, and has told why."""
        return bool(getattr(self._driver, "idle", False))

    @property
    def keeps(self) -> bool:
        """Whether it can store for good."""
        return self._keeper is not None and self._keeper.keeps

    @property
    def own_address(self) -> str | None:
        """What its URLs begin with, where it serves from this very machine."""
        return getattr(self._driver, "own_address", None)

    @property
    def can_delete(self) -> bool:
        """Whether objects can be taken down."""
        return self._deleter is not None

    async def find(self, upload: Upload) -> str | None:
        """Return the URL of an object that is already there; a fault counts as "not there", for `put` will meet it."""
        if self._finder is None:
            return None
        async with self._slots:
            try:
                async with asyncio.timeout(self._policy.put_timeout):
                    url = await self._finder.find(upload)
            except (StorageError, TimeoutError) as error:
                logger.debug("driver %r could not look for %s: %s", self.name, upload.key, error)
                return None
            except QQMediaError:
                raise
            except Exception as error:
                raise self._translated(error, f"could not look for {upload.key}") from error
        return self._checked(url)

    async def put(self, upload: Upload) -> str | None:
        """Store the upload and return its URL, or `None` where nothing is hosted.

        Raises:
            StorageError: In the driver's own class, with the names of driver and object, and what to change.
        """
        async with self._slots:
            total = total_seconds(self._policy.put_timeout, upload.size)
            try:
                # Beside the limit of each try: a driver that tidies up after that one must not do so for ever.
                async with asyncio.timeout(total):
                    url = await self._put_with_retries(upload)
            except TimeoutError as error:
                raise self._too_slow(f"store {upload.key}", total) from error
            except StorageError as error:
                raise self._translated(error, f"could not store {upload.key}") from error
        return self._checked(url)

    async def delete(self, key: str) -> None:
        """Take the object down.

        Raises:
            StorageError: As `put`.
        """
        if self._deleter is None:
            return
        try:
            async with asyncio.timeout(self._policy.put_timeout):
                await self._deleter.delete(key)
        except Exception as error:
            raise self._translated(error, f"could not delete {key}") from error

    async def _put_with_retries(self, upload: Upload) -> str | None:
        try:
            return await self._put_once(upload)  # as a rule that is all, and what stamina keeps costs as much
        except StorageError as error:
            if not error.may_pass:
                raise
            first = error
        return await self._again(first, lambda: self._put_once(upload))

    async def _put_once(self, upload: Upload) -> str | None:
        seconds = self._policy.put_timeout
        watched, limit = idle_limit(upload, seconds)
        try:
            async with limit:
                return await self._driver.put(watched)
        except TimeoutError as error:
            raise self._too_slow(f"store {upload.key}", seconds) from error
        except QQMediaError:
            raise
        except Exception as error:
            # A stranger's SDK. As a StorageError it lets the next driver, or the upload of bytes, have its turn.
            raise StorageError(f"{type(error).__name__}: {error} (the driver should raise a StorageError)") from error
        finally:
            del limit  # it holds the task, which holds its error, which holds this frame, and the content with it

    async def _again(self, first: StorageError, call: Callable[[], Awaitable[T]]) -> T:
        """Make the tries that follow the first one, which failed."""
        wait = self._policy.retry_wait
        attempts = stamina.retry_context(
            on=_may_pass,
            attempts=self._policy.retries + 1,
            timeout=None,
            wait_initial=wait,
            wait_max=wait * _LONGEST_PAUSE_FACTOR,
            wait_jitter=wait,
        )
        try:
            async for attempt in attempts:
                _said_already.set(False)  # a driver may use stamina too
                with attempt:
                    try:
                        if attempt.num == 1:
                            raise first
                        return await call()
                    except StorageError as failed:
                        if failed.may_pass and attempt.num <= self._policy.retries:
                            logger.warning("driver %r: %s; trying again (%d)", self.name, failed, attempt.num)
                            _said_already.set(True)
                        raise
        finally:
            _said_already.set(False)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _checked(self, url: object) -> str | None:
        if url is None or (isinstance(url, str) and is_url(url)):
            return url
        raise DriverBrokenError(f"driver {self.name!r} returned {url!r:.80}; expected an absolute http(s) URL or None")

    def _too_slow(self, what: str, seconds: float) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"driver {self.name!r} did not {what} within {seconds:g} s; raise put_timeout (QQMEDIA_HOST_PUT_TIMEOUT)"
            " if the line is slow"
        )

    def _translated(self, error: Exception, what: str) -> StorageError:
        kind = next((one for one in type(error).__mro__ if one.__module__ == _OURS), StorageError)
        if not issubclass(kind, StorageError):
            kind = StorageError
        text = str(error) or type(error).__name__
        if text.startswith(f"driver {self.name!r} "):  # one of ours already
            return kind(text)
        return kind(f"driver {self.name!r} {what}: {text}{self._way_out(kind)}")

    def _way_out(self, kind: type[StorageError]) -> str:
        settings = f"QQMEDIA_{self.name.partition(':')[0].upper().replace('-', '_')}_*"
        match kind():
            case StoragePermissionError():
                return f"; check its credentials ({settings})"
            case StorageMisconfiguredError() | StorageNotFoundError():
                return f"; check its settings ({settings})"
            case StorageQuotaError():
                return "; make room there"
            case StorageUnavailableError():
                return f"; tried {self._policy.retries + 1} times (retries, QQMEDIA_HOST_RETRIES)"
            case _:
                return ""


def _may_pass(error: Exception) -> bool:
    return isinstance(error, StorageError) and error.may_pass

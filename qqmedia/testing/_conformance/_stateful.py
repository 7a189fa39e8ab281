"""A Hypothesis state machine: the driver beside a dict."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

import aiohttp
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from qqmedia.driver import Driver, SupportsDelete, SupportsFind
from qqmedia.media import Upload
from qqmedia.testing._fetching import fetch
from qqmedia.testing._strategies import uploads

__all__ = ("DriverMachine",)

_STEP_SECONDS: Final = 30.0
_NUMBERS: Final = itertools.count(1)

T = TypeVar("T")


class DriverMachine(RuleBasedStateMachine):
    """Puts, finds and deletes in any order; what the store then holds must be what a dict would hold.

    The driver is open in an event loop of another thread, so run this outside of it::

        await asyncio.to_thread(run_state_machine_as_test, lambda: DriverMachine(driver, loop=loop, ...))

    Subclass it to add rules. It cleans up through `remove` after each run.

    Args:
        driver: The driver, open.
        loop: The event loop in which it is.
        client: Fetches URLs, in that loop.
        read: The back door that reads.
        remove: The back door that removes.
    """

    known = Bundle("known")

    def __init__(
        self,
        driver: Driver,
        *,
        loop: asyncio.AbstractEventLoop,
        client: aiohttp.ClientSession,
        read: Callable[[str], Awaitable[bytes | None]],
        remove: Callable[[str], Awaitable[None]],
    ) -> None:
        super().__init__()
        self.driver = driver
        self.model: dict[str, Upload] = {}
        self._loop = loop
        self._client = client
        self._read = read
        self._remove = remove
        self._seen: set[str] = set()
        self._number = next(_NUMBERS)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the driver's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_STEP_SECONDS)

    @initialize(target=known, first=uploads(), second=uploads())
    def think_of(self, first: Upload, second: Upload) -> MultipleResults[Upload]:
        """Have two uploads, so that steps often meet the same one again."""
        # Keys of this run alone: what an earlier one left in a driver's own memory would make failures hard to read.
        return multiple(*(replace(one, key=f"{self._number:08x}{one.key[8:]}") for one in (first, second)))

    # One rule: Hypothesis likes to leave out whole rules, and most runs would never put.
    @rule(upload=known, step=st.sampled_from(("put", "put", "vanish", "delete", "find")))
    def step(self, step: str, upload: Upload) -> None:
        """Put, for the first time or again; remove it behind the driver's back; delete it; find it."""
        match step:
            case "put":
                self.run(self._put(upload))
                self.model[upload.key] = upload
                self._seen.add(upload.key)
            case "vanish":
                self.run(_awaited(self._remove(upload.key)))
                self.model.pop(upload.key, None)
            case "delete" if isinstance(self.driver, SupportsDelete):
                self.run(_awaited(self.driver.delete(upload.key)))
                self.model.pop(upload.key, None)
            case "find" if isinstance(self.driver, SupportsFind):
                url = self.run(_awaited(self.driver.find(upload)))
                assert (url is not None) == (upload.key in self.model), f"find({upload.key!r}) returned {url!r}"

    @invariant()
    def holds_what_a_dict_holds(self) -> None:
        """Look through the back door."""
        for key in self._seen:
            stored = self.run(_awaited(self._read(key)))
            expected = self.model.get(key)
            assert stored == (expected.read() if expected else None), f"the store holds something else under {key!r}"

    def teardown(self) -> None:
        """Remove what this run stored."""
        for key in self._seen:
            self.run(_awaited(self._remove(key)))

    async def _put(self, upload: Upload) -> None:
        url = await self.driver.put(upload)
        assert url is not None, "put returned no URL"
        answer = await fetch(self._client, url)
        found = (answer.status, answer.size, answer.sha256)
        assert found == (200, upload.size, upload.sha256), f"{url} answered {found}"


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable

"""Drivers that break one promise each, under the kit; `test_broken_drivers` runs this file in a pytest of its own.

`fails` names the tests that must fail, and all others must pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, BinaryIO, ClassVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, SecretStr, field_validator

from qqmedia import (
    Driver,
    DriverContext,
    DriverSpec,
    MediaSourceError,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
    Upload,
)
from qqmedia.testing import open_driver
from tests.qqmedia.testing.store import SPEC, TOKEN, StoreDriver, StoreSettings
from tests.qqmedia.testing.store_kit import StoreConformance

MIB = 1024 * 1024
CANCELLED = "test_a_cancelled_put_leaves_the_whole_object_or_nothing"
DICT = "test_any_sequence_of_calls_does_what_a_dict_does"
REFUSES = "test_a_store_that_refuses_is_unavailable_and_may_come_back"


class Broken(StoreConformance):
    """Opens a subclass of `StoreDriver`."""

    fails: ClassVar[frozenset[str]] = frozenset()
    Made: ClassVar[type[StoreDriver]] = StoreDriver

    def open_at(self, url: str, token: str = TOKEN) -> AbstractAsyncContextManager[Driver]:
        return open_driver(replace(SPEC, open=self.open_it), url=url, token=token)

    @asynccontextmanager
    async def open_it(self, settings: StoreSettings, context: DriverContext) -> AsyncIterator[Driver]:
        yield self.Made(settings, context)


class TestWrongBytes(Broken):
    """A part that is lost where the body is just over 5 MiB."""

    fails = frozenset({"test_bytes_come_back_exactly"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if upload.size == 5 * MIB + 1:
                upload = replace(upload, content=await self.context.in_thread(upload.read) and b"\0" * upload.size)
            return await super().put(upload)


class TestWrongType(Broken):
    fails = frozenset({"test_content_type_is_the_uploads"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            return await super().put(replace(upload, content_type="application/octet-stream"))


class TestWholeBodyInMemory(Broken):
    fails = frozenset({"test_64_mib_stream_with_bounded_memory"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            return await super().put(replace(upload, content=await self.context.in_thread(upload.read), stamp=None))


class TestKeysWithoutCase(Broken):
    fails = frozenset({"test_odd_keys_neither_fail_nor_collide"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            return await super().put(replace(upload, key=upload.key.lower()))


class TestRefusesWhatIsThere(Broken):
    fails = frozenset({"test_the_same_key_twice_is_harmless", CANCELLED, DICT})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if await self.find(upload):
                raise StorageError("it is there already")
            return await super().put(upload)


class TestMixesUnderLoad(Broken):
    """A ring of buffers that is too small."""

    fails = frozenset({"test_fifty_at_once_do_not_mix"})

    class Made(StoreDriver):
        def __init__(self, settings: StoreSettings, context: DriverContext) -> None:
            super().__init__(settings, context)
            self.ring: dict[int, Upload] = {}
            self.count = 0

        async def put(self, upload: Upload, /) -> str:
            self.count += 1
            slot = self.count % 32
            self.ring[slot] = upload
            await asyncio.sleep(0.005)
            return await super().put(replace(upload, content=self.ring[slot].content, size=self.ring[slot].size))


class TestUrlThatDiesTooSoon(Broken):
    fails = frozenset({"test_url_is_good_for_the_ttl"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            return f"{await super().put(upload)}?Expires={int(time.time()) + 3000}"


class TestFoundUrlThatDiesTooSoon(Broken):
    fails = frozenset({"test_found_url_is_good_for_the_ttl"})

    class Made(StoreDriver):
        async def find(self, upload: Upload, /) -> str | None:
            url = await super().find(upload)
            return url and f"{url}?Expires={int(time.time()) + 3600}"


class TestTrustsItsMemory(Broken):
    fails = frozenset({"test_what_others_removed_is_stored_again", DICT})

    class Made(StoreDriver):
        def __init__(self, settings: StoreSettings, context: DriverContext) -> None:
            super().__init__(settings, context)
            self.known: set[str] = set()

        async def put(self, upload: Upload, /) -> str:
            if upload.key in self.known:
                return f"{self.settings.url}/{upload.key}"
            url = await super().put(upload)
            self.known.add(upload.key)
            return url

        async def delete(self, key: str, /) -> None:
            await super().delete(key)
            self.known.discard(key)


class TestBlamesTheStoreForTheSource(Broken):
    fails = frozenset({"test_a_source_that_is_gone_is_told_as_it_is"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            try:
                return await super().put(upload)
            except MediaSourceError as error:
                raise StorageUnavailableError("the store does not answer") from error


class TestDeletesNothing(Broken):
    fails = frozenset(
        {"test_delete_takes_it_down_and_leaves_others", "test_a_host_takes_it_down_when_its_time_is_up", DICT}
    )

    patience_seconds: ClassVar[float] = 1.0

    class Made(StoreDriver):
        async def delete(self, key: str, /) -> None:
            pass


class TestComplainsOfWhatIsGone(Broken):
    fails = frozenset({"test_deleting_again_is_silent", "test_deleting_what_others_removed_is_silent", DICT})

    class Made(StoreDriver):
        async def delete(self, key: str, /) -> None:
            if await self.request("DELETE", key) is None:
                raise StorageError("there is no such object")


class TestFindsByTheKeyAlone(Broken):
    fails = frozenset({"test_find_returns_a_url_only_of_what_is_there"})

    class Made(StoreDriver):
        async def find(self, upload: Upload, /) -> str | None:
            return f"{self.settings.url}/{upload.key}" if await self.request("HEAD", upload.key) else None


class TestStoresPieceByPiece(Broken):
    """In place, so that half an object is there meanwhile."""

    fails = frozenset({CANCELLED, "test_closing_the_driver_while_uploads_run_ends_them"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if upload.size > 12 * MIB:  # so that its use of memory is another variant's matter
                return await super().put(upload)
            headers = {"Content-Type": upload.content_type}
            content = b""
            file = await self.context.in_thread(upload.open)
            with file:
                while piece := await self.context.in_thread(file.read, 5 * MIB):
                    content += piece
                    await self.request("PUT", upload.key, data=io.BytesIO(content), headers=headers)
            return f"{self.settings.url}/{upload.key}"


class TestLeavesPartsBehind(Broken):
    """Parts under a name of their own, which are removed only when all went well."""

    fails = frozenset({CANCELLED})
    patience_seconds: ClassVar[float] = 2.0

    async def leftovers(self) -> list[str]:
        return [name for name in self.store.objects if name.startswith("part/")]

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if upload.size <= 5 * MIB:
                return await super().put(upload)
            part = f"part/{upload.key}"
            await self.request("PUT", part, data=b"a part", headers={"Content-Type": "application/octet-stream"})
            url = await super().put(upload)
            await self.request("DELETE", part)
            return url


class TestLeavesTheUploadOpen(Broken):
    fails = frozenset({"test_the_upload_is_closed_when_its_put"})
    patience_seconds: ClassVar[float] = 1.0

    class Made(StoreDriver):
        files: ClassVar[list[BinaryIO]] = []  # kept, or Python would close them some time

        async def put(self, upload: Upload, /) -> str:
            self.files.append(await self.context.in_thread(upload.open))
            return await super().put(upload)


class TestHidesThatItWasCancelled(Broken):
    fails = frozenset({CANCELLED, "test_a_cancelled_put_does_not_disturb_others"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            try:
                return await super().put(upload)
            except asyncio.CancelledError as error:
                raise StorageUnavailableError("the put was cancelled") from error


class TestDoesNotLetGo(Broken):
    fails = frozenset({"test_a_store_that_stalls_is_given_up_in_time"})
    patience_seconds: ClassVar[float] = 1.0

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if upload.size != 100_000:  # else every test of cancelling would wait for long
                return await super().put(upload)
            task = asyncio.create_task(super().put(upload), name="put that is not let go")
            while not task.done():
                try:
                    await asyncio.shield(task)
                except asyncio.CancelledError:
                    continue
                except StorageError:
                    break
            return task.result()


class TestLeavesATask(Broken):
    fails = frozenset({"test_closing_the_driver_while_uploads_run_ends_them"})
    patience_seconds: ClassVar[float] = 1.0

    @asynccontextmanager
    async def open_it(self, settings: StoreSettings, context: DriverContext) -> AsyncIterator[Driver]:
        self.task = asyncio.create_task(asyncio.Event().wait(), name="task that is left")
        yield StoreDriver(settings, context)


class TestPutsGoOnWhenItIsClosed(Broken):
    """The host's session is closed, and a put that has one of its own goes on."""

    fails = frozenset({"test_it_can_be_opened_twice_at_once"})
    opened: ClassVar[list[Any]] = []

    @asynccontextmanager
    async def open_it(self, settings: StoreSettings, context: DriverContext) -> AsyncIterator[Driver]:
        driver = _ClosedDriver(settings, context)
        self.opened.append(driver)
        try:
            yield driver
        finally:
            for one in self.opened:  # all of them, as a global session would be
                one.closed = True
            self.opened.clear()


class _ClosedDriver(StoreDriver):
    closed = False

    async def put(self, upload: Upload, /) -> str:
        if self.closed:
            raise StorageError("the session is closed")
        return await super().put(upload)


class TestReadsOnTheLoop(Broken):
    fails = frozenset({"test_reading_the_upload_does_not_block_the_loop"})

    class Made(StoreDriver):
        async def pieces(self, file: BinaryIO) -> AsyncIterator[bytes]:
            while piece := file.read(256 * 1024):
                yield piece


class TestBlocksTheLoop(Broken):
    fails = frozenset({"test_nothing_blocks_the_loop"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            url = await super().put(upload)
            if upload.size == MIB:  # where it is looked for: elsewhere it would only take time
                time.sleep(0.5)  # noqa: ASYNC251 - what must not be done
            return url


class TestWaitsForTheStoreOnTheLoop(Broken):
    """As a synchronous client does."""

    fails = frozenset({"test_a_slow_store_does_not_block_the_loop"})
    blocking: ClassVar[bool] = False

    def open_at(self, url: str, token: str = TOKEN) -> AbstractAsyncContextManager[Driver]:
        type(self).blocking = url != self.store.url
        return super().open_at(url, token)

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            if TestWaitsForTheStoreOnTheLoop.blocking:
                address = urlsplit(self.settings.url)
                with socket.create_connection((address.hostname, address.port)) as client:
                    client.sendall(b"?")
                    client.settimeout(2.1)  # the store is in this very loop, and so it cannot answer
                    with contextlib.suppress(TimeoutError):
                        client.recv(1)
            return await super().put(upload)


class TestRawErrors(Broken):
    """What the client raises, as it is: a host does not try again then."""

    fails = frozenset({REFUSES, "test_a_cut_connection_is_unavailable_and_leaves_nothing_half"}) | {
        "test_500_then_200_is_stored", "test_503_for_good_is_unavailable",
        "test_wrong_credentials_are_a_matter_of_permission", "test_a_check_of_a_store_that_refuses_says_unavailable",
        "test_no_secret_in_an_error",  # its repr holds the request's headers
    }  # fmt: skip

    class Made(StoreDriver):
        def translated(self, error: Exception) -> Any:
            return error


class TestServerErrorsAreFinal(Broken):
    fails = frozenset({"test_500_then_200_is_stored", "test_503_for_good_is_unavailable"})

    class Made(StoreDriver):
        def translated(self, error: Exception) -> StorageError:
            return StorageError("no") if isinstance(error, aiohttp.ClientResponseError) and error.status >= 500 else (
                super().translated(error)
            )  # fmt: skip


class TestRefusalsMayPass(Broken):
    fails = frozenset({"test_wrong_credentials_are_a_matter_of_permission"})

    class Made(StoreDriver):
        def translated(self, error: Exception) -> StorageError:
            return StorageUnavailableError("the store does not answer")


class TestErrorsWithoutACause(Broken):
    fails = frozenset({"test_an_error_has_the_sdks_as_its_cause"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            try:
                return await super().put(upload)
            except StorageError as error:
                raise type(error)(str(error)) from None


class TestChecksTooMuch(Broken):
    fails = frozenset({"test_check_is_content_with_what_works"}) | {
        "test_a_check_of_a_store_that_refuses_says_unavailable"
    }

    class Made(StoreDriver):
        async def check(self) -> None:
            raise StoragePermissionError("the token may not list")


class TestSecretInAnError(Broken):
    fails = frozenset({"test_no_secret_in_an_error"})

    class Made(StoreDriver):
        def translated(self, error: Exception) -> StorageError:
            token = self.settings.token.get_secret_value()
            return type(super().translated(error))(f"token {token} does not work")


class TestSecretInALogLine(Broken):
    fails = frozenset({"test_no_secret_in_any_log_line"})

    class Made(StoreDriver):
        async def request(self, method: str, key: str, **how: Any) -> Any:
            logging.getLogger("store").debug("%s with %s", method, self.settings.token.get_secret_value())
            return await super().request(method, key, **how)


class TestSecretInARepr(Broken):
    fails = frozenset({"test_no_secret_in_a_repr"})

    class Made(StoreDriver):
        def __repr__(self) -> str:
            return f"StoreDriver({self.settings.token.get_secret_value()})"


class TestSecretInAUrl(Broken):
    fails = frozenset({"test_no_secret_in_a_url"})

    class Made(StoreDriver):
        async def put(self, upload: Upload, /) -> str:
            return f"{await super().put(upload)}?token={self.settings.token.get_secret_value()}"


class TestSettingThatShowsItsValue(Broken):
    fails = frozenset({"test_a_wrong_setting_shows_no_value"})

    class Settings(BaseModel):
        url: str
        token: SecretStr

        @field_validator("token", mode="before")
        @classmethod
        def check(cls, value: object) -> object:
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - what pydantic takes
            return value

    driver_spec: ClassVar[DriverSpec] = replace(SPEC, settings=Settings)

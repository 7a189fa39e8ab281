"""PUTs a file under a passing name and MOVEs it to its place, so that nobody ever sees half of one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import Any, BinaryIO

import aiohttp

import qqmedia
from qqmedia_webdav._errors import refusal
from qqmedia_webdav._settings import WebDAVSettings, file_name

_LIMITS = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)  # the host's own limits are shorter


class WebDAVDriver:
    def __init__(self, settings: WebDAVSettings, context: qqmedia.DriverContext) -> None:
        self._settings, self._context = settings, context  # the password stays where no repr shows it
        self._moving = asyncio.Lock()  # a server may look whether the target is there, and only then move

    async def put(self, upload: qqmedia.Upload, /) -> str:
        name, passing = file_name(upload.key), f".qqmedia-{secrets.token_hex(16)}"
        file = await self._context.in_thread(upload.open)
        try:
            body = {"Content-Type": upload.content_type, "Content-Length": str(upload.size)}
            await self._send("PUT", passing, data=self._pieces(file), headers=body)
            target = {"Destination": f"{self._settings.url}/{name}", "Overwrite": "F"}
            async with self._moving:
                moved = await self._send("MOVE", passing, headers=target, fine={412})
            if moved.status == 412:  # it is there already, and the same key means the same bytes
                await self._send("DELETE", passing)
            passing = ""
        finally:
            await asyncio.shield(self._tidy(file, passing))
        return f"{self._settings.readable_url}/{name}"

    async def find(self, upload: qqmedia.Upload, /) -> str | None:
        found = await self._send("HEAD", file_name(upload.key), fine={404})
        same = found.status == 200 and found.headers.get("Content-Length") == str(upload.size)
        return f"{self._settings.readable_url}/{file_name(upload.key)}" if same else None

    async def delete(self, key: str, /) -> None:
        await self._send("DELETE", file_name(key), fine={404})

    async def check(self) -> None:
        await self._send("PROPFIND", "", headers={"Depth": "0"})

    async def _send(self, method: str, name: str, *, fine: Collection[int] = (), **how: Any) -> aiohttp.ClientResponse:
        how["headers"] = self._settings.authorization() | how.get("headers", {})
        url = f"{self._settings.url}/{name}"
        try:
            async with self._context.http.request(method, url, timeout=_LIMITS, **how) as answer:
                if answer.status >= 400 and answer.status not in fine:
                    raise refusal(method, answer.status)
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise qqmedia.StorageUnavailableError(f"{url} does not answer: {error!r:.200}") from error

    async def _pieces(self, file: BinaryIO) -> AsyncIterator[bytes]:
        while piece := await self._context.in_thread(file.read, 256 * 1024):
            yield piece

    async def _tidy(self, file: BinaryIO, passing: str) -> None:
        await asyncio.to_thread(file.close)  # the host may be closed by now, and its threads with it
        for pause in (0, 0.2) if passing else ():  # a server may still be writing what had been sent
            await asyncio.sleep(pause)
            with suppress(qqmedia.StorageError, RuntimeError, TimeoutError):  # the server may be gone
                await asyncio.wait_for(self._send("DELETE", passing, fine={404}), timeout=1)

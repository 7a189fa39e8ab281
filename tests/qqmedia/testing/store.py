"""A store over HTTP that wants a token from whoever writes, and a driver for it that keeps every promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import aiohttp
from aiohttp import web
from pydantic import BaseModel, SecretStr

from qqmedia import (
    DriverContext,
    DriverSpec,
    Reach,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
    Upload,
    hookimpl,
)

TOKEN = "t0ken-of-the-store"
WRONG_TOKEN = "t0ken-of-somebody-else"


class Store:
    """Objects by name, each with its type; whoever reads needs no token."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytearray, str]] = {}
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Store]:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_get("/{name:.+}", self._get)
        application.router.add_put("/{name:.+}", self._put)
        application.router.add_delete("/{name:.+}", self._delete)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        content, content_type = self.objects.get(request.match_info["name"], (None, ""))
        if content is None:
            raise web.HTTPNotFound
        return web.Response(body=content, headers={"Content-Type": content_type})

    async def _put(self, request: web.Request) -> web.Response:
        self._authorize(request)
        content, at = bytearray(request.content_length or 0), 0  # not a byte more than it must, for the kit measures
        async for piece in request.content.iter_chunked(256 * 1024):
            content[at : at + len(piece)] = piece
            at += len(piece)
        self.objects[request.match_info["name"]] = content, request.headers["Content-Type"]
        return web.Response(status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        self._authorize(request)
        gone = self.objects.pop(request.match_info["name"], None) is None
        return web.Response(status=404 if gone else 204)

    @staticmethod
    def _authorize(request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPForbidden


class StoreSettings(BaseModel):
    url: str
    token: SecretStr


class StoreDriver:
    def __init__(self, settings: StoreSettings, context: DriverContext) -> None:
        self.settings = settings
        self.context = context

    async def put(self, upload: Upload, /) -> str:
        file = await self.context.in_thread(upload.open)
        try:
            headers = {"Content-Type": upload.content_type, "Content-Length": str(upload.size)}
            await self.request("PUT", upload.key, data=self.pieces(file), headers=headers)
        finally:
            await asyncio.shield(asyncio.to_thread(file.close))  # the host's own threads may be gone by now
        return f"{self.settings.url}/{upload.key}"

    async def delete(self, key: str, /) -> None:
        await self.request("DELETE", key)

    async def find(self, upload: Upload, /) -> str | None:
        headers = await self.request("HEAD", upload.key)
        found = headers is not None and int(headers["Content-Length"]) == upload.size
        return f"{self.settings.url}/{upload.key}" if found else None

    async def check(self) -> None:
        await self.request("HEAD", "no-such-object")

    @property
    def reach(self) -> Reach:
        return Reach.PUBLIC

    async def pieces(self, file: BinaryIO) -> AsyncIterator[bytes]:
        while piece := await self.context.in_thread(file.read, 256 * 1024):
            yield piece

    async def request(self, method: str, key: str, **how: Any) -> Any:
        how["headers"] = {**how.get("headers", {}), "Authorization": f"Bearer {self.settings.token.get_secret_value()}"}
        try:
            async with self.context.http.request(method, f"{self.settings.url}/{key}", **how) as answer:
                if answer.status == 404:
                    return None
                answer.raise_for_status()
                return answer.headers
        except (aiohttp.ClientError, OSError) as error:
            raise self.translated(error) from error

    def translated(self, error: Exception) -> StorageError:
        if isinstance(error, aiohttp.ClientResponseError) and error.status < 500:
            return StoragePermissionError(f"the store answered {error.status}; check the token")
        return StorageUnavailableError(f"the store does not answer: {type(error).__name__}")


@asynccontextmanager
async def open_store(settings: StoreSettings, context: DriverContext) -> AsyncIterator[StoreDriver]:
    yield StoreDriver(settings, context)


SPEC = DriverSpec(name="store", settings=StoreSettings, open=open_store)


@hookimpl
def qqmedia_register_drivers() -> DriverSpec:
    return SPEC

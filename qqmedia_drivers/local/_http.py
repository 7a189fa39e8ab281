"""Answers requests for stored objects. A name is looked up; nothing of a request is ever joined to a path."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeVar

from aiohttp import web

from qqmedia.threads import Threads
from qqmedia_drivers.local._folder import Folder, Found
from qqmedia_drivers.local._kept import find_kept
from qqmedia_drivers.local._names import NAME, content_type_of

__all__ = ("Handler", "RecentBytes")

T = TypeVar("T")

# Matched against the raw target: what is escaped is not a name that we gave.
_TARGET: Final = re.compile(rf"/resource/({NAME.pattern})(?:\?.*)?", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# Files are read in pieces of this size: each costs one thread hop, and this much memory while it is sent.
_CHUNK_BYTES: Final = 256 * 1024
# The platform fetches a picture right after it was put, so the last few are answered from memory: twice as many
# pictures of 200 KB a second as from a file, and 1.4 times where each is put first.
_RECENT_TOTAL_BYTES: Final = 16 * 1024 * 1024
_RECENT_OBJECT_BYTES: Final = 1024 * 1024


class RecentBytes:
    """The small objects that were put last, as bytes."""

    def __init__(self) -> None:
        self._objects: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, name: str) -> bytes | None:
        """Return the bytes of `name`, if they are still here."""
        return self._objects.get(name)

    def add(self, name: str, content: bytes) -> None:
        """Keep the bytes, and forget the oldest ones where that is too much."""
        if len(content) > _RECENT_OBJECT_BYTES:
            return
        self.discard(name)
        self._objects[name] = content
        self._size += len(content)
        while self._size > _RECENT_TOTAL_BYTES:
            self._size -= len(self._objects.popitem(last=False)[1])

    def discard(self, name: str) -> None:
        """Forget the bytes of `name`."""
        self._size -= len(self._objects.pop(name, b""))


class _Body(NamedTuple):
    content: bytes | Path
    size: int
    content_type: str
    seconds_left: float


class Handler:
    """The request handler of one server."""

    def __init__(self, folder: Folder, recent: RecentBytes, threads: Threads, resource_path: str) -> None:
        self._folder = folder
        self._resource_path = resource_path
        self._recent = recent
        self._threads = threads

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD", "Server": "qqmedia"})
        target = _TARGET.fullmatch(request.raw_path)
        body = await self._look_up(target[1]) if target else None
        if target is None or body is None:
            return _not_found()
        headers = _headers(target[1], body)
        if request.if_none_match and any(tag.value in (target[1], "*") for tag in request.if_none_match):
            return web.Response(status=304, headers=headers)
        start, stop = 0, body.size
        if part := _requested_range(request, target[1], body.size):
            start, stop = part
            if start >= stop:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{body.size}", "Server": "qqmedia"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{body.size}"
        headers["Content-Type"] = body.content_type
        status = 206 if part else 200
        if isinstance(body.content, bytes):
            content = body.content[start:stop] if part else body.content
            return web.Response(status=status, headers=headers, body=content)
        response = web.StreamResponse(status=status, headers=headers)
        return await self._send_file(request, body.content, slice(start, stop), response)

    async def _look_up(self, name: str) -> _Body | None:
        stored = self._folder.objects.get(name)
        if stored is not None and (left := stored.seconds_left()) > 0:
            content = self._recent.get(name)
            return _Body(stored.path if content is None else content, stored.size, stored.content_type, left)
        found = await self._in_thread(self._find, name)
        return None if found is None else _Body(found.path, found.size, content_type_of(name), found.seconds_left)

    def _find(self, name: str) -> Found | None:
        return self._folder.find_elsewhere(name) or find_kept(self._resource_path, name)

    async def _send_file(
        self, request: web.BaseRequest, path: Path, part: slice, response: web.StreamResponse
    ) -> web.StreamResponse:
        """Send bytes of a file in pieces, through a thread each."""
        left = part.stop - part.start
        try:
            file, chunk = await self._in_thread(_open_at, path, part.start, min(_CHUNK_BYTES, left))
        except FileNotFoundError:  # taken down since it was looked up
            return _not_found()
        response.content_length = left
        try:
            await response.prepare(request)
            while request.method != "HEAD" and left:
                if not chunk:
                    raise OSError(f"{path.name}: {left} bytes are missing")  # aiohttp logs it and cuts the connection
                await response.write(chunk)
                left -= len(chunk)
                chunk = await self._in_thread(file.read, min(_CHUNK_BYTES, left)) if left else b""
        except ConnectionError:
            pass  # whoever asked went away
        finally:
            await self._in_thread(file.close)
        return response

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._threads.start(function, *arguments)


def _open_at(path: Path, start: int, size: int) -> tuple[BinaryIO, bytes]:
    """Open and read the first piece in one thread hop."""
    file = path.open("rb", buffering=0)
    try:
        file.seek(start)
        return file, file.read(size)
    except BaseException:
        file.close()
        raise


def _not_found() -> web.Response:
    return web.Response(status=404, headers={"Server": "qqmedia"})


def _headers(name: str, body: _Body) -> dict[str, str]:
    """Make the headers that all answers for an object have."""
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": f"public, max-age={int(body.seconds_left)}, immutable",
        "Content-Disposition": "inline",
        "ETag": f'"{name}"',  # the name stands for the content
        "Server": "qqmedia",
        "X-Content-Type-Options": "nosniff",
    }
    if body.content_type.startswith("text/") or body.content_type.endswith("xml"):
        headers["Content-Security-Policy"] = "sandbox"  # a page that somebody sent must not act for this domain
    return headers


def _requested_range(request: web.BaseRequest, name: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last, or `None` when all of it is to be sent.

    Several ranges, and what cannot be read, are answered with the whole object, as the standard allows.
    """
    asked = request.headers.get("Range")
    wanted = _RANGE.fullmatch(asked) if asked and request.method == "GET" else None
    if wanted is None or request.headers.get("If-Range", f'"{name}"') != f'"{name}"':
        return None
    first, last = wanted.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    if last:
        return max(size - int(last), 0), size if int(last) else 0
    return None

"""What `benchmarks.arrival` sends: every medium differs from every other, and a web server on loopback has all of them.

The server stands for three others, by name: one that everybody reaches, one that only the bot reaches (the platform
finds no such name), and one in the intranet, which nobody may be led to.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
import io
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pysilk
from aiohttp import web
from PIL import Image

from qqmedia.testing import Resolved

__all__ = ("INTRANET", "KINDS", "PLATFORM_NAMES", "PRIVATE", "PUBLIC", "Item", "Names", "Stock")

KINDS: Final = ("image", "voice", "video", "file")
PUBLIC: Final = "pictures.example"
PRIVATE: Final = "files.corp.example"
INTRANET: Final = "intranet.example"
_HOSTED: Final = ("media.example", "bucket.example")

PLATFORM_NAMES: Final = {PUBLIC: "127.0.0.1", PRIVATE: "", INTRANET: "", **dict.fromkeys(_HOSTED, "127.0.0.1")}
"""What names mean to the platform; an empty address: it knows no such name."""

_PADDING: Final = 3000  # above the smallest body that the 413 condition lets through
_RATE: Final = 24_000
_SUFFIXES: Final = {"image": "png", "voice": "silk", "video": "mp4", "file": "pdf"}


class Names:
    """What names mean to the bot: public addresses that stand on loopback, and one that is private."""

    async def resolve(self, name: str) -> Sequence[Resolved]:
        """Return the address of the name."""
        if name == INTRANET:
            return [Resolved("192.168.1.5", connect_to="127.0.0.1")]
        if name in PLATFORM_NAMES:
            return [Resolved("93.184.216.34", connect_to="127.0.0.1")]
        raise OSError(None, f"there is no {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One medium, in the forms in which an author may have it.

    Attributes:
        content: What he gives as bytes.
        linked: What is behind his link.
        path: Where `content` lies.
        url: Path and query of the link.
    """

    content: bytes
    linked: bytes
    path: Path
    url: str

    def arrives_as(self, source: str) -> str:
        """Return the digest of what was given."""
        content = self.linked if source.endswith("URL") else self.content
        return hashlib.sha256(content).hexdigest()


class Stock:
    """All media: as usual, and in formats that the platform refuses.

    Attributes:
        port: Of the web server that has them.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._served: dict[str, bytes] = {}
        self._items: dict[tuple[str, bool], list[Item]] = {}
        self.port = 0

    def items(self, kind: str, *, refused: bool) -> Sequence[Item]:
        """Return the media of a kind."""
        return self._items[kind, refused]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Stock]:
        """Make the media and serve them until the block ends."""
        await asyncio.to_thread(self._make)
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def _make(self) -> None:
        for kind in KINDS:
            for refused in (False, True):
                self._items[kind, refused] = [
                    self._item(kind, number, refused=refused) for number in range(self._count)
                ]

    def _item(self, kind: str, number: int, *, refused: bool) -> Item:
        content, linked = _content(kind, number, refused=refused)
        path = self._folder / f"{kind}-{'refused' if refused else 'usual'}-{number}.{_SUFFIXES[kind]}"
        path.write_bytes(content)
        url = f"/{path.name}"
        self._served[url] = linked
        return Item(content=content, linked=linked, path=path, url=url)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        content = self._served.get(request.path)
        return web.Response(status=404) if content is None else web.Response(body=content)


def _content(kind: str, number: int, *, refused: bool) -> tuple[bytes, bytes]:
    """Return the bytes, and what a link holds where that is something else."""
    match kind:
        case "image":
            content = _picture(number, "WEBP" if refused else "PNG")
        case "voice":
            sound = _sound(number)
            wav = _wav(sound)
            return wav, wav if refused else _silk(sound)
        case "video" if refused:
            content = b"\x1aE\xdf\xa3" + _padding(number)
        case "video":
            content = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + _padding(number)
        case _:
            content = b"%PDF-1.7\n" + _padding(number)
    return content, content


def _padding(number: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(8, "big")).digest(_PADDING)


def _picture(number: int, form: str) -> bytes:
    out = io.BytesIO()
    noise = _padding(number)[: 24 * 24 * 3]
    Image.frombytes("RGB", (24, 24), noise).save(out, form, lossless=True)
    return out.getvalue() + (_padding(number) if form == "PNG" else b"")


def _sound(number: int) -> bytes:
    step = (200 + 7 * number) * 2 * math.pi / _RATE
    samples = array.array("h", (int(9000 * math.sin(step * position)) for position in range(_RATE)))
    return samples.tobytes()  # a second, in the byte order of this machine: little on all that are in use


def _wav(samples: bytes) -> bytes:
    head = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = b"\x01\x00\x01\x00" + _RATE.to_bytes(4, "little") + (_RATE * 2).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + form + b"data" + len(samples).to_bytes(4, "little") + samples


def _silk(samples: bytes) -> bytes:
    out = io.BytesIO()
    pysilk.encode(io.BytesIO(samples), out, _RATE, _RATE)
    return out.getvalue()

"""Request bodies that are too large to be held in memory: JSON with a medium in base64, made while it is sent."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from bot_core.reading import InThread, read_piece
from qqmedia import MediaSourceError

__all__ = ("Base64Source", "StreamedBody", "streamed_json")

# A multiple of 3, so that the pieces of base64 can stand one behind the other; 1 MiB of it.
_PIECE_BYTES: Final = 768 * 1024


@dataclass(frozen=True, slots=True)
class Base64Source:
    """What is to be sent as base64.

    Attributes:
        open: Returns a new file object, which is read from and closed; called for each piece, in a thread.
        size: How many bytes it holds.
        in_thread: Where that happens.
        moved: Called with how many bytes are left, whenever a piece of it leaves.
    """

    open: Callable[[], BinaryIO]
    size: int
    in_thread: InThread
    moved: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class StreamedBody:
    """A body that can be sent any number of times.

    Attributes:
        size: Its bytes, for ``Content-Length``.
        pieces: Gives it from the beginning.
        unreadable: Why it ended before its end. What aiohttp raises hides that, and shows the password of a proxy.
    """

    size: int
    pieces: Callable[[], AsyncIterator[bytes]]
    unreadable: list[MediaSourceError] = field(default_factory=list)


def streamed_json(start: bytes, source: Base64Source, end: bytes) -> StreamedBody:
    """Return a body of `start`, the source in base64, and `end`."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield start
            for left in range(source.size, 0, -_PIECE_BYTES):
                source.moved(left)
                yield await source.in_thread(_encoded, source, source.size - left, min(left, _PIECE_BYTES))
            yield end
            source.moved(0)
        except MediaSourceError as error:
            body.unreadable.append(error)
            raise

    body = StreamedBody(len(start) + -(-source.size // 3) * 4 + len(end), pieces)
    return body


def _encoded(source: Base64Source, offset: int, size: int) -> bytes:
    return base64.b64encode(read_piece(source.open, offset, size))

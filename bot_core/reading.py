"""Files of an account are read and written in threads of its own: a disk that hangs holds up no other account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol, TypeVar

from bot_core.errors import BotError
from qqmedia import MediaSourceError, Upload
from qqmedia.threads import Threads

__all__ = ("InThread", "account_threads", "content_of", "read_piece")

T = TypeVar("T")


class InThread(Protocol):
    """Runs a blocking function in somebody's share of the threads, and brings its result."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> Awaitable[T]:
        """Let a thread call it; what comes of it is thrown away where nobody waits any more."""
        ...


@contextmanager
def account_threads(appid: str) -> Iterator[InThread]:
    """Give an account six calls at once during the block, whatever the other accounts of the process do with theirs.

    After it, calls that have not begun fail with a `BotError`, and so do new ones; those that hang are left to
    themselves.
    """
    threads = Threads()
    try:
        yield threads.start
    finally:
        threads.close(lambda: BotError(f"bot {appid} was closed while a file was being read or written"))


async def content_of(upload: Upload, in_thread: InThread) -> bytes:
    """Return all of it; without a thread where it is in memory.

    Raises:
        MediaSourceError: The file was changed or removed since it was prepared.
    """
    return upload.content if isinstance(upload.content, bytes) else await in_thread(upload.read)


def read_piece(opened: Callable[[], BinaryIO], offset: int, size: int) -> bytes:
    """Return so many bytes from there. It blocks: call it in a thread.

    The file is opened for each piece and closed again. That is one call in place of four, and none has to be made for
    a file whose reader was cancelled, or that hangs.

    Raises:
        MediaSourceError: There are no more so many; or `opened` says why it cannot be read.
    """
    with opened() as file:
        file.seek(offset)
        piece = file.read(size)
    if len(piece) < size:  # whoever was told the size would wait for the rest
        raise MediaSourceError("the file became shorter while it was being sent; send a copy that stays as it is")
    return piece

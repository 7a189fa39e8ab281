"""Keeps the media that arrive: small ones in memory, large ones in a temporary folder, within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bot_core.errors import SandboxError

__all__ = ("Intake", "MediaStore", "StoredMedia")

# Work on more than this goes to a thread; below, the hop costs more than hashing.
SMALL_BYTES: Final = 256 * 1024

# How much is collected before it is written to disk in one go.
_PIECE_BYTES: Final = 1024 * 1024

# Enough for every magic number that is looked for.
HEAD_BYTES: Final = 64


class StoredMedia:
    """The bytes of one medium; they may be dropped for newer ones, their description stays."""

    __slots__ = ("_data", "_path", "head", "number", "sha256", "size")

    def __init__(self, number: int, size: int, sha256: str, head: bytes, content: bytes | Path) -> None:
        self.number = number
        self.size = size
        self.sha256 = sha256
        self.head = head
        self._data = content if isinstance(content, bytes) else None
        self._path = content if isinstance(content, Path) else None

    @property
    def name(self) -> str:
        """Its name in addresses."""
        return f"{self.number}-{self.sha256[:16]}"

    @property
    def path(self) -> Path | None:
        """Where it is on disk, if it is there."""
        return self._path

    async def read(self) -> bytes:
        """Return the bytes.

        Raises:
            SandboxError: They are not kept any more.
        """
        if self._data is not None:
            return self._data
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                return await asyncio.to_thread(self._path.read_bytes)
        raise SandboxError(
            f"medium {self.number} ({self.size} bytes) is not kept any more; raise `media_total_bytes`, or read earlier"
        )

    def drop(self) -> Path | None:
        """Forget the bytes; return the file to remove, if there is one."""
        path, self._data, self._path = self._path, None, None
        return path


class MediaStore:
    """Everything that arrived, the newest up to `total_bytes`.

    Args:
        memory_bytes: Up to this size a medium stays in memory.
        total_bytes: How much is kept in all.
    """

    def __init__(self, memory_bytes: int, total_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._total_bytes = total_bytes
        self._kept_bytes = 0
        self._items: OrderedDict[int, StoredMedia] = OrderedDict()
        self._numbers = itertools.count(1)
        self._folder: Path | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, memory_bytes: int, total_bytes: int) -> AsyncIterator[MediaStore]:
        """Open a store; leaving removes what it wrote to disk."""
        store = cls(memory_bytes, total_bytes)
        try:
            yield store
        finally:
            for item in store._items.values():
                item.drop()
            if store._folder is not None:
                await asyncio.to_thread(shutil.rmtree, store._folder, ignore_errors=True)

    def get(self, name: str) -> StoredMedia | None:
        """Return the medium of this name, if it is still kept."""
        number = name.partition("-")[0]
        item = self._items.get(int(number)) if number.isdecimal() else None
        return item if item is not None and item.name == name else None

    @asynccontextmanager
    async def intake(self, max_bytes: int) -> AsyncIterator[Intake]:
        """Take one body in, piece by piece; what was not finished leaves nothing behind."""
        taken = Intake(self, max_bytes)
        try:
            yield taken
        finally:
            await taken.abandon()

    async def keep(self, content: bytes) -> StoredMedia:
        """Keep bytes that are in memory anyway."""
        async with self.intake(len(content)) as taken:
            await taken.add(content)
            return await taken.finish()

    async def admit(self, size: int, sha256: str, head: bytes, content: bytes | Path) -> StoredMedia:
        """Add a finished body and drop the oldest beyond the bound."""
        item = StoredMedia(next(self._numbers), size, sha256, head, content)
        self._items[item.number] = item
        self._kept_bytes += size
        doomed = []
        while self._kept_bytes > self._total_bytes and len(self._items) > 1:
            _, oldest = self._items.popitem(last=False)
            self._kept_bytes -= oldest.size
            doomed.append(oldest.drop())
        files = [path for path in doomed if path is not None]
        if files:
            await asyncio.to_thread(_remove, files)
        return item

    def new_file(self) -> Path:
        """Return a path for a new file. Touches the disk: call it outside the event loop."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="qqbot-sandbox-"))
        return self._folder / f"{next(self._numbers)}.bin"


class Intake:
    """One body on its way in."""

    def __init__(self, store: MediaStore, max_bytes: int) -> None:
        self.size = 0
        self._store = store
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._head = b""
        self._hash = hashlib.sha256()
        self._path: Path | None = None

    async def add(self, piece: bytes) -> bool:
        """Take the next piece; return `False`, and keep nothing, once the body is larger than allowed."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            return False
        if len(self._head) < HEAD_BYTES:
            self._head = (self._head + piece[:HEAD_BYTES])[:HEAD_BYTES]
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        if self.size > self._store.memory_bytes and self._waiting_bytes >= _PIECE_BYTES:
            await asyncio.to_thread(self._spill)
        return True

    async def finish(self) -> StoredMedia:
        """Keep what was taken in."""
        if self.size > self._store.memory_bytes:
            await asyncio.to_thread(self._spill)
            path, self._path = self._path, None
            content: bytes | Path = path if path is not None else b""
        elif self.size > SMALL_BYTES:
            content = await asyncio.to_thread(self._join)
        else:
            content = self._join()
        return await self._store.admit(self.size, self._hash.hexdigest(), self._head, content)

    async def abandon(self) -> None:
        """Remove what was written and not finished."""
        if self._path is not None:
            await asyncio.to_thread(_remove, [self._path])

    def _join(self) -> bytes:
        content = b"".join(self._pieces)
        self._hash.update(content)
        return content

    def _spill(self) -> None:
        pieces, self._pieces, self._waiting_bytes = self._pieces, [], 0
        if self._path is None:
            self._path = self._store.new_file()
        with self._path.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                self._hash.update(piece)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)

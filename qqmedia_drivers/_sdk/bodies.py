"""An upload as the file object that an SDK reads: never in memory as a whole, and it can be stopped."""

from __future__ import annotations

import io
from typing import BinaryIO, Self

from qqmedia import MediaSourceError, Upload
from qqmedia_drivers._sdk.threads import Stop

__all__ = ("UploadBody",)


class UploadBody(io.RawIOBase):
    """A stretch of an upload that can be read, sought in and measured, as often as an SDK likes.

    Reading raises `StoppedError` once the call was asked to end: the request breaks off before its announced length,
    and no server stores half of it. Closing it closes the upload's file. Use it in one thread at a time.
    """

    def __init__(self, file: BinaryIO, start: int, size: int, stop: Stop) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._stop = stop
        self._at = 0
        file.seek(start)

    @classmethod
    def of(cls, upload: Upload, stop: Stop, *, start: int = 0, size: int | None = None) -> Self:
        """Open the upload, or `size` bytes of it from `start`.

        Raises:
            MediaSourceError: The file was changed or removed since it was prepared.
        """
        return cls(upload.open(), start, upload.size - start if size is None else size, stop)

    def __len__(self) -> int:
        """Bytes in all, wherever it stands."""
        return self._size

    def __bool__(self) -> bool:
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, at most `size`.

        Raises:
            MediaSourceError: The file became shorter meanwhile; the request would wait for the rest of its body.
        """
        self._stop.check()
        remaining = self._size - self._at
        wanted = remaining if size is None or size < 0 else min(size, remaining)
        data = self._file.read(wanted)
        if wanted and not data:
            raise MediaSourceError("the file became shorter while it was being sent; send a copy that stays as it is")
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        """Return all that remains."""
        return self.read()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any writable buffer has these
        """Fill the buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place in the stretch."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        self._file.seek(self._start + self._at)
        return self._at

    def tell(self) -> int:
        """Return where it stands in the stretch."""
        return self._at

    def close(self) -> None:
        """Close the upload's file."""
        if not self.closed:
            self._file.close()
        super().close()

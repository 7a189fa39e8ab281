"""The host's built-in transform for pictures: what the platform or a phone would choke on is made anew."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from qqmedia._jobs import Jobs, Stop
from qqmedia.errors import MediaTooLargeError
from qqmedia.media import MediaKind, Upload
from qqmedia.pictures._head import Head, read_head
from qqmedia.pictures._make import FORMATS, make_picture
from qqmedia.pictures._options import ImageOptions
from qqmedia.sniff import sniff

__all__ = ("ImageTransform",)

_TAKEN: Final = frozenset({"image/png", "image/jpeg", "image/gif"})
# Each holds up to `max_pixels` decoded.
_AT_ONCE: Final = min(4, os.cpu_count() or 1)
# Where the size of a JPEG stands behind everything that cameras put before it.
_START_BYTES: Final = 512 * 1024


class ImageTransform:
    """Makes pictures acceptable (see `qqmedia.driver.Transform`).

    Args:
        options: What pictures may be.
        in_thread: Runs what blocks.
    """

    name: str = "image"
    kinds: frozenset[MediaKind] = frozenset({MediaKind.IMAGE})
    order: int = 200

    def __init__(self, options: ImageOptions, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._options = options
        self._in_thread = in_thread
        self._jobs = Jobs("image", at_once=_AT_ONCE)

    def passes(self, content_type: str, start: bytes, size: int) -> bool:
        """Return whether type and first bytes are enough to see that nothing is to be done."""
        if not self._options.convert:
            return True
        head = read_head(start)
        return head is not None and self._acceptable(content_type, size, head)

    async def apply(self, upload: Upload, /) -> Upload:
        """Return the picture as it is, or made anew.

        Raises:
            MediaTooLargeError: It has too many pixels to be decoded, or takes too long.
            MediaFormatError: It must be made anew and is damaged, or nothing is installed that could decode it.
        """
        if not self._options.convert:
            return upload
        start = upload.content if isinstance(upload.content, bytes) else await self._in_thread(_start, upload)
        content_type, head = sniff(start).content_type, read_head(start)
        if self._acceptable(content_type, upload.size, head):
            return upload
        try:
            return await self._jobs.run(
                partial(self._anew, upload, content_type, head), timeout=self._options.timeout
            )  # fmt: skip
        except TimeoutError as error:
            raise MediaTooLargeError(
                f"the image {upload.filename!r} ({content_type}) was not made anew within {self._options.timeout:g} s;"
                " send a smaller one, or raise timeout (QQMEDIA_IMAGE_TIMEOUT)"
            ) from error

    async def aclose(self) -> None:
        """Stop what is running."""
        await self._jobs.aclose()

    def _acceptable(self, content_type: str, size: int, head: Head | None) -> bool:
        options = self._options
        if content_type not in FORMATS:
            return True  # no picture at all; the host says so in better words
        if content_type not in _TAKEN or size > options.max_bytes:
            return False
        # What has no size that could be read is damaged; whether the platform minds is not for us to say.
        return head is None or (max(head.width, head.height) <= options.max_side and not head.animated)

    def _anew(self, upload: Upload, content_type: str, head: Head | None, stop: Stop) -> Upload:
        made = make_picture(upload, content_type, head, self._options, stop)
        filename = f"{PurePath(upload.filename).stem or 'image'}.{sniff(made.content).extension}"
        return upload.with_content(made.content, content_type=made.content_type, filename=filename, note=made.note)


def _start(upload: Upload) -> bytes:
    with upload.open() as file:
        return file.read(_START_BYTES)

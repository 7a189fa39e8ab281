"""The host's built-in transform for videos: what phones cannot play is made anew where that can be done here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from qqmedia._jobs import Jobs, Stop
from qqmedia.media import MediaKind, Upload
from qqmedia.videos._make import CannotConvert, NoConverter, look, make_video, plays
from qqmedia.videos._options import VideoOptions

__all__ = ("VideoTransform",)

_MP4: Final = "video/mp4"

logger = logging.getLogger("qqmedia.videos")


class VideoTransform:
    """Makes videos playable (see `qqmedia.driver.Transform`).

    Args:
        options: What videos may be.
        in_thread: Runs what blocks.
    """

    name: str = "video"
    kinds: frozenset[MediaKind] = frozenset({MediaKind.VIDEO})
    order: int = 200

    def __init__(self, options: VideoOptions, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._options = options
        self._in_thread = in_thread
        self._jobs = Jobs("video", at_once=1)  # ffmpeg takes all processors for one
        self._told: set[str] = set()

    def passes(self, content_type: str, start: bytes, size: int) -> bool:
        """Return whether type and first bytes are enough to see that nothing is to be done."""
        options = self._options
        return options.convert == "off" or (size <= options.max_bytes and plays(content_type, start))

    async def apply(self, upload: Upload, /) -> Upload:
        """Return the video as it is, or made anew; where that cannot be, what the options say, with a note."""
        if self._options.convert == "off" or await self._acceptable(upload):
            return upload
        try:
            return await self._jobs.run(partial(self._anew, upload), timeout=self._options.timeout)
        except NoConverter as error:
            return self._otherwise(upload, "no ffmpeg", f"{error}; install ffmpeg")
        except CannotConvert as error:
            return self._otherwise(upload, "failed", str(error))
        except TimeoutError:
            why = f"it took more than {self._options.timeout:g} s; raise timeout (QQMEDIA_VIDEO_TIMEOUT)"
            return self._otherwise(upload, "slow", why)

    async def aclose(self) -> None:
        """Stop what is running; its child is killed."""
        await self._jobs.aclose()

    async def _acceptable(self, upload: Upload) -> bool:
        if upload.content_type != _MP4 or upload.size > self._options.max_bytes:
            return False
        tracks = await self._in_thread(look, upload)
        # Without a table of contents it is damaged, and whether the platform minds is not for us to say.
        return tracks is None or bool(tracks.plays)

    def _anew(self, upload: Upload, stop: Stop) -> Upload:
        made = make_video(upload, max_bytes=self._options.max_bytes, stop=stop)
        filename = f"{PurePath(upload.filename).stem or 'video'}.mp4"
        return upload.with_content(made.path, content_type=_MP4, filename=filename, note=made.note)

    def _otherwise(self, upload: Upload, cause: str, why: str) -> Upload:
        """Send it as it is, or as a file card, and say so once for each cause."""
        level = logging.DEBUG if cause in self._told else logging.WARNING
        self._told.add(cause)
        card = self._options.otherwise == "card"
        logger.log(
            level,
            "the video %r (%s, %d bytes) goes %s: %s; or set QQMEDIA_VIDEO_CONVERT=off (said once)",
            upload.filename, upload.content_type, upload.size,
            "as a file card" if card else "as it is, though phones may not play it or it comes as a file card", why,
        )  # fmt: skip
        if card:
            return replace(upload, kind=MediaKind.FILE, notes=(*upload.notes, f"a file card: {why}"))
        return replace(upload, notes=(*upload.notes, f"sent as it is: {why}"))

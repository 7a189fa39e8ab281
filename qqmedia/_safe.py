"""The last resort for a medium whose format was refused: the format that is surely taken."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qqmedia.errors import MediaError
from qqmedia.media import MediaKind, Upload
from qqmedia.settings import load_options

__all__ = ("safe_format",)

logger = logging.getLogger("qqmedia.host")


async def safe_format(upload: Upload) -> bytes | Path | None:
    """Make a medium anew in the safe format of its kind, after the platform refused the one that it has.

    A picture becomes jpg, or png where one can see through it, and stops moving; a video is encoded anew as H.264 and
    AAC in MP4 where there is an ffmpeg; a silk voice becomes WAV, which `MediaHost.prepare` makes silk again. The
    settings ``QQMEDIA_IMAGE_*`` and ``QQMEDIA_VIDEO_*`` hold.

    Args:
        upload: What was refused; a path that is returned lives in its workspace, no longer than its `prepare` block.

    Returns:
        What is to be prepared and sent in its place, or `None`: it cannot be done, and the log says why.
    """
    if upload.kind is MediaKind.FILE:
        return None
    try:
        make = await asyncio.to_thread(_maker, upload.kind)
        made: bytes | Path | None = await make(upload)
    except (MediaError, TimeoutError) as error:
        logger.info("%s cannot be made anew: %s", upload.filename, str(error) or "it takes too long")
        return None
    return made


def _maker(kind: MediaKind) -> Callable[[Upload], Any]:
    """Load what is needed, in a thread."""
    return {MediaKind.IMAGE: _picture_maker, MediaKind.VIDEO: _video_maker, MediaKind.VOICE: _voice_maker}[kind]()


def _picture_maker() -> Callable[[Upload], Any]:
    pictures, making = importlib.import_module("qqmedia.pictures"), importlib.import_module("qqmedia.pictures._make")
    heads = importlib.import_module("qqmedia.pictures._head")
    options = load_options(pictures.ImageOptions, "image")

    def work(upload: Upload, stop: Any) -> bytes:
        head = heads.read_head(upload.read())
        content: bytes = making.make_safe_picture(upload, upload.content_type, head, options, stop).content
        return content

    return _job("image", work, seconds=options.timeout, on=options.convert)


def _video_maker() -> Callable[[Upload], Any]:
    videos, making = importlib.import_module("qqmedia.videos"), importlib.import_module("qqmedia.videos._make")
    options = load_options(videos.VideoOptions, "video")

    def work(upload: Upload, stop: Any) -> Path:
        try:
            path: Path = making.make_video(upload, max_bytes=options.max_bytes, stop=stop, anew=True).path
        except making.CannotConvert as error:
            raise MediaError(str(error)) from error
        return path

    return _job("video", work, seconds=options.timeout, on=options.convert != "off")


def _voice_maker() -> Callable[[Upload], Any]:
    voice, codec = importlib.import_module("qqmedia.voice"), importlib.import_module("qqmedia.voice._codec")
    options = load_options(voice.VoiceOptions, "silk")

    def work(upload: Upload, _stop: Any) -> bytes:
        content: bytes = codec.decode_silk_sync(upload.read())
        return content

    return _job("voice", work, seconds=options.timeout, on=True)


def _job(what: str, work: Callable[[Upload, Any], Any], *, seconds: float, on: bool) -> Callable[[Upload], Any]:
    jobs = importlib.import_module("qqmedia._jobs")

    async def make(upload: Upload) -> Any:
        if not on:
            return None
        running = jobs.Jobs(what, at_once=1)
        try:
            return await running.run(lambda stop: work(upload, stop), timeout=seconds)
        finally:
            await running.aclose()

    return make

"""Makes a medium anew in the format that the platform surely takes, after it refused the one that it came in."""

from __future__ import annotations

import asyncio
import io
import logging
import warnings
from typing import Final

from qqmedia import MediaError, MediaKind, Upload
from qqmedia.voice import decode_silk

__all__ = ("made_anew",)

# Decoded it takes three or four times as many bytes. The platform shows no more than this anyway.
_MOST_PIXELS: Final = 40_000_000
_JPEG_QUALITY: Final = 90

logger = logging.getLogger("bot_core.qq_group")


async def made_anew(upload: Upload) -> bytes | None:
    """Return a picture as PNG or JPEG, a voice as WAV (to be encoded to silk); `None` where it cannot be done."""
    match upload.kind:
        case MediaKind.IMAGE:
            return await asyncio.to_thread(_picture, upload)
        case MediaKind.VOICE:
            return await _sound(upload)
        case _:
            return None


def _picture(upload: Upload) -> bytes | None:
    from PIL import Image, ImageOps  # noqa: PLC0415 - only a bot whose picture was refused needs it

    try:
        with warnings.catch_warnings(), upload.open() as file:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(file) as opened:
                if opened.width * opened.height > _MOST_PIXELS:
                    logger.info("%s has too many pixels to be made anew", upload.filename)
                    return None
                picture = ImageOps.exif_transpose(opened)
                see_through = picture.has_transparency_data
                out = io.BytesIO()
                if see_through:
                    picture.convert("RGBA").save(out, "PNG")
                else:
                    picture.convert("RGB").save(out, "JPEG", quality=_JPEG_QUALITY)
                return out.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        logger.info("%s cannot be made anew: %s", upload.filename, error)
        return None


async def _sound(upload: Upload) -> bytes | None:
    try:
        return await decode_silk(await asyncio.to_thread(upload.read))
    except MediaError as error:
        logger.info("%s cannot be made anew: %s", upload.filename, error)
        return None

"""Writes a word into the corner of every picture. It stores nothing: the driver may be any.

``WATERMARK`` in the environment is the word; without it nothing is changed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from qqmedia import MediaKind, Transform, Upload, hookimpl

__all__ = ("Watermark", "qqmedia_register_transforms")

# A moving picture would stand still, and what is not here is left to the platform.
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


class Watermark:
    """Marks pictures, and leaves alone what is none, what moves, and what Pillow cannot read."""

    name = "watermark"
    kinds = frozenset({MediaKind.IMAGE})
    order = 50

    async def apply(self, upload: Upload, /) -> Upload:
        word = os.environ.get("WATERMARK", "")
        if not word or upload.content_type not in _FORMATS:
            return upload
        return await asyncio.to_thread(_marked, upload, word)  # Pillow blocks


def _marked(upload: Upload, word: str) -> Upload:
    from PIL import Image, ImageDraw, UnidentifiedImageError  # noqa: PLC0415 - only where there is a picture

    file = upload.workspace.file(".marked")  # gone when the picture was sent
    try:
        with upload.open() as source, Image.open(source) as picture:
            if getattr(picture, "is_animated", False):
                return upload
            draw = ImageDraw.Draw(picture)
            _, _, width, height = draw.textbbox((0, 0), word, stroke_width=1)
            corner = (max(picture.width - width - 4, 0), max(picture.height - height - 4, 0))
            colours = (1, 0) if picture.mode == "1" else ("white", "black")
            draw.text(corner, word, fill=colours[0], stroke_width=1, stroke_fill=colours[1])
            picture.save(file, _FORMATS[upload.content_type], quality=90)
    except (UnidentifiedImageError, OSError, ValueError):
        return upload  # a picture that is sent without a mark is better than none
    return upload.with_content(file, content_type=upload.content_type, note=f"marked {word!r}")


@hookimpl
def qqmedia_register_transforms() -> Sequence[Transform]:
    return [Watermark()]

"""The host's built-in transform: every voice leaves as silk."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from qqmedia.media import MediaKind, Upload
from qqmedia.voice._encoder import SilkEncoder
from qqmedia.voice._options import VoiceOptions

__all__ = ("SilkTransform",)

_CONTENT_TYPE: Final = "audio/silk"


class SilkTransform:
    """Turns any audio into silk (see `qqmedia.driver.Transform`).

    Args:
        options: How voices are made.
    """

    name: str = "silk"
    kinds: frozenset[MediaKind] = frozenset({MediaKind.VOICE})
    order: int = 100

    def __init__(self, options: VoiceOptions | None = None) -> None:
        self._encoder = SilkEncoder(options)
        self._on = self._encoder.options.convert

    async def apply(self, upload: Upload, /) -> Upload:
        """Return the voice as silk; raises as `SilkEncoder.encode` does."""
        if not self._on:
            return upload
        voice = await self._encoder.encode(upload.content)
        if voice.data is upload.content and upload.content_type == _CONTENT_TYPE:
            return upload
        filename = f"{PurePath(upload.filename).stem or 'voice'}.silk"
        return upload.with_content(voice.data, content_type=_CONTENT_TYPE, filename=filename, note=voice.note)

    async def aclose(self) -> None:
        """Stop what is running, and wait a little for threads and children to end."""
        await self._encoder.aclose()

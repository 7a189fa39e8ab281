"""The transforms of a host: those of plugins, and the built-in one for voices."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from qqmedia.driver import Transform
from qqmedia.media import MediaKind

__all__ = ("Transforms",)

_VOICE_MODULE: Final = "qqmedia.voice"


class Transforms:
    """Holds them by kind. The voice encoder is imported when the first voice comes, in a thread."""

    def __init__(
        self, of_plugins: Sequence[Transform], *, voice_options: object, in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self._by_kind = {kind: [transform for transform in of_plugins if kind in transform.kinds] for kind in MediaKind}
        self._voice_options = voice_options
        self._in_thread = in_thread
        self._silk: Any = None

    async def of(self, kind: MediaKind) -> Sequence[Transform]:
        """Return those for this kind, in the order in which they run."""
        if kind is MediaKind.VOICE and self._silk is None:
            voice = await self._in_thread(importlib.import_module, _VOICE_MODULE)
            if self._silk is None:  # nobody was faster meanwhile
                self._silk = voice.SilkTransform(self._voice_options)
                transforms = self._by_kind[MediaKind.VOICE]
                transforms.append(self._silk)
                transforms.sort(key=lambda transform: transform.order)
        return self._by_kind[kind]

    async def aclose(self) -> None:
        """Close the voice encoder, if there ever was a voice."""
        if self._silk is not None:
            await self._silk.aclose()

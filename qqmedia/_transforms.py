"""The transforms of a host: those of plugins, and the built-in ones for pictures, voices and videos."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from qqmedia.driver import Transform
from qqmedia.media import MediaKind

__all__ = ("Seldom", "Transforms")

_VOICE_MODULE: Final = "qqmedia.voice"


class Seldom(Transform, Protocol):
    """A transform that leaves most media as they are, and sees that at a glance."""

    def passes(self, content_type: str, start: bytes, size: int) -> bool:
        """Return whether type and first bytes are enough to see that nothing is to be done; costs next to nothing."""
        ...

    async def aclose(self) -> None:
        """Stop what is running."""
        ...


class Transforms:
    """Holds them by kind. The voice encoder is imported when the first voice comes, in a thread."""

    def __init__(
        self,
        of_plugins: Sequence[Transform],
        seldom: Sequence[Seldom] = (),
        *,
        voice_options: object,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        everything = sorted((*of_plugins, *seldom), key=lambda transform: transform.order)
        self._by_kind = {kind: [transform for transform in everything if kind in transform.kinds] for kind in MediaKind}
        self._seldom = seldom
        # Where a plugin has its hands in, nothing can be foretold.
        self._foretold = {
            kind: tuple(one for one in seldom if kind in one.kinds)
            for kind in MediaKind
            if not any(kind in one.kinds for one in of_plugins)
        }
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

    def seldom(self, kind: MediaKind) -> bool:
        """Return whether most media of this kind stay as they are, so that they may be hashed when they are read."""
        return kind is not MediaKind.VOICE and kind in self._foretold

    def passes(self, kind: MediaKind, content_type: str, start: bytes, size: int) -> bool:
        """Return whether type and first bytes are enough to see that every transform would leave this as it is."""
        return self.seldom(kind) and all(one.passes(content_type, start, size) for one in self._foretold[kind])

    async def aclose(self) -> None:
        """Stop what is running."""
        for transform in self._seldom:
            await transform.aclose()
        if self._silk is not None:
            await self._silk.aclose()

"""The transforms of a host: the built-in ones are registered by a plugin, like those of anybody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from qqmedia.driver import SupportsPass, Transform
from qqmedia.hookspecs import hookimpl
from qqmedia.media import MediaKind
from qqmedia.pictures import ImageOptions, ImageTransform
from qqmedia.settings import load_options
from qqmedia.videos import VideoOptions, VideoTransform
from qqmedia.voice import SilkTransform, VoiceOptions

__all__ = ("BuiltIn", "Transforms")


class BuiltIn:
    """The plugin that every host has: pictures, videos and voices as the platform takes them.

    It reads its settings when it is made: do that outside the event loop.

    Args:
        in_thread: Runs what blocks.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    def __init__(self, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._voice = SilkTransform(load_options(VoiceOptions, "silk"))
        self._image = ImageTransform(load_options(ImageOptions, "image"), in_thread)
        self._video = VideoTransform(load_options(VideoOptions, "video"), in_thread)

    @hookimpl
    def qqmedia_register_transforms(self) -> Sequence[Transform]:
        """Return the three."""
        return (self._voice, self._image, self._video)

    async def aclose(self) -> None:
        """Stop what is running."""
        for transform in (self._voice, self._image, self._video):
            await transform.aclose()


class Transforms:
    """Holds them by kind, in the order in which they run."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        everything = sorted(transforms, key=lambda one: one.order)
        self._by_kind = {kind: tuple(one for one in everything if kind in one.kinds) for kind in MediaKind}
        # Where one of them tells nothing before it has read everything, nothing can be foretold.
        self._passing: dict[MediaKind, list[SupportsPass]] = {}
        for kind, those in self._by_kind.items():
            passing: list[SupportsPass] = [one for one in those if isinstance(one, SupportsPass)]
            if len(passing) == len(those):
                self._passing[kind] = passing

    def of(self, kind: MediaKind) -> Sequence[Transform]:
        """Return those for this kind."""
        return self._by_kind[kind]

    def seldom(self, kind: MediaKind) -> bool:
        """Return whether most media of this kind stay as they are, so that they may be hashed when they are read."""
        return kind in self._passing

    def passes(self, kind: MediaKind, content_type: str, start: bytes, size: int) -> bool:
        """Return whether type and first bytes are enough to see that every transform would leave this as it is."""
        return kind in self._passing and all(one.passes(content_type, start, size) for one in self._passing[kind])

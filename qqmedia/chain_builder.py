"""The narrow face of a media host: three methods, as AmiyaBot's bots know them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

from qqmedia.media import HostedMedia, MediaKind, MediaSource, Reach, Upload

__all__ = ("ChainBuilder", "SupportsPublish")

MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def _of_the_class_too(method: MethodT) -> MethodT:
    """Let a method be called on the class as well: ``await super().get_image(image)`` stands in classmethods too.

    A type checker sees a plain method, which anything may override; it lets nothing but a classmethod override one.
    """
    return classmethod(method)  # type: ignore[return-value]


class ChainBuilder:
    """Turns what a bot's author gave into what the platform can take: a URL, or bytes to be uploaded.

    Subclass it and override what you need, as a plain method, classmethod or staticmethod. What is not overridden
    returns what it was given. Any falsy answer means "unchanged". `MediaHost` has the same face.
    """

    @_of_the_class_too
    async def get_image(self, image: str | bytes) -> str | bytes:
        """Return a URL of the image, or bytes to be uploaded."""
        return image

    @_of_the_class_too
    async def get_voice(self, voice_file: str) -> str | bytes:
        """Return a URL of a silk voice, or bytes to be uploaded."""
        return voice_file

    @_of_the_class_too
    async def get_video(self, video_file: str) -> str | bytes:
        """Return a URL of the video, or bytes to be uploaded."""
        return video_file

    @_of_the_class_too
    async def on_page_rendered(self, page: object) -> None:
        """Do nothing: there is no browser here. Exists because builders written for AmiyaBot override it."""


@runtime_checkable
class SupportsPublish(Protocol):
    """The wide face: prepare and publish as two steps. `MediaHost` has it; `bot_core` prefers it where it is there."""

    @property
    def reach(self) -> Reach:
        """Who can fetch this host's URLs, as far as is known once it is open."""
        ...

    def prepare(
        self, kind: MediaKind, source: MediaSource, *, filename: str | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        """Make the source ready to be sent; the upload can be read until the block ends."""
        ...

    async def publish(self, upload: Upload) -> HostedMedia:
        """Store the upload where it can be fetched."""
        ...

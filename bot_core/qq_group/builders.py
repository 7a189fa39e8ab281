"""Calls builders of the narrow face, as bots bring them: classmethods, staticmethods, plain methods, sync or async."""

from __future__ import annotations

import inspect
import os
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from bot_core.reading import InThread, content_of
from qqmedia import ConfigurationError, MediaError, MediaKind, MediaSource, MediaSourceError, SupportsPublish, is_url
from qqmedia.guard import shown_url
from qqmedia.sniff import HEAD_BYTES, sniff

__all__ = ("Builder", "as_builder", "ask", "check_link", "start_builder")

Builder: TypeAlias = Any
"""A stranger's object: it has `get_image`, `get_voice` and `get_video`, and nothing else is known about it."""

_METHODS: Final = {MediaKind.IMAGE: "get_image", MediaKind.VOICE: "get_voice", MediaKind.VIDEO: "get_video"}


def as_builder(given: Builder) -> Builder:
    """Return an object whose three methods can be called.

    Raises:
        ConfigurationError: One of them is missing.
    """
    missing = [name for name in _METHODS.values() if not callable(getattr(given, name, None))]
    if missing:
        raise ConfigurationError(
            f"{given!r} is no chain builder: it has no {', '.join(missing)}. Give the name of a driver, a host from "
            "qqmedia.open_host, or an object with get_image, get_voice and get_video"
        )
    if isinstance(given, type):
        try:
            return given()
        except TypeError:  # it wants arguments: then its methods are classmethods
            return given
    return given


def start_builder(builder: Builder) -> None:
    """Call the optional plain `start()`."""
    start = getattr(builder, "start", None)
    if callable(start):
        start()


async def ask(
    builder: Builder, kind: MediaKind, source: MediaSource, host: SupportsPublish, in_thread: InThread
) -> MediaSource:
    """Return the builder's answer: a link, bytes or a path; what was given where it has none.

    `get_image` gets bytes or a link: a path is read first. The other two get exactly what the author gave.

    Args:
        builder: It is asked.
        kind: What the source is.
        source: What the author gave.
        host: Reads the source, within its limits.
        in_thread: Where a file is read.

    Raises:
        MediaError: What was given cannot be read or is not of this kind; the builder was not asked.
        MediaSourceError: The answer is of a type that cannot be sent.
    """
    method = _METHODS.get(kind)
    if method is None:
        return source
    if not is_url(source):
        try:
            source = await _checked(kind, source, host, in_thread)
        except MediaError as error:
            raise type(error)(f"{kind} for {type(builder).__name__}: {error}") from error
    answer = getattr(builder, method)(source)
    if inspect.isawaitable(answer):
        answer = await answer
    if not answer:
        return source
    if not isinstance(answer, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise MediaSourceError(
            f"{type(builder).__name__}.{method} returned {type(answer).__name__}; a link, bytes or a path can be sent"
        )
    return answer


def check_link(kind: MediaKind, link: str) -> None:
    """Refuse a link that cannot be one, before anything has gone out.

    Raises:
        MediaSourceError: It names no host, or no port that there is.
    """
    try:
        parts = urlsplit(link)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise MediaSourceError(
            f"{kind} was given as {shown_url(link)!r:.80}, which is no whole URL; expected http(s)://host/path"
        )


async def _checked(kind: MediaKind, source: MediaSource, host: SupportsPublish, in_thread: InThread) -> MediaSource:
    """Return a picture's bytes, else what was given; refuse what is not of its kind, while nothing has gone out yet."""
    at_hand = isinstance(source, (bytes, bytearray, memoryview))
    if kind is not MediaKind.IMAGE and not at_hand:
        return source
    async with host.prepare(MediaKind.FILE, source) as upload:  # read under the host's rules, and left as it is
        content = await content_of(upload, in_thread)
    found = sniff(content[:HEAD_BYTES]).kind
    if found is MediaKind.IMAGE if kind is MediaKind.VOICE else found is not kind:
        async with host.prepare(kind, content):  # says what it is instead
            pass
    return content if kind is MediaKind.IMAGE else source

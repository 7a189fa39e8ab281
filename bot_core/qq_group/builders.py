"""Calls builders of the narrow face, as bots bring them: classmethods, staticmethods, plain methods, sync or async."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, TypeGuard

from qqmedia import ConfigurationError, MediaKind, MediaSource, MediaSourceError

__all__ = ("Builder", "InThread", "as_builder", "ask", "is_link", "start_builder")

Builder: TypeAlias = Any
"""A stranger's object: it has `get_image`, `get_voice` and `get_video`, and nothing else is known about it."""

InThread: TypeAlias = Callable[..., Any]

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


async def ask(builder: Builder, kind: MediaKind, source: MediaSource, in_thread: InThread) -> MediaSource:
    """Return the builder's answer: a link, bytes or a path; what was given where it has none.

    `get_image` gets bytes or a link: a path is read first. The other two get exactly what the author gave.

    Raises:
        MediaSourceError: The picture cannot be read, or the answer is of a type that cannot be sent.
    """
    method = _METHODS.get(kind)
    if method is None:
        return source
    if kind is MediaKind.IMAGE and not is_link(source):
        source = await in_thread(_read, source)
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


def is_link(source: object) -> TypeGuard[str]:
    """Return whether this is an ``http(s)`` URL."""
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


def _read(source: MediaSource) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        try:
            return Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise MediaSourceError(f"picture {source!r} cannot be read: {_reason(error)}") from error
    return _read_file(source)


def _read_file(source: BinaryIO) -> bytes:
    content = source.read() if hasattr(source, "read") else None
    if not isinstance(content, bytes):
        raise MediaSourceError(f"a picture must be bytes, a path, a link or a binary file, got {type(source).__name__}")
    return content


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

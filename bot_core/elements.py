"""What a `Chain` is made of: plain values that bots may read, edit and append to ``chain.chain``.

Names and fields are those that bots written for AmiyaBot use. The union `Element` is matched exhaustively by the
renderer: a new element does not compile until the renderer knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qqmedia import ChainBuilder, MediaSource

__all__ = (
    "Ark",
    "At",
    "AtAll",
    "Element",
    "Embed",
    "Extend",
    "Face",
    "File",
    "Image",
    "Markdown",
    "MarkdownTemplate",
    "Tag",
    "Text",
    "Video",
    "Voice",
)


@dataclass(slots=True)
class Text:
    """Plain text."""

    content: str


@dataclass(slots=True)
class At:
    """A mention of one user (openid); `enter` puts a newline behind it.

    `opening`: A chain began with it by itself; with nothing behind it, nothing is sent.
    """

    target: str
    enter: bool = False
    opening: bool = field(default=False, kw_only=True, compare=False, repr=False)


@dataclass(slots=True)
class AtAll:
    """A mention of everybody; needs a right on the platform."""


@dataclass(slots=True)
class Face:
    """A QQ face; group messages have no form for it, so it is left out with a warning."""

    face_id: str | int


@dataclass(slots=True)
class Tag:
    """A guild channel tag; left out with a warning here."""

    target: str | int


@dataclass(slots=True)
class Image:
    """A picture.

    Attributes:
        url: An ``http(s)`` URL, or `None`.
        content: Bytes, a path or a binary file object, where there is no URL.
        builder: The builder of the chain at the time; `None` means the chain's or the adapter's.
        download: Fetch the URL here and upload the bytes; `None`: as the adapter is set.
    """

    url: str | None = None
    content: MediaSource | None = field(default=None, repr=False)
    builder: ChainBuilder | None = field(default=None, repr=False)
    download: bool | None = None


@dataclass(slots=True)
class Voice:
    """A voice: any audio, as a path, URL, bytes or file object; `download` as of a picture, here and below."""

    file: MediaSource = field(repr=False)
    title: str = "voice"
    builder: ChainBuilder | None = field(default=None, repr=False)
    download: bool = False


@dataclass(slots=True)
class Video:
    """A video, as a path, URL, bytes or file object."""

    file: MediaSource = field(repr=False)
    builder: ChainBuilder | None = field(default=None, repr=False)
    download: bool = False


@dataclass(slots=True)
class File:
    """A file card; `filename` is what people see, with an extension."""

    file: MediaSource = field(repr=False)
    filename: str | None = None
    builder: ChainBuilder | None = field(default=None, repr=False)
    download: bool = False


@dataclass(slots=True)
class Markdown:
    """A native markdown message of its own.

    `keyboard` is the platform's keyboard object (PLATFORM 3.9) or `None`; `images` are pictures by the name that they
    have in `content`.
    """

    content: str
    keyboard: Mapping[str, Any] | None = None
    keyboard_template_id: str = ""
    force_verify_image_resource: bool | None = None
    images: Mapping[str, MediaSource] | None = field(default=None, repr=False)


@dataclass(slots=True)
class MarkdownTemplate:
    """A markdown template message of its own."""

    template_id: str
    params: Sequence[Mapping[str, Any]]
    keyboard: Mapping[str, Any] | None = None
    keyboard_template_id: str = ""


@dataclass(slots=True)
class Ark:
    """An ark message of its own."""

    template_id: int
    kv: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Embed:
    """A guild embed; left out with a warning here."""

    data: Mapping[str, Any]


@dataclass(slots=True)
class Extend:
    """Raw fields, a mapping that is merged into the body of the message; anything else is left out with a warning."""

    data: Any


Element: TypeAlias = (
    Text | At | AtAll | Face | Tag | Image | Voice | Video | File | Markdown | MarkdownTemplate | Ark | Embed | Extend
)

"""A medium on its way: what a chain's element comes to, and what is told about it afterwards."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, assert_never

from bot_core.adapter import Delivery
from bot_core.elements import File, Image, Video, Voice
from bot_core.openapi.values import FileType
from bot_core.qq_group.trying import Trail
from qqmedia import MediaKind, MediaSource, MediaSourceError, SupportsPublish, Upload
from qqmedia.guard import shown_url

if TYPE_CHECKING:
    from bot_core.qq_group.render import Medium

__all__ = ("FILE_TYPES", "Ready", "as_card", "delivery_of", "last_part", "name_of", "parts_of", "way_told")

FILE_TYPES: Final = {
    MediaKind.IMAGE: FileType.IMAGE,
    MediaKind.VIDEO: FileType.VIDEO,
    MediaKind.VOICE: FileType.VOICE,
    MediaKind.FILE: FileType.FILE,
}


@dataclass(frozen=True, slots=True)
class Ready:
    """A medium that can be sent.

    Attributes:
        kind: What it is.
        link: The platform is to fetch this; nothing is known of what is behind it.
        upload: What will be sent, where it is not a link.
        host: Who may publish `upload`; `None`: its bytes go up.
        filename: What people see on a file card.
        given: What the author gave, to begin anew from where a link fails.
        stack: Closes when the medium was sent; holds what is made on the way.
    """

    kind: MediaKind
    link: str = ""
    upload: Upload | None = None
    host: SupportsPublish | None = None
    filename: str | None = None
    given: MediaSource | None = field(default=None, repr=False)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False, compare=False)


def as_card(ready: Ready) -> Ready:
    """Return the same as a file card, whose bytes go up."""
    name = ready.filename or (ready.upload.filename if ready.upload is not None else None)
    return replace(ready, kind=MediaKind.FILE, host=None, filename=name)


def parts_of(medium: Medium) -> tuple[MediaKind, MediaSource, str | None]:
    """Return what it is, what was given, and under which name.

    Raises:
        MediaSourceError: Nothing was given.
    """
    match medium:
        case Image(url, content):
            kind, source, name = MediaKind.IMAGE, url or content, None
        case Voice(file):
            kind, source, name = MediaKind.VOICE, file, None
        case Video(file):
            kind, source, name = MediaKind.VIDEO, file, None
        case File(file, filename):
            kind, source, name = MediaKind.FILE, file, filename
        case _:
            assert_never(medium)
    if source is None:
        raise MediaSourceError(f"{kind} is None; give bytes, a path, an http(s) link or a binary file")
    return kind, source, name


def delivery_of(ready: Ready, upload: Upload | None, way: str, trail: Trail, *, url: str | None = None) -> Delivery:
    """Return how it travelled."""
    tries, trace_ids = trail.tries, tuple(trail.trace_ids)
    if upload is None:
        return Delivery(kind=ready.kind.value, way=way, url=url, tries=tries, trace_ids=trace_ids)
    return Delivery(
        kind=ready.kind.value,
        way=way,
        size=upload.size,
        content_type=upload.content_type,
        url=url,
        notes=upload.notes,
        tries=tries,
        trace_ids=trace_ids,
    )


def last_part(url: str) -> str | None:
    """Return the name at the end of a URL's path."""
    name = url.split("?", 1)[0].split("#", 1)[0].rsplit("/", 1)[-1]
    return name or None


def name_of(ready: Ready) -> str:
    """Return what to call it in the log, on one line."""
    name = ready.filename or (ready.upload.filename if ready.upload is not None else last_part(ready.link))
    return "".join(filter(str.isprintable, " ".join((name or str(ready.kind)).split())))


def way_told(name: str, kind: MediaKind, delivery: Delivery) -> str:
    """Return in one line how it travelled, and as what; `kind` is what it was meant to be."""
    card = "card by " if delivery.kind != kind.value else ""
    url = f" {shown_url(delivery.url)}" if delivery.url else ""
    size = f"{delivery.size} bytes" if delivery.size else "size not known"
    tries = "1 try" if delivery.tries == 1 else f"{delivery.tries} tries"
    facts = (kind.value, delivery.content_type, size, tries, *delivery.notes)
    return f"{name} -> {card}{delivery.way}{url} ({', '.join(filter(None, facts))})"

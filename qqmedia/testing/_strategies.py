"""Hypothesis strategies for media, keys and uploads."""

# Without the import that makes strings of annotations: Hypothesis takes `uploads` to where its names mean nothing.

import string
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st

from qqmedia.media import MediaKind, Upload
from qqmedia.sniff import sniff
from qqmedia.testing._uploads import make_upload

__all__ = ("media_of", "object_keys", "uploads")

_LONGEST_KEY: Final = 200  # of the hook `qqmedia_object_key`
_ISO_MEDIA: Final = b"\0\0\0\x18ftyp"
_HEADS: Final = {
    MediaKind.IMAGE: (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        _ISO_MEDIA + b"avif\0\0\0\0avifmif1",
        _ISO_MEDIA + b"heic\0\0\0\0mif1heic",
    ),
    MediaKind.VOICE: (
        b"\x02#!SILK_V3",
        b"#!SILK_V3",
        b"#!AMR\n",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"fLaC\0\0\0\x22",
        _ISO_MEDIA + b"M4A \0\0\0\0M4A mp42",
    ),
    MediaKind.VIDEO: (
        _ISO_MEDIA + b"isom\0\0\0\0isommp41",
        _ISO_MEDIA + b"qt  \0\0\0\0qt  qt  ",
        b"FLV\x01\x05\0\0\0\x09",
        b"\0\0\x01\xba",
    ),
    MediaKind.FILE: (b"", b"%PDF-1.7\n", b"PK\x03\x04", b"plain text "),
}


def media_of(kind: MediaKind, *, max_size: int = 200) -> st.SearchStrategy[bytes]:
    """Return contents that are of this kind by their first bytes, in several formats; no decoder takes them.

    Args:
        kind: What they are to be sent as. Anything may be a file.
        max_size: Bytes after those first ones, at most.
    """
    heads = st.sampled_from(_HEADS[kind])
    contents = st.builds(bytes.__add__, heads, st.binary(max_size=max_size))
    if kind is MediaKind.FILE:
        return contents.filter(bool)
    return contents.filter(lambda content: sniff(content).kind is kind)


def object_keys() -> st.SearchStrategy[str]:
    """Return every form of key that a host lets through to a driver, by the hook `qqmedia_object_key`."""
    parts = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=40)
    return (
        st.lists(parts.filter(lambda part: part not in (".", "..")), min_size=1, max_size=4)
        .map("/".join)
        .filter(lambda key: len(key) <= _LONGEST_KEY)
    )


@st.composite
def uploads(draw: st.DrawFn, kind: MediaKind | None = None, keys: st.SearchStrategy[str] | None = None) -> Upload:
    """Return uploads as a host hands them to a driver, with their content in memory.

    Args:
        draw: Given by Hypothesis.
        kind: Any kind by default.
        keys: Of the objects; by default the digest with an extension, so that the same key means the same bytes. Keys
            of your own must not give one key to two contents where that matters.
    """
    kind = draw(st.sampled_from(MediaKind)) if kind is None else kind
    ttl = timedelta(seconds=draw(st.integers(1, 7 * 24 * 3600)))
    return make_upload(draw(media_of(kind)), kind=kind, key=draw(keys) if keys else None, ttl=ttl)

"""What the platform takes as image, video, voice and file: by magic bytes and size (PLATFORM 2.4)."""

from __future__ import annotations

from typing import Final

from bot_core.openapi.values import FileType

__all__ = ("HARD_BYTES", "SOFT_BYTES", "is_accepted", "sniff")

_MB: Final = 1024 * 1024

HARD_BYTES: Final = 200 * _MB

# Above these people see a file card instead.
SOFT_BYTES: Final = {
    FileType.IMAGE: 20 * _MB,
    FileType.VIDEO: 30 * _MB,
    FileType.VOICE: 20 * _MB,
    FileType.FILE: 200 * _MB,
}

SILK: Final = "audio/silk"
UNKNOWN: Final = "application/octet-stream"

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\x02#!SILK_V3", SILK),
    (b"#!SILK_V3", "audio/x-silk-standard"),  # not the Tencent variant
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)

_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}

_MP4_AUDIO_BRANDS: Final = (b"M4A ", b"M4B ")
_MP4_IMAGE_BRANDS: Final = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")

# gif is not on that page, and accepted in practice.
_API_PAGE_IMAGES: Final = ("image/png", "image/jpeg", "image/gif")

_OVERVIEW_VOICES: Final = ("audio/mpeg", "audio/wav", "audio/ogg")
_MPEG_SYNC_MASK: Final = 0xE0

_ACCEPTED: Final = {
    FileType.IMAGE: ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"),
    FileType.VIDEO: ("video/mp4",),
    FileType.VOICE: (SILK,),
}


def sniff(head: bytes) -> str:
    """Return the MIME type that the first bytes tell."""
    for magic, content_type in _MAGIC:
        if head.startswith(magic):
            return content_type
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _MP4_AUDIO_BRANDS:
            return "audio/mp4"
        return "image/heif" if brand in _MP4_IMAGE_BRANDS else "video/mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & _MPEG_SYNC_MASK == _MPEG_SYNC_MASK:  # noqa: PLR2004 - MPEG sync
        return "audio/mpeg"
    return UNKNOWN


def is_accepted(file_type: FileType, content_type: str, *, lenient_voice: bool, strict_images: bool) -> bool:
    """Return whether the platform takes this type of content as this type of file."""
    if file_type is FileType.FILE:
        return True
    if file_type is FileType.VOICE and lenient_voice and content_type in _OVERVIEW_VOICES:
        return True
    if file_type is FileType.IMAGE and strict_images:
        return content_type in _API_PAGE_IMAGES
    return content_type in _ACCEPTED[file_type]

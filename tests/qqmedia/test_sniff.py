"""The type is what the bytes say."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from qqmedia import MediaKind
from qqmedia.sniff import looks_like_text, sniff


def _pillow(format_name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, format_name)
    return file.getvalue()


def _ftyp(brand: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + brand + b"\0\0\0\0" + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08free"


def _ogg(packet: bytes) -> bytes:
    return b"OggS\0\x02" + b"\0" * 20 + b"\x01" + bytes([len(packet)]) + packet


ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\0" * 14
ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")

KNOWN = {
    "png": (_pillow("PNG"), "image/png", "png", MediaKind.IMAGE),
    "jpeg": (_pillow("JPEG"), "image/jpeg", "jpg", MediaKind.IMAGE),
    "gif": (_pillow("GIF"), "image/gif", "gif", MediaKind.IMAGE),
    "webp": (_pillow("WEBP"), "image/webp", "webp", MediaKind.IMAGE),
    "bmp": (_pillow("BMP"), "image/bmp", "bmp", MediaKind.IMAGE),
    "tiff": (_pillow("TIFF"), "image/tiff", "tif", MediaKind.IMAGE),
    "ico": (_pillow("ICO"), "image/x-icon", "ico", MediaKind.IMAGE),
    "heic": (_ftyp(b"heic", b"mif1"), "image/heic", "heic", MediaKind.IMAGE),
    "heic as mif1": (_ftyp(b"mif1", b"mif1", b"heic"), "image/heic", "heic", MediaKind.IMAGE),
    "avif": (_ftyp(b"avif", b"mif1"), "image/avif", "avif", MediaKind.IMAGE),
    "avif as mif1": (_ftyp(b"mif1", b"avif", b"miaf"), "image/avif", "avif", MediaKind.IMAGE),
    "mp4 isom": (_ftyp(b"isom", b"mp41"), "video/mp4", "mp4", MediaKind.VIDEO),
    "mp4 of iso6": (_ftyp(b"iso6"), "video/mp4", "mp4", MediaKind.VIDEO),
    "mp4 dash": (_ftyp(b"dash"), "video/mp4", "mp4", MediaKind.VIDEO),
    "mov": (_ftyp(b"qt  "), "video/quicktime", "mov", MediaKind.VIDEO),
    "mov without ftyp": (b"\0\0\0\x08moov" + b"\0" * 8, "video/quicktime", "mov", MediaKind.VIDEO),
    "3gp": (_ftyp(b"3gp5"), "video/3gpp", "3gp", MediaKind.VIDEO),
    "mkv": (b"\x1aE\xdf\xa3\x9f\x42\x82\x88matroska", "video/x-matroska", "mkv", MediaKind.VIDEO),
    "webm": (b"\x1aE\xdf\xa3\x9f\x42\x82\x84webm", "video/webm", "webm", MediaKind.VIDEO),
    "avi": (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo", "avi", MediaKind.VIDEO),
    "flv": (b"FLV\x01\x05\0\0\0\x09", "video/x-flv", "flv", MediaKind.VIDEO),
    "mpeg-ps": (b"\0\0\x01\xba\x44", "video/mpeg", "mpg", MediaKind.VIDEO),
    "mpeg-ts": ((b"G" + b"\0" * 187) * 5, "video/mp2t", "ts", MediaKind.VIDEO),
    "wmv": (ASF_HEADER + ASF_AUDIO + ASF_VIDEO, "video/x-ms-wmv", "wmv", MediaKind.VIDEO),
    "theora": (_ogg(b"\x80theora\x03"), "video/ogg", "ogv", MediaKind.VIDEO),
    "tencent silk": (b"\x02#!SILK_V3\x0c\0", "audio/silk", "silk", MediaKind.VOICE),
    "plain silk": (b"#!SILK_V3\x0c\0", "audio/silk", "silk", MediaKind.VOICE),
    "mp3": (b"\xff\xfb\x90\x64" + b"\0" * 64, "audio/mpeg", "mp3", MediaKind.VOICE),
    "mp3 with id3": (b"ID3\x04\0\0\0\0\0\x02\0\0\xff\xfb\x90\x64", "audio/mpeg", "mp3", MediaKind.VOICE),
    "flac with id3": (b"ID3\x04\0\0\0\0\0\x02\0\0fLaC", "audio/flac", "flac", MediaKind.VOICE),
    "aac": (b"\xff\xf1\x50\x80" + b"\0" * 16, "audio/aac", "aac", MediaKind.VOICE),
    "m4a": (_ftyp(b"M4A "), "audio/mp4", "m4a", MediaKind.VOICE),
    "ogg": (_ogg(b"\x01vorbis"), "audio/ogg", "ogg", MediaKind.VOICE),
    "opus": (_ogg(b"OpusHead\x01"), "audio/ogg", "opus", MediaKind.VOICE),
    "flac": (b"fLaC\0\0\0\x22", "audio/flac", "flac", MediaKind.VOICE),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav", MediaKind.VOICE),
    "amr": (b"#!AMR\n\x3c", "audio/amr", "amr", MediaKind.VOICE),
    "amr-wb": (b"#!AMR-WB\n\x3c", "audio/amr-wb", "awb", MediaKind.VOICE),
    "aiff": (b"FORM\0\0\0\x1eAIFFCOMM", "audio/aiff", "aiff", MediaKind.VOICE),
    "wma": (ASF_HEADER + ASF_AUDIO, "audio/x-ms-wma", "wma", MediaKind.VOICE),
    "pdf": (b"%PDF-1.7\n", "application/pdf", "pdf", None),
    "zip": (b"PK\x03\x04\x14\0\0\0", "application/zip", "zip", None),
    "cad drawing": (b"AC1032 is a drawing to a program", "image/vnd.dwg", "dwg", None),
}
UNKNOWN = {
    "nothing": b"",
    "text": b"hello",
    "text that begins like a bmp": b"BMW is a maker of cars\n" * 20,
    "a playlist": b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n",
    "an svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "utf-16": "hello".encode("utf-16"),
    "reserved mpeg bits": b"\xff\xfb\xf0\x64" + b"\0" * 64,
    "zeros": b"\0" * 500,
}


@pytest.mark.parametrize("name", KNOWN)
def test_magic_bytes_say_type_extension_and_kind(name: str) -> None:
    head, content_type, extension, kind = KNOWN[name]
    found = sniff(head)
    assert (found.content_type, found.extension, found.kind) == (content_type, extension, kind)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_magic_is_octets(name: str) -> None:
    found = sniff(UNKNOWN[name])
    assert (found.content_type, found.extension, found.kind) == ("application/octet-stream", "bin", None)


@pytest.mark.parametrize("name", KNOWN)
def test_no_head_is_too_short_to_look_at(name: str) -> None:
    head = KNOWN[name][0]
    for length in range(min(len(head), 64)):
        sniff(head[:length])  # must not raise


def test_text_is_told_from_binary() -> None:
    assert looks_like_text("一段文字".encode() * 200)
    assert not looks_like_text(_pillow("PNG"))
    assert not looks_like_text(b"")

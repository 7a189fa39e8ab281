"""Says what bytes are, by their magic numbers and never by a name.

The library `filetype` knows the long tail (documents, archives, rare images). What decides how something is sent is
matched here, because there `filetype` is too coarse: it takes any text that begins with ``BM`` for a picture, a WMA for
a video, every ``ftyp`` box of a newer brand for nothing, and has never heard of Tencent's silk. Which of its answers
count as picture, voice or video is a list here: a drawing of a CAD program is an image to it, and not to a chat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from qqmedia.media import MediaKind

__all__ = ("HEAD_BYTES", "Sniffed", "looks_like_text", "sniff")

HEAD_BYTES: Final = 8192  # enough for every matcher; ASF headers are the longest


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What the first bytes say.

    Attributes:
        content_type: MIME type; ``application/octet-stream`` when nothing matched.
        extension: Without a dot; ``bin`` when nothing matched.
        kind: What the platform can show it as, or `None`: only as a file.
    """

    content_type: str
    extension: str
    kind: MediaKind | None


def _image(content_type: str, extension: str) -> Sniffed:
    return Sniffed(content_type, extension, MediaKind.IMAGE)


def _video(content_type: str, extension: str) -> Sniffed:
    return Sniffed(content_type, extension, MediaKind.VIDEO)


def _voice(content_type: str, extension: str) -> Sniffed:
    return Sniffed(content_type, extension, MediaKind.VOICE)


_UNKNOWN: Final = Sniffed("application/octet-stream", "bin", None)
_SILK: Final = _voice("audio/silk", "silk")
_MP3: Final = _voice("audio/mpeg", "mp3")
_AAC: Final = _voice("audio/aac", "aac")
_MP4: Final = _video("video/mp4", "mp4")
_MPEG_PS: Final = _video("video/mpeg", "mpg")
_MPEG_TS: Final = _video("video/mp2t", "ts")
_HEIC: Final = _image("image/heic", "heic")
_AVIF: Final = _image("image/avif", "avif")

_PREFIXES: Final = (
    (b"\x89PNG\r\n\x1a\n", _image("image/png", "png")),
    (b"\xff\xd8\xff", _image("image/jpeg", "jpg")),
    (b"GIF87a", _image("image/gif", "gif")),
    (b"GIF89a", _image("image/gif", "gif")),
    (b"\x02#!SILK_V3", _SILK),
    (b"#!SILK_V3", _SILK),
    (b"#!AMR-WB\n", _voice("audio/amr-wb", "awb")),
    (b"#!AMR\n", _voice("audio/amr", "amr")),
    (b"fLaC", _voice("audio/flac", "flac")),
    (b"II*\x00", _image("image/tiff", "tif")),
    (b"MM\x00*", _image("image/tiff", "tif")),
    (b"FLV\x01", _video("video/x-flv", "flv")),
    (b"\x00\x00\x01\xba", _MPEG_PS),
    (b"\x00\x00\x01\xb3", _MPEG_PS),
    (b"MThd\x00\x00\x00\x06", _voice("audio/midi", "mid")),
    (b"MAC ", _voice("audio/x-ape", "ape")),
    (b"wvpk", _voice("audio/x-wavpack", "wv")),
    (b"caff\x00\x01", _voice("audio/x-caf", "caf")),
)

# Major brands of ISO base media files (ISO 14496-12; registered at mp4ra.org).
_FTYP: Final = {
    b"M4A ": _voice("audio/mp4", "m4a"),
    b"M4B ": _voice("audio/mp4", "m4b"),
    b"M4P ": _voice("audio/mp4", "m4a"),
    b"F4A ": _voice("audio/mp4", "m4a"),
    b"qt  ": _video("video/quicktime", "mov"),
    b"M4V ": _video("video/x-m4v", "m4v"),
    b"heic": _HEIC,
    b"heix": _HEIC,
    b"heim": _HEIC,
    b"heis": _HEIC,
    b"hevc": _HEIC,
    b"hevx": _HEIC,
    b"avif": _AVIF,
    b"avis": _AVIF,
}
_RIFF: Final = {
    b"WAVE": _voice("audio/wav", "wav"),
    b"WEBP": _image("image/webp", "webp"),
    b"AVI ": _video("video/x-msvideo", "avi"),
}
_ASF_HEADER: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO_STREAM: Final = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_EBML: Final = b"\x1aE\xdf\xa3"
_TS_PACKET: Final = 188  # bytes, each packet begins with 0x47
_BMP_HEADER_SIZES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_BITS_OF_LAYER: Final = 0b110  # in the second byte of an MPEG audio frame; zero is ADTS


def sniff(head: bytes) -> Sniffed:
    """Say what these bytes are, from their first `HEAD_BYTES`; more does no harm, less may miss something."""
    for prefix, sniffed in _PREFIXES:
        if head.startswith(prefix):
            return sniffed
    for matcher in _MATCHERS:
        found = matcher(head)
        if found is not None:
            return found
    return _from_library(head) or _UNKNOWN


def _riff(head: bytes) -> Sniffed | None:
    return _RIFF.get(head[8:12]) if head[:4] in (b"RIFF", b"RF64") else None


def _iso_media(head: bytes) -> Sniffed | None:
    if head[4:8] != b"ftyp":
        # Files of old cameras begin with their data; `moov` first is what `faststart` makes of a QuickTime file.
        return _video("video/quicktime", "mov") if head[4:8] in (b"moov", b"mdat", b"wide") else None
    brand = head[8:12]
    if brand in _FTYP:
        return _FTYP[brand]
    if brand in (b"mif1", b"msf1"):  # says only "an image": what kind is among the compatible brands
        size = int.from_bytes(head[:4], "big")
        return _AVIF if b"avif" in head[16:size] else _HEIC
    if brand.startswith((b"3gp", b"3g2")):
        return _video("video/3gpp", "3gp")
    return _MP4


def _ogg(head: bytes) -> Sniffed | None:
    if not head.startswith(b"OggS"):
        return None
    first_packet = head[28:]
    if first_packet.startswith((b"\x80theora", b"\x01video")):
        return _video("video/ogg", "ogv")
    return _voice("audio/ogg", "opus" if first_packet.startswith(b"OpusHead") else "ogg")


def _matroska(head: bytes) -> Sniffed | None:
    if not head.startswith(_EBML):
        return None
    start = head[:128]
    return _video("video/webm", "webm") if b"webm" in start else _video("video/x-matroska", "mkv")


def _asf(head: bytes) -> Sniffed | None:
    if not head.startswith(_ASF_HEADER):
        return None
    return _video("video/x-ms-wmv", "wmv") if _ASF_VIDEO_STREAM in head else _voice("audio/x-ms-wma", "wma")


def _mpeg_audio(head: bytes) -> Sniffed | None:
    if head.startswith(b"ID3"):
        return _behind_id3(head)
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - eleven bits of frame sync
        return None
    if head[1] & _BITS_OF_LAYER == 0:
        return _AAC if head[1] & 0xF0 == 0xF0 else None  # noqa: PLR2004 - ADTS has a twelfth bit of sync
    if head[1] & _BITS_OF_LAYER == _BITS_OF_LAYER:  # layer I: nobody has such files, and a UTF-16 mark looks like one
        return None
    bitrate, rate, version = head[2] >> 4, head[2] >> 2 & 0b11, head[1] >> 3 & 0b11
    nonsense = bitrate == 0b1111 or rate == 0b11 or version == 0b01  # noqa: PLR2004 - reserved by the standard
    return None if nonsense else _MP3


def _behind_id3(head: bytes) -> Sniffed:
    """Any audio may wear an ID3 tag; look behind it where the head is long enough."""
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    behind = head[10 + length :]
    if behind.startswith(b"fLaC"):
        return _voice("audio/flac", "flac")
    return _AAC if behind[:2] in (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9") else _MP3


def _transport_stream(head: bytes) -> Sniffed | None:
    packets = head[: 4 * _TS_PACKET : _TS_PACKET]
    return _MPEG_TS if packets == b"GGGG" else None


def _aiff(head: bytes) -> Sniffed | None:
    is_aiff = head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC")
    return _voice("audio/aiff", "aiff") if is_aiff else None


def _bmp(head: bytes) -> Sniffed | None:
    is_bmp = head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES
    return _image("image/bmp", "bmp") if is_bmp else None


_MATCHERS: Final[tuple[Callable[[bytes], Sniffed | None], ...]] = (
    _riff,
    _iso_media,
    _ogg,
    _matroska,
    _asf,
    _mpeg_audio,
    _transport_stream,
    _aiff,
    _bmp,
)


def _from_library(head: bytes) -> Sniffed | None:
    """Ask `filetype`; what it alone calls a picture is a file to us, except an icon."""
    import filetype  # noqa: PLC0415 - some ten modules, and only for what is rare

    found = filetype.guess(head[:HEAD_BYTES]) if head else None
    if found is None or found.mime == "image/bmp" or found.mime.startswith(("audio/", "video/")):
        return None  # a matcher above has looked closer
    kind = MediaKind.IMAGE if found.mime == "image/x-icon" else None
    return Sniffed(found.mime, found.extension, kind)


def looks_like_text(head: bytes) -> bool:
    """Recognise text, which has no magic number, so that an error can say so."""
    sample = head[:1024]
    if not sample or b"\x00" in sample:
        return False
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 4  # merely a character that was cut at the end
    return True

"""Under which name an object is served, and what that name says about its type."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from qqmedia import Upload

__all__ = ("NAME", "content_type_of", "object_name")

NAME: Final = re.compile(r"[0-9a-f]{64}\.[0-9a-z]{1,5}")
"""What a name looks like: the default key, or the digest of a plugin's key with an extension of ours."""

# A table of our own, because `mimetypes` reads the system's files and knows neither webp (Python 3.11) nor silk.
_CONTENT_TYPES: Final = {
    "3gp": "video/3gpp",
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "ape": "audio/x-ape",
    "apng": "image/apng",
    "avi": "video/x-msvideo",
    "avif": "image/avif",
    "awb": "audio/amr-wb",
    "bin": "application/octet-stream",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "caf": "audio/x-caf",
    "csv": "text/csv",
    "deb": "application/x-deb",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "exe": "application/x-msdownload",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "gif": "image/gif",
    "gz": "application/gzip",
    "heic": "image/heic",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jxl": "image/jxl",
    "m4a": "audio/mp4",
    "m4b": "audio/mp4",
    "m4v": "video/x-m4v",
    "mid": "audio/midi",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpg": "video/mpeg",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "psd": "image/vnd.adobe.photoshop",
    "rar": "application/x-rar-compressed",
    "rtf": "application/rtf",
    "silk": "audio/silk",
    "svg": "image/svg+xml",
    "swf": "application/x-shockwave-flash",
    "tar": "application/x-tar",
    "tif": "image/tiff",
    "ts": "video/mp2t",
    "ttf": "application/font-sfnt",
    "txt": "text/plain",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "wma": "audio/x-ms-wma",
    "wmv": "video/x-ms-wmv",
    "woff": "application/font-woff",
    "wv": "audio/x-wavpack",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_EXTENSIONS: Final = {content_type: extension for extension, content_type in _CONTENT_TYPES.items()}


def content_type_of(name: str) -> str:
    """Return the type that the extension of `name` stands for."""
    return _CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def object_name(upload: Upload) -> str:
    """Return the name under which `upload` is served.

    It is the key, if that looks like a generated one and its extension says the right type; otherwise (the key of a
    plugin may hold slashes and capitals) the key's digest with the extension of the content type.
    """
    if NAME.fullmatch(upload.key) and content_type_of(upload.key) == upload.content_type:
        return upload.key
    return f"{hashlib.sha256(upload.key.encode()).hexdigest()}.{_EXTENSIONS.get(upload.content_type, 'bin')}"

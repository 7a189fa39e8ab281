"""Makes media sendable: pictures, voices and videos for QQ bots, over pluggable storage.

::

    async with qqmedia.open_host("local") as host:
        url = await host.get_image(png_bytes)

Importing this package loads no HTTP client, no cloud SDK and no settings library.
"""

from __future__ import annotations

from qqmedia._own_url import own_url
from qqmedia._safe import safe_format
from qqmedia.chain_builder import ChainBuilder, SupportsPublish
from qqmedia.driver import (
    Driver,
    DriverContext,
    DriverSpec,
    SupportsCheck,
    SupportsDelete,
    SupportsFind,
    SupportsKeep,
    SupportsPass,
    SupportsReach,
    Transform,
)
from qqmedia.errors import (
    ConfigurationError,
    DriverBrokenError,
    DriverError,
    DriverNotFoundError,
    DriverUnavailableError,
    DuplicateDriverError,
    MediaError,
    MediaFormatError,
    MediaSourceError,
    MediaTooLargeError,
    QQMediaError,
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)
from qqmedia.hookspecs import hookimpl, hookspec
from qqmedia.host import HostPolicy, MediaHost, is_url, open_host, reach_of
from qqmedia.media import HostedMedia, MediaKind, MediaSource, Reach, Upload

__all__ = (
    "ChainBuilder",
    "ConfigurationError",
    "Driver",
    "DriverBrokenError",
    "DriverContext",
    "DriverError",
    "DriverNotFoundError",
    "DriverSpec",
    "DriverUnavailableError",
    "DuplicateDriverError",
    "HostPolicy",
    "HostedMedia",
    "MediaError",
    "MediaFormatError",
    "MediaHost",
    "MediaKind",
    "MediaSource",
    "MediaSourceError",
    "MediaTooLargeError",
    "QQMediaError",
    "Reach",
    "StorageError",
    "StorageMisconfiguredError",
    "StorageNotFoundError",
    "StoragePermissionError",
    "StorageQuotaError",
    "StorageUnavailableError",
    "SupportsCheck",
    "SupportsDelete",
    "SupportsFind",
    "SupportsKeep",
    "SupportsPass",
    "SupportsPublish",
    "SupportsReach",
    "Transform",
    "Upload",
    "hookimpl",
    "hookspec",
    "is_url",
    "open_host",
    "own_url",
    "reach_of",
    "safe_format",
)

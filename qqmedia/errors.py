"""Everything that `qqmedia` raises on purpose.

::

    QQMediaError
    ├── ConfigurationError              a setting is missing, misspelt or makes no sense
    ├── DriverError
    │   ├── DriverNotFoundError         no driver of that name is installed
    │   ├── DriverUnavailableError      it is installed, what it needs is not (names the extra)
    │   ├── DriverBrokenError           its plugin fails to load or breaks the contract
    │   └── DuplicateDriverError        two distributions bring the same name
    ├── MediaError
    │   ├── MediaSourceError            what was given cannot be read (also a ValueError)
    │   ├── MediaFormatError            it can be read, and is not what was asked for
    │   └── MediaTooLargeError          more bytes, pixels or seconds than allowed
    └── StorageError                    the place that hosts media said no
        ├── StoragePermissionError      credentials or rights
        ├── StorageNotFoundError        bucket or object is not there
        ├── StorageQuotaError           full, or over a quota
        ├── StorageUnavailableError     no answer, or a passing fault: may be tried again
        └── StorageMisconfiguredError   wrong region, wrong endpoint, wrong address style

The class says what kind of thing went wrong, the text says what came in and what to do about it.
"""

from __future__ import annotations

__all__ = (
    "ConfigurationError",
    "DriverBrokenError",
    "DriverError",
    "DriverNotFoundError",
    "DriverUnavailableError",
    "DuplicateDriverError",
    "MediaError",
    "MediaFormatError",
    "MediaSourceError",
    "MediaTooLargeError",
    "QQMediaError",
    "StorageError",
    "StorageMisconfiguredError",
    "StorageNotFoundError",
    "StoragePermissionError",
    "StorageQuotaError",
    "StorageUnavailableError",
)


class QQMediaError(Exception):
    """The root of the tree: `except QQMediaError` catches whatever this package raises on purpose."""


class ConfigurationError(QQMediaError):
    """A setting is missing, misspelt or makes no sense; the text names it and says what would be right."""


class DriverError(QQMediaError):
    """A driver cannot be used at all."""


class DriverNotFoundError(DriverError):
    """No driver of this name is installed; the text lists those that are."""


class DriverUnavailableError(DriverError):
    """The driver is installed, something that it needs is not.

    Attributes:
        driver: Name of the driver.
        extra: The extra of the driver's distribution that brings it, if known.
        requirement: What pip is to install; by default that extra of `qqmedia`.
    """

    def __init__(
        self,
        driver: str,
        *,
        extra: str | None = None,
        reason: str | None = None,
        requirement: str | None = None,
    ) -> None:
        self.driver = driver
        self.extra = extra
        self.requirement = requirement if requirement is not None else f"qqmedia[{extra}]" if extra else ""
        why = reason or "a package that it needs is not installed"
        way_out = f'; run: pip install "{self.requirement}"' if self.requirement else ""
        super().__init__(f"driver {driver!r} cannot be used: {why}{way_out}")


class DriverBrokenError(DriverError):
    """The driver's plugin fails to load, or breaks the contract of `qqmedia.driver`."""


class DuplicateDriverError(DriverError):
    """Two distributions bring a driver of the same name; the text names both."""


class MediaError(QQMediaError):
    """A picture, voice, video or file cannot be sent as it is."""


class MediaSourceError(MediaError, ValueError):
    """What was given cannot be read: missing file, directory, empty bytes, wrong type, unreachable address."""


class MediaFormatError(MediaError):
    """It can be read, and is not what was asked for: text in a .png, a playlist as voice, a damaged file."""


class MediaTooLargeError(MediaError):
    """More bytes, pixels or seconds than allowed; the text gives both figures and the setting."""


class StorageError(QQMediaError):
    """The place that hosts media refused or failed.

    A driver raises one of the subclasses `from` its SDK's error. `MediaHost` wraps the text once with the names of
    driver and object; the class stays.

    Attributes:
        may_pass: Whether trying again can help. Only such failures are retried.
    """

    may_pass: bool = False


class StoragePermissionError(StorageError):
    """The credentials are wrong, expired, or do not allow this."""


class StorageNotFoundError(StorageError):
    """The bucket, folder or object is not there."""


class StorageQuotaError(StorageError):
    """No space left, or over a quota."""


class StorageUnavailableError(StorageError):
    """No answer, or a fault that passes by itself: time-out, connection refused, 5xx, throttling."""

    may_pass = True


class StorageMisconfiguredError(StorageError):
    """It answers, but not to what is configured: wrong region, endpoint or address style."""

"""Keys to names in the bucket, and names to public URLs."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

from qqmedia import DriverContext, Reach, reach_of
from qqmedia_drivers._sdk.settings import BucketSettings

__all__ = ("ObjectNames", "has_no_names", "presigned_seconds", "without_query")

# Signing times are whole seconds, and clocks differ; the URL must answer until the media's time is up.
_SLACK_SECONDS: Final = 60
_LONGEST_SECONDS: Final = 7 * 24 * 3600  # of signatures of version 4; the host asks for no more


class ObjectNames:
    """Where objects of one open driver are, by `BucketSettings`.

    Args:
        settings: Of the driver.
        context: Of the driver.
        endpoint_url: The address under which the SDK speaks to the service, for `reach`.
    """

    def __init__(self, settings: BucketSettings, context: DriverContext, endpoint_url: str) -> None:
        self._prefix = settings.prefix
        self._base = settings.public_base_url
        self.reach = _reach(self._base, endpoint_url, platform_on_loopback=context.platform_on_loopback)

    def of(self, key: str) -> str:
        """Return the object's name in the bucket."""
        return self._prefix + key

    def public_url(self, name: str) -> str | None:
        """Return the URL under `public_base_url`, or `None` where there is none."""
        return None if self._base is None else f"{self._base}/{quote(name)}"


def presigned_seconds(ttl: timedelta) -> int:
    """Return how long a presigned URL must be good, so that it answers for `ttl` by anybody's clock."""
    return min(int(ttl.total_seconds()) + 1 + _SLACK_SECONDS, _LONGEST_SECONDS)


def has_no_names(host: str | None) -> bool:
    """Tell whether no name can stand below this one: an address, or a name without a dot, such as ``localhost``."""
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return "." not in (host or "")
    return True


def without_query(url: str) -> str:
    """Return the plain address of an object, from a presigned one: addressing is then the SDK's, and right."""
    return urlsplit(url)._replace(query="").geturl()


def _reach(base: str | None, endpoint_url: str, *, platform_on_loopback: bool) -> Reach:
    if base is None:
        return reach_of(endpoint_url, platform_on_loopback=platform_on_loopback)
    reach = reach_of(base, platform_on_loopback=platform_on_loopback)
    return Reach.PUBLIC if reach is Reach.UNKNOWN else reach  # somebody who knows the network gave it

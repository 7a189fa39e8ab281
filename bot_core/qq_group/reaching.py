"""Whether the platform may be able to fetch what a media host stores."""

from __future__ import annotations

from qqmedia import HostedMedia, MediaHost, Reach, SupportsPublish

__all__ = ("may_fetch", "may_fetch_from")


def may_fetch_from(host: SupportsPublish, *, platform_on_loopback: bool) -> bool:
    """Tell whether it is worth while to publish there.

    Who opens a host of his own need not know where the platform runs: what it serves from this very machine can be
    fetched by a platform on this machine.
    """
    return host.reach is not Reach.PRIVATE or (platform_on_loopback and bool(_own_addresses(host)))


def may_fetch(hosted: HostedMedia, host: SupportsPublish, *, platform_on_loopback: bool) -> bool:
    """Tell the same of one medium that this host has published."""
    if hosted.url is None:
        return False
    return hosted.reach is not Reach.PRIVATE or (platform_on_loopback and hosted.url.startswith(_own_addresses(host)))


def _own_addresses(host: SupportsPublish) -> tuple[str, ...]:
    return host.own_addresses if isinstance(host, MediaHost) else ()

"""Who can fetch a URL, as far as the URL itself tells."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeGuard
from urllib.parse import urlsplit

from qqmedia.media import Reach

__all__ = ("is_private_name", "is_public_address", "is_url", "reach_of")

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
# For documentation, translation within a site, and segment routing: older versions of Python take them for public.
_ALSO_PRIVATE: Final = tuple(ipaddress.ip_network(one) for one in ("3fff::/20", "64:ff9b:1::/48", "5f00::/16"))
# Names that no name server of the internet answers (RFC 6761, 6762, 8375, ICANN's `internal`, and what routers use).
_PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".localdomain")


def is_url(source: object) -> TypeGuard[str]:
    """Tell whether this is an ``http(s)`` URL, and not a path."""
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


def is_public_address(address: str) -> bool:
    """Tell whether an IP address is one that anybody on the internet may reach.

    Loopback, private, link-local (cloud metadata too), carrier-grade NAT, multicast and reserved addresses are not;
    nor is an IPv6 address that carries such an IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _nat64(ip)
        if inner is not None:
            return is_public_address(str(inner))
        if ip.is_site_local or any(ip in one for one in _ALSO_PRIVATE):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def is_private_name(name: str) -> bool:
    """Tell whether no name server of the internet knows this name (in lower case): it has no dot, or such an end."""
    return "." not in name or name.endswith(_PRIVATE_NAMES)


def reach_of(url: str, *, platform_on_loopback: bool) -> Reach:
    """Say who can fetch this URL, without asking anybody.

    A literal address of this machine or of a private network is `Reach.PRIVATE`, and so is a name without a dot or
    with an ending that is never public (``localhost``, ``nas.local``), unless the platform itself runs on loopback; any
    other literal address is `Reach.PUBLIC`; of other names only a resolver could tell.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        host = ""
    if not host:
        return Reach.PRIVATE
    name = host.rstrip(".").lower()
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if not is_private_name(name):
            return Reach.UNKNOWN
        loopback = name == "localhost" or name.endswith(".localhost")
        return (Reach.PUBLIC if loopback else Reach.UNKNOWN) if platform_on_loopback else Reach.PRIVATE
    return Reach.PUBLIC if platform_on_loopback or is_public_address(name) else Reach.PRIVATE


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address within the well-known prefix ``64:ff9b::/96``."""
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None

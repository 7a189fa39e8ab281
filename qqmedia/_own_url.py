"""Where the outside finds a server that runs on this machine, as far as this machine can tell."""

from __future__ import annotations

import socket
from typing import Final

__all__ = ("own_url",)

_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not listened on
# Addresses for documentation (RFC 5737, RFC 3849): a UDP socket that is "connected" to one sends nothing.
_ANYWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_ANY_PORT: Final = 9
_LOOPBACK: Final = "127.0.0.1"


def own_url(host: str, port: int, *, tls: bool, platform_on_loopback: bool) -> str:
    """Return what the URLs of a server on this machine begin with, without a slash at the end; sends nothing.

    Args:
        host: What it listens on. For every address (``0.0.0.0``, ``::`` or empty) that of the default route is taken.
        port: On which it listens.
        tls: Whether it speaks https.
        platform_on_loopback: The platform runs on this machine too: then loopback is taken for every address.
    """
    if host in _ANY_ADDRESS:
        host = _LOOPBACK if platform_on_loopback else _outgoing_address(with_ipv6=host == "::")
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _outgoing_address(*, with_ipv6: bool) -> str:
    for family, anywhere in _ANYWHERE if with_ipv6 else _ANYWHERE[:1]:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.setblocking(False)  # noqa: FBT003 - its signature
            try:
                probe.connect((anywhere, _ANY_PORT))
                return str(probe.getsockname()[0])
            except OSError:  # no route
                continue
    return _LOOPBACK

"""Hosts in a private network that somebody lets links be fetched from all the same."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from yarl import URL

from qqmedia.errors import ConfigurationError

__all__ = ("HOST_NAME", "TrustedHosts")

_EXAMPLES: Final = '"renderer.lan", "127.0.0.1:8080", "[fd00::5]:8080" or "192.168.1.0/24"'
_MOST_PORTS: Final = 65_535
HOST_NAME: Final = re.compile(r"[a-z0-9._-]+")  # once it is made ASCII

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name or a network, at one port or at any."""

    name: str | None
    network: Network | None
    port: int | None


class TrustedHosts:
    """Knows names, addresses and networks, each with a port or for any.

    Args:
        given: As people write them.

    Raises:
        ConfigurationError: One is nothing of the kind.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        if isinstance(given, str):
            raise ConfigurationError(f"trusted hosts must be several, such as ({_EXAMPLES}), got {given!r}")
        self._entries = tuple(_read(one) for one in given)

    def has_name(self, name: str, port: int | None) -> bool:
        """Return whether this name is one of them, whatever it means."""
        return any(one.name == name.lower() and one.port in (None, port) for one in self._entries)

    def has_address(self, address: str, port: int | None) -> bool:
        """Return whether this address is one of them, or in one of their networks."""
        if not self._entries:
            return False
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(
            one.network is not None and ip in one.network and one.port in (None, port) for one in self._entries
        )  # fmt: skip

    def names_loopback(self, name: str, port: int | None) -> bool:
        """Return whether this name stands for this machine, and this machine is one of them."""
        return (name == "localhost" or name.endswith(".localhost")) and self.has_address("127.0.0.1", port)


def _read(text: object) -> _Entry:
    wrong = ConfigurationError(f"a trusted host must be such as {_EXAMPLES}, got {text!r:.80}")
    if not isinstance(text, str) or not text.strip():
        raise wrong
    host, port = text.strip().lower(), None
    if host.startswith("[") or host.count(":") == 1:
        host, _, digits = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if digits:
            if not digits.isdecimal() or not 0 < int(digits) <= _MOST_PORTS:
                raise wrong
            port = int(digits)
        host = host.removeprefix("[").removesuffix("]")
    try:
        return _Entry(None, ipaddress.ip_network(host), port)
    except ValueError:
        name = _ascii(host.rstrip("."))
        if not HOST_NAME.fullmatch(name):
            raise wrong from None
    return _Entry(name, None, port)


def _ascii(name: str) -> str:
    """Return the name as requests have it; empty where it can be none."""
    try:
        return URL.build(scheme="http", host=name).raw_host or ""
    except ValueError:
        return ""

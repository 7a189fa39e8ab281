"""Settings of receiving by webhook."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from qqmedia import ConfigurationError

__all__ = ("WebhookOptions",)

_HIGHEST_PORT: Final = 65535

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where events are received; several bots may name the same address, and are told apart by their appid.

    Attributes:
        host: Address to listen on.
        port: Port to listen on. The platform calls 80, 443, 8080 and 8443 only; behind a proxy any port will do.
        path: Path of the address that is entered in the platform's console.
        certfile: Certificate with its chain, as PEM; without it, plain HTTP for a proxy that does TLS.
        keyfile: Its private key, where that is not in `certfile`.
        trusted_proxies: Addresses or networks whose ``X-Forwarded-For`` is believed; it only matters for the log.
        max_age_seconds: How far a request's timestamp may be from now; `None`: any. The platform documents no limit.
    """

    host: str = "0.0.0.0"  # noqa: S104 - the platform has to reach it
    port: int = 8443
    path: str = "/qqbot"
    certfile: str | os.PathLike[str] | None = field(default=None, kw_only=True)
    keyfile: str | os.PathLike[str] | None = field(default=None, kw_only=True, repr=False)
    trusted_proxies: Sequence[str] = field(default=(), kw_only=True)
    max_age_seconds: float | None = field(default=300.0, kw_only=True)

    def __post_init__(self) -> None:
        if type(self.port) is not int or not 0 <= self.port <= _HIGHEST_PORT:
            raise ConfigurationError(f"webhook port must be a number from 0 to {_HIGHEST_PORT}, got {self.port!r}")
        path: object = self.path
        if not (isinstance(path, str) and path.startswith("/") and path.isascii()) or set(path) & set("?# "):
            raise ConfigurationError(f"webhook path must be like '/qqbot', got {self.path!r}")
        if self.keyfile is not None and self.certfile is None:
            raise ConfigurationError("webhook keyfile is the key of certfile, which is missing")
        age: object = self.max_age_seconds
        if age is not None and not (isinstance(age, (int, float)) and age > 0):
            raise ConfigurationError(
                f"webhook max_age_seconds must be more than 0, or None for no limit, got {self.max_age_seconds!r}"
            )
        if isinstance(self.trusted_proxies, str):
            raise ConfigurationError(
                f"webhook trusted_proxies is a list: [{self.trusted_proxies!r}], got {self.trusted_proxies!r}"
            )
        self.proxy_networks()

    def proxy_networks(self) -> tuple[Network, ...]:
        """Return `trusted_proxies` as networks.

        Raises:
            ConfigurationError: One of them is none.
        """
        try:
            return tuple(ipaddress.ip_network(one, strict=False) for one in self.trusted_proxies)
        except ValueError as error:
            raise ConfigurationError(
                f"webhook trusted_proxies takes addresses or networks such as '10.0.0.0/8': {error}"
            ) from error

    def differences(self, other: WebhookOptions) -> str:
        """Return which options of the listener differ, for a person; bots that share it must agree on them."""
        mine, others = self._of_the_listener(), other._of_the_listener()
        return ", ".join(name for name, value in mine.items() if value != others[name])

    def _of_the_listener(self) -> dict[str, object]:
        """Return what the listener goes by, however it was written."""
        return {
            "certfile": self.certfile and os.fspath(self.certfile),
            "keyfile": self.keyfile and os.fspath(self.keyfile),
            "trusted_proxies": frozenset(self.proxy_networks()),
        }

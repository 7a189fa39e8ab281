"""Where the built-in media server will be found, before it has said so itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qqmedia.settings import load_settings

if TYPE_CHECKING:
    from bot_core.qq_group.options import QQGroupChainBuilderOptions

__all__ = ("ServerAddress", "server_address")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """What the settings say.

    Attributes:
        tls: Whether there is a certificate.
        host: To listen on; may stand for any address.
        port: To listen on.
        public_url: What the outside sees, if that is another address.
    """

    tls: bool
    host: str
    port: int
    public_url: str | None


def server_address(options: QQGroupChainBuilderOptions) -> ServerAddress:
    """Return what the options say, else ``QQMEDIA_LOCAL_*``, else ``qqmedia.toml``, as the server itself will see it.

    Raises:
        ConfigurationError: A setting is wrong.
    """
    from pydantic import BaseModel  # noqa: PLC0415 - only for builders of this kind

    class Settings(BaseModel):
        host: str = options.host
        port: int = options.port
        resource_path: str = ""
        public_url: str | None = None
        http_server_options: dict[str, Any] | None = None

    given = options.server_settings()
    server_options = given.pop("http_server_options", None)
    given.pop("resource_path", None)
    settings = load_settings(Settings, "local", given)
    secure = _has_certificate(settings.http_server_options if server_options is None else server_options)
    return ServerAddress(secure, settings.host, settings.port, settings.public_url)


def _has_certificate(options: object) -> bool:
    """Look into a mapping, or an object with such attributes; AmiyaBot had it one level deeper."""
    if options is None:
        return False
    fields: Mapping[str, Any] = options if isinstance(options, Mapping) else getattr(options, "__dict__", {})
    return bool(fields.get("ssl_certfile")) or _has_certificate(fields.get("uvicorn_options"))

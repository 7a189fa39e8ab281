"""Settings of the built-in media server, under the names that bots written for AmiyaBot use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from qqmedia import ConfigurationError
from qqmedia.guard import TrustedHosts

__all__ = ("QQGroupChainBuilderOptions", "check_options")

# Which of the fields are settings of the driver `local`; the others are about downloads.
_SERVER_FIELDS: Final = ("host", "port", "resource_path", "http_server_options", "public_url")


@dataclass(frozen=True)
class QQGroupChainBuilderOptions:
    """How media are served when the driver is `local`, and how links are downloaded.

    Only fields that differ from their default count as given, so that ``QQMEDIA_LOCAL_*`` works beside them.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; shared by all bots of this machine that name the same folder.
        resource_path: Folder that is served.
        http_server_options: Options of the server (TLS, ...), a mapping or an object with such attributes.
        public_url: What the outside sees: ``https://media.example.com``, behind nginx, a CDN or a tunnel.
        server_config: AmiyaBot's later name of `http_server_options`.
        download_media: Fetch pictures given by a link here and upload them, instead of letting the platform fetch them.
        media_download_timeout: Seconds for such a download.
        media_max_bytes: How large such a download may be.
        media_trust_env: Whether such a download uses the proxy of the environment.
        media_trusted_hosts: Hosts of a private network (a renderer, a NAS) that links may be fetched from: names,
            addresses or networks, each with a port or for any: ``("127.0.0.1:8080", "nas.lan", "192.168.1.0/24")``.
            Whoever writes to the bot may get it to fetch from there, so name nothing that answers more than pictures.

    Raises:
        ConfigurationError: A value makes no sense.
    """

    host: str = "0.0.0.0"  # noqa: S104 - serving the platform is what it is for
    port: int = 8086
    resource_path: str | os.PathLike[str] = "./resource"
    http_server_options: object = field(default=None, repr=False)  # it may hold the password of the key
    public_url: str | None = field(default=None, kw_only=True)
    server_config: object = field(default=None, kw_only=True, repr=False)
    download_media: bool = field(default=False, kw_only=True)
    media_download_timeout: float = field(default=10.0, kw_only=True)
    media_max_bytes: int = field(default=20 * 1024 * 1024, kw_only=True)
    media_trust_env: bool = field(default=False, kw_only=True)
    media_trusted_hosts: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.http_server_options is not None and self.server_config is not None:
            raise ConfigurationError("http_server_options and server_config are two names of one thing; give one")
        for name in ("media_download_timeout", "media_max_bytes"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and value > 0):  # NaN is not
                raise ConfigurationError(f"{name} must be a number greater than 0, got {value!r:.80}")
        TrustedHosts(self.media_trusted_hosts)  # refuses what is none

    def server_settings(self) -> dict[str, Any]:
        """Return the settings of the driver `local` that were given."""
        given: dict[str, Any] = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name in _SERVER_FIELDS and getattr(self, one.name) != one.default
        }
        options = self.http_server_options if self.http_server_options is not None else self.server_config
        if options is not None:
            given["http_server_options"] = options
        return given


def check_options(name: str, given: object) -> None:
    """Refuse anything else, such as a `dict` of the same.

    Raises:
        ConfigurationError: It says what to write.
    """
    if not isinstance(given, QQGroupChainBuilderOptions):
        example = ", ".join(f"{key}=..." for key in given) if isinstance(given, dict) else "..."
        raise ConfigurationError(f"{name} must be QQGroupChainBuilderOptions({example}), got {type(given).__name__}")

"""Makes the clients of COS: everything that must be told to the SDK is told here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosClientError

from qqmedia import ConfigurationError
from qqmedia_drivers._sdk.http import certificates, open_session
from qqmedia_drivers._sdk.urls import has_no_names
from qqmedia_drivers.cos._settings import CosSettings

__all__ = ("Connected", "connect")


@dataclass(frozen=True, slots=True)
class Connected:
    """Clients, which any thread may use.

    Attributes:
        calls: Sends requests.
        urls: Makes URLs; it may speak of another host than `calls`.
        session: Of `calls`.
        endpoint_url: The address of the service.
    """

    calls: Any
    urls: Any
    session: requests.Session
    endpoint_url: str


def connect(settings: CosSettings) -> Connected:
    """Make the clients; nothing is sent.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    endpoint_url = _endpoint_url(settings)
    session = open_session(settings, endpoint_url)
    try:
        calls = _client(settings, session, _for_calls(settings, endpoint_url))
        urls = _client(settings, session, _for_urls(settings, endpoint_url))
    except CosClientError as error:
        raise ConfigurationError(
            f"the SDK of COS takes these settings not: {error}; check region, endpoint_url"
        ) from error
    return Connected(calls, urls, session, endpoint_url)


def _client(settings: CosSettings, session: requests.Session, address: dict[str, Any]) -> Any:
    config = CosConfig(
        Region=settings.region,
        SecretId=settings.secret_id.get_secret_value(),
        SecretKey=settings.secret_key.get_secret_value(),
        Token=settings.token and settings.token.get_secret_value(),
        Timeout=(settings.connect_timeout, settings.read_timeout),
        VerifySSL=certificates(settings),
        **address,
    )
    # The host tries again, with jitter and within its limits. Without a session of its own a client shares ten
    # connections with all others of the process.
    return CosS3Client(config, retry=0, session=session)


def _endpoint_url(settings: CosSettings) -> str:
    """Return the address of the service, without the bucket."""
    if settings.endpoint_url is None:
        return f"https://cos.{settings.region}.myqcloud.com"
    parts = urlsplit(settings.endpoint_url)
    return parts._replace(netloc=parts.netloc.removeprefix(f"{settings.bucket}.")).geturl()


def _for_calls(settings: CosSettings, endpoint_url: str) -> dict[str, Any]:
    parts = urlsplit(endpoint_url)
    if has_no_names(parts.hostname):
        # Nothing can stand before it, so that the bucket is named in the header Host, as the region's own address.
        return {
            "Scheme": parts.scheme,
            "IP": parts.netloc.rpartition(":")[0] if parts.port else parts.netloc,
            "Port": parts.port,
        }
    if parts.port is not None:
        # The SDK signs the port only where it is told host and port apart.
        host = f"{settings.bucket}.{parts.hostname}"
        return {"Scheme": parts.scheme, "Endpoint": parts.netloc, "IP": host, "Port": parts.port}
    return {"Scheme": parts.scheme, "Endpoint": parts.netloc}


def _for_urls(settings: CosSettings, endpoint_url: str) -> dict[str, Any]:
    if settings.public_base_url is not None:
        own = urlsplit(settings.public_base_url)
        return {"Scheme": own.scheme, "Domain": own.netloc}
    parts = urlsplit(endpoint_url)
    if has_no_names(parts.hostname):
        return {"Scheme": parts.scheme, "Domain": parts.netloc}
    return {"Scheme": parts.scheme, "Endpoint": parts.netloc}

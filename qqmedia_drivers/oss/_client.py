"""Makes the clients of OSS: everything that must be told to the SDK is told here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import oss2
import requests

from qqmedia import ConfigurationError
from qqmedia_drivers._sdk.http import open_session
from qqmedia_drivers.oss._settings import OssSettings

__all__ = ("Connected", "connect")


@dataclass(frozen=True, slots=True)
class Connected:
    """Clients, which any thread may use.

    Attributes:
        calls: Sends requests.
        urls: Makes URLs; it may speak of another host than `calls`.
        session: Of `calls`.
        region: The region that is signed for.
        endpoint_url: The address that URLs are made of.
        upload_url: The address that is spoken to.
        fast_crc: Whether the SDK's own checksum is quick here; it is not used.
    """

    calls: Any
    urls: Any
    session: requests.Session
    region: str
    endpoint_url: str
    upload_url: str
    fast_crc: bool


def connect(settings: OssSettings) -> Connected:
    """Make the clients; nothing is sent.

    Raises:
        ConfigurationError: The SDK refuses a setting.
    """
    region = settings.resolved_region or ""  # the settings see to it that there is one
    endpoint_url = _without_bucket(settings.endpoint_url or f"https://oss-{region}.aliyuncs.com", settings)
    upload_url = _without_bucket(settings.internal_endpoint_url or endpoint_url, settings)
    session = open_session(settings, upload_url)
    # With a public_base_url, URLs are signed for that domain: it is bound to the bucket.
    own = settings.public_base_url if settings.presigned else None
    try:
        calls = _bucket(
            settings, session, upload_url, region,
            is_cname=settings.is_cname and settings.internal_endpoint_url is None,
        )  # fmt: skip
        urls = _bucket(settings, session, own or endpoint_url, region, is_cname=settings.is_cname or own is not None)
    except oss2.exceptions.ClientError as error:
        raise ConfigurationError(
            f"the SDK of OSS takes these settings not: {error.body}; check endpoint_url and internal_endpoint_url"
        ) from error
    return Connected(calls, urls, session, region, endpoint_url, upload_url, _has_fast_crc())


def _bucket(settings: OssSettings, session: requests.Session, url: str, region: str, *, is_cname: bool) -> Any:
    provider = oss2.credentials.StaticCredentialsProvider(
        settings.access_key_id.get_secret_value(),
        settings.access_key_secret.get_secret_value(),
        settings.security_token.get_secret_value() if settings.security_token else "",
    )
    sdk_session = oss2.Session(pool_size=settings.threads)
    sdk_session.session = session
    return oss2.Bucket(
        oss2.ProviderAuthV4(provider),  # version 1 is closed to new accounts and buckets
        url,
        settings.bucket,
        is_cname=is_cname,
        session=sdk_session,
        connect_timeout=(settings.connect_timeout, settings.read_timeout),
        enable_crc=False,  # bodies are checked by MD5
        region=region,
    )


def _has_fast_crc() -> bool:
    """Tell whether crcmod has its part in C; without it, it is thirty times slower and holds up all threads."""
    try:
        importlib.import_module("crcmod._crcfunext")
    except ImportError:
        return False
    return True


def _without_bucket(url: str, settings: OssSettings) -> str:
    """Take the bucket off, for whoever copied its own address from the console."""
    parts = urlsplit(url)
    if settings.is_cname:
        return url
    return parts._replace(netloc=parts.netloc.removeprefix(f"{settings.bucket}.")).geturl()

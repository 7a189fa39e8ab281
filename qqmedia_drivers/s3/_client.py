"""Makes the S3 client: everything that must be told to the SDK is told here.

It is botocore's, the lower half of boto3: of the upper half nothing is needed.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from qqmedia import ConfigurationError
from qqmedia_drivers.s3._presets import AddressingStyle
from qqmedia_drivers.s3._settings import S3Settings

__all__ = ("Connected", "connect")

_SIGNED_OVER_TLS: Final = {"payload_signing_enabled": False}


@dataclass(frozen=True, slots=True)
class Connected:
    """A client, which any thread may use, and what it came out as.

    Attributes:
        client: Of the SDK, for S3.
        urls: Signs URLs; it may speak of another host than `client`.
        endpoint_url: The address that it speaks to.
        region: The region that it signs for.
    """

    client: Any
    urls: Any
    endpoint_url: str
    region: str


def connect(settings: S3Settings) -> Connected:
    """Make the client; nothing is sent. It reads the user's AWS files: call it outside the event loop.

    Raises:
        ConfigurationError: The profile does not exist, or boto3 refuses a setting.
    """
    try:
        session = botocore.session.Session(profile=settings.profile)
        session.register_component("data_loader", _descriptions())
        region = settings.resolved_region(session.get_config_variable("region"))
        endpoint_url = settings.resolved_endpoint(region)
        client = _client(session, settings, region, endpoint_url, settings.resolved_addressing(endpoint_url))
        # Behind a proxy with a name of its own, that is the host which gets to see the signature.
        own = settings.signed_base if settings.presigned else None
        urls = client if own is None else _client(session, settings, region, *own)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"boto3 does not take these settings of s3: {error}; check profile (AWS_PROFILE), region and endpoint_url"
        ) from error
    client.meta.events.register_last("before-call.s3", _before_call)
    return Connected(client, urls, client.meta.endpoint_url, region)


def _client(
    session: Any, settings: S3Settings, region: str, endpoint_url: str | None, addressing: AddressingStyle
) -> Any:
    return session.create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        verify=None if settings.verify is True else (settings.verify and str(settings.verify)),
        config=_config(settings, endpoint_url, addressing),
        **_credentials(settings),
    )


@functools.cache
def _descriptions() -> Any:
    """Return the SDK's loader of service descriptions; it keeps them, and parsing takes longer than all the rest."""
    return botocore.session.Session().get_component("data_loader")


def _credentials(settings: S3Settings) -> dict[str, str]:
    if settings.access_key_id is None or settings.secret_access_key is None:
        return {}
    given = {
        "aws_access_key_id": settings.access_key_id,
        "aws_secret_access_key": settings.secret_access_key.get_secret_value(),
    }
    if settings.session_token is not None:
        given["aws_session_token"] = settings.session_token.get_secret_value()
    return given


def _config(settings: S3Settings, endpoint_url: str | None, addressing: AddressingStyle) -> Config:
    over_tls = endpoint_url is None or endpoint_url.startswith("https:")
    return Config(
        # Without it us-east-1 presigns with version 2, which no new bucket takes.
        signature_version="s3v4",
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=settings.threads,
        # The host tries again, with jitter and within its limits; twice over would be the product of both.
        retries={"mode": "standard", "total_max_attempts": 1},
        # Else bodies over https get a trailer that other services than Amazon's refuse, or store.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": addressing,
            # TLS guards the body already; to hash it as well costs a third more.
            **(_SIGNED_OVER_TLS if over_tls else {}),
        },
        tcp_keepalive=True,
    )


def _before_call(params: dict[str, Any], context: dict[str, Any], **_others: Any) -> None:
    # A wrong region is to be an error: boto3 would silently send everything twice, and presign for the wrong one.
    if isinstance(marks := context.get("s3_redirect"), dict):
        marks["redirected"] = True
    # Bytes are sent at once. For a file boto3 asks first whether it may, which is a round trip.
    if isinstance(params.get("body"), io.BytesIO):
        params["headers"].pop("Expect", None)

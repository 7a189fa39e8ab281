"""Settings that every cloud has, under the same names, and the variables of their vendors."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from qqmedia import DriverContext

__all__ = ("BucketSettings", "KeyId", "Secret", "VendorVariables", "WebAddress", "also")

_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"false", "no", "off", "0"})
# Of the host's time limit, what an SDK may take: the rest is for the way back from its thread.
_BELOW_HOST: Final = 0.9

logger = logging.getLogger("qqmedia_drivers")


@dataclass(frozen=True, slots=True)
class VendorVariables:
    """Marks a field that is taken from the vendor's own variables where no source of ours gives it.

    ::

        secret_id: Annotated[SecretStr, VendorVariables("TENCENTCLOUD_SECRET_ID", "COS_SECRET_ID")]

    The first that is set and not empty counts.
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    def value(self) -> str | None:
        """Return what they say now."""
        return next((os.environ[name] for name in self.names if os.environ.get(name)), None)


def also(name: str, *others: str) -> AliasChoices:
    """Return the names under which a setting is accepted; `name` is the field's own.

    ::

        region: str = Field(validation_alias=also("region", "area"))
    """
    return AliasChoices(name, *others)


def _web_address(url: str) -> str:
    if "://" not in url:  # consoles show addresses so
        url = f"https://{url}"
    parts = urlsplit(url)
    _ = parts.port  # a ValueError, if it is no number
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be http://HOST or https://HOST, a path may follow")
    if parts.username or parts.password:
        raise ValueError("must hold no user name and no password")
    return url.rstrip("/")


def _verify(value: Any) -> Any:
    """Take a path, or yes or no in any spelling; variables are text."""
    if isinstance(value, str) and value.lower() in _YES | _NO:
        return value.lower() in _YES
    if isinstance(value, str | os.PathLike) and not Path(value).exists():
        raise ValueError("must be true, false, or a file of certificates (PEM); there is no such file")
    return value


def _stripped(value: Any) -> Any:
    """Take off what a copy from the console brings along."""
    return value.strip() if isinstance(value, str) else value


def _sendable(value: Any) -> Any:
    """Refuse what no header can hold; libraries would show it when they say so."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be ASCII without blanks and line breaks: copy it again")
    return value


def _prefix(prefix: str) -> str:
    prefix = prefix.lstrip("/")
    parts = prefix.removesuffix("/").split("/")
    if prefix and any(part in ("", ".", "..") for part in parts):
        raise ValueError('must be like "qqmedia/": no part may be empty, "." or ".."')
    return prefix


WebAddress = Annotated[str, AfterValidator(_web_address)]
Secret = Annotated[SecretStr, BeforeValidator(_stripped), Field(min_length=1), AfterValidator(_sendable)]
KeyId = Annotated[str, BeforeValidator(_stripped), Field(min_length=1), AfterValidator(_sendable)]


class BucketSettings(BaseModel):
    """Settings of any driver for a bucket.

    Attributes:
        bucket: Name of the bucket.
        prefix: Comes before every key. Object names are ``<prefix><key>``.
        public_base_url: What the outside sees of the bucket's root (CDN, custom domain); URLs are this plus the name.
        url: ``public`` addresses, or ``presigned`` ones. Where it is not given, see `presigned`.
        endpoint_url: Address of the service.
        verify: Check certificates; or a file of certificates to be trusted (PEM).
        acl: Set on every object, where given.
        cache_control: Of every object; ``public, max-age=<ttl>`` where not given.
        threads: How many calls of the SDK run at once.
        connect_timeout: Seconds for a connection.
        read_timeout: Seconds without a byte; see `within_host`.
        part_size_mib: Larger bodies are uploaded in parts of this many MiB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, str_strip_whitespace=True)

    bucket: str = Field(min_length=1)
    prefix: Annotated[str, AfterValidator(_prefix)] = Field("qqmedia/", validation_alias=also("prefix", "path"))
    public_base_url: WebAddress | None = Field(
        None, validation_alias=also("public_base_url", "public_url", "custom_url")
    )
    url: Literal["public", "presigned"] | None = None
    endpoint_url: WebAddress | None = Field(None, validation_alias=also("endpoint_url", "endpoint"))
    verify: Annotated[bool | Path, BeforeValidator(_verify)] = Field(
        default=True, validation_alias=also("verify", "ca_bundle")
    )
    acl: str | None = None
    cache_control: str | None = None
    threads: int = Field(6, ge=1, le=64)
    connect_timeout: float = Field(5.0, gt=0)
    read_timeout: float = Field(30.0, gt=0)
    part_size_mib: int = Field(5, ge=1, le=1024)

    @model_validator(mode="before")
    @classmethod
    def _from_vendor(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found = dict(given)
        for name, info in cls.model_fields.items():
            key = info.validation_alias.choices[0] if isinstance(info.validation_alias, AliasChoices) else name
            for mark in info.metadata:
                if isinstance(mark, VendorVariables) and key not in found and (value := mark.value()):
                    found[key] = value
        return found

    @property
    def presigned(self) -> bool:
        """Whether URLs are signed: as `url` says; else wherever nobody gave a public address."""
        return self.url == "presigned" if self.url else self.public_base_url is None

    @property
    def part_bytes(self) -> int:
        """`part_size_mib` in bytes."""
        return self.part_size_mib * 1024 * 1024

    def within_host(self, context: DriverContext) -> Self:
        """Return these settings with both time limits, one after the other, below the host's.

        A call in a thread cannot be cancelled: one that nobody waits for any more is to end by itself, and an error of
        the SDK says more than the host's own.
        """
        # A context of a test that somebody wrote by hand, before there was this in it, says nothing: then as they are.
        longest = _BELOW_HOST * getattr(context, "put_timeout", math.inf)
        connect = min(self.connect_timeout, longest / 2)
        limits = {"connect_timeout": connect, "read_timeout": min(self.read_timeout, longest - connect)}
        for name in self.model_fields_set.intersection(limits):
            if limits[name] < getattr(self, name):
                logger.warning(
                    "driver %r: %s is lowered to %g s, to end below the host's put_timeout of %g s; raise that too"
                    " (QQMEDIA_HOST_PUT_TIMEOUT)",
                    context.name, name, limits[name], context.put_timeout,
                )  # fmt: skip
        return self.model_copy(update=limits)

    def secrets(self) -> tuple[str, ...]:
        """Return every value that must never show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))

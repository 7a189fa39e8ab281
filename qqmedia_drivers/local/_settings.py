"""What can be set for the driver `local`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

__all__ = ("LocalSettings",)

# What this server understands.
_KNOWN: Final = ("ssl_certfile", "ssl_keyfile", "ssl_keyfile_password")
# What the server of AmiyaBot took and has no meaning here: FastAPI and its pages are gone.
_RETIRED: Final = (
    "api_prefix",
    "auth_key",
    "default_tags",
    "description",
    "fastapi_options",
    "logging_options",
    "title",
    "uvicorn_options",
)

logger = logging.getLogger("qqmedia_drivers.local")


def _server_options(given: object) -> object:
    """Turn what people give as `http_server_options` into a dict of the known keys; see `LocalSettings`."""
    if given is None or isinstance(given, str):  # pydantic says what is wrong with a text
        return given
    options = _as_dict(given)
    nested = options.get("uvicorn_options")
    uvicorn = _as_dict(nested) if nested is not None else {}
    unknown = sorted(set(options) - {*_KNOWN, *_RETIRED})
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; known are {', '.join((*_KNOWN, *_RETIRED))}")
    retired = sorted(set(options) & set(_RETIRED) - {"uvicorn_options"})
    retired += sorted(f"uvicorn_options[{key!r}]" for key in uvicorn if key not in _KNOWN)
    if retired:
        logger.warning("http_server_options: %s has no meaning for this server and is ignored", ", ".join(retired))
    wanted = {key: value for key, value in (uvicorn | options).items() if key in _KNOWN}
    if wanted and not wanted.get("ssl_certfile"):
        raise ValueError(f"{', '.join(sorted(wanted))} without ssl_certfile; give both, or neither")
    return wanted


def _as_dict(options: object) -> dict[str, Any]:
    """Return the keys that were set, of a mapping or of an object with attributes."""
    if isinstance(options, Mapping):
        return {str(key): value for key, value in options.items() if value is not None}
    own = vars(options) if hasattr(options, "__dict__") else {}
    # What its class has, and what stands in slots or behind properties, is set as well; methods (of a `str`) are not.
    named = {name: value for name in (*_KNOWN, *_RETIRED) if not callable(value := getattr(options, name, None))}
    items = named | {name: value for name, value in own.items() if not name.startswith("_")}
    found = {name: value for name, value in items.items() if value is not None}
    if not found and not hasattr(options, "__dict__"):
        raise ValueError(f"expected a dict or an object with attributes, got {type(options).__name__}")
    return found


class LocalSettings(BaseModel):
    """Settings of the driver `local`.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 is any free one.
        resource_path: Folder for the media; made if it is not there. Files of other people in it are never touched.
        public_url: What the outside sees (proxy, CDN, tunnel), without ``/resource``; by default the address itself.
        http_server_options: `ssl_certfile`, `ssl_keyfile`, `ssl_keyfile_password` - at the top, or in
            `uvicorn_options` as bots written for AmiyaBot have them. A dict, or an object with such attributes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "0.0.0.0"  # noqa: S104 - the platform comes from outside
    port: int = Field(default=8086, ge=0, le=65535)
    resource_path: Path = Path("./resource")
    public_url: str | None = None
    # It may hold the password of the key, which belongs in no log.
    http_server_options: Annotated[dict[str, Any] | None, BeforeValidator(_server_options)] = Field(
        default=None, repr=False
    )

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"must be http://HOST or https://HOST, a path may follow; got {url!r}")
        return url.rstrip("/").removesuffix("/resource")

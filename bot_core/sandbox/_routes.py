"""Which call a method and a path are."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

__all__ = ("GATEWAY_PATH", "STORAGE_PATH", "TOKEN_PATH", "Route", "find_route")

TOKEN_PATH: Final = "/app/getAppAccessToken"  # noqa: S105 - an address
GATEWAY_PATH: Final = "/websocket"
STORAGE_PATH: Final = "/storage"

_FIXED: Final = {
    ("GET", "/users/@me"): "me",
    ("GET", "/gateway"): "gateway",
    ("GET", "/gateway/bot"): "gateway_bot",
    ("POST", "/v2/media-images/prepare"): "image_prepare",
    ("POST", "/v2/media-images/complete"): "image_complete",
    ("GET", "/v2/media-images"): "image_list",
    ("POST", TOKEN_PATH): "token",
    ("GET", GATEWAY_PATH): "websocket",
}

# Method, the word after the openid, and how many parts the path has: /v2/groups/{openid}/messages has five.
_IN_CHAT: Final = {
    ("POST", "messages", 5): "messages",
    ("POST", "files", 5): "files",
    ("POST", "upload_prepare", 5): "upload_prepare",
    ("POST", "upload_part_finish", 5): "upload_part_finish",
    ("POST", "stream_messages", 5): "stream",
    ("DELETE", "messages", 6): "recall",
}

# Method, place in the storage, and how many parts the path has.
_IN_STORAGE: Final = {
    ("PUT", "robot_upload", 6): "upload_part",
    ("PUT", "media_images", 4): "image_put",
    ("GET", "raw", 4): "raw_url",
}

# Calls that count and fail as the same kind.
_KINDS: Final = {"gateway_bot": "gateway"}


class Route(NamedTuple):
    """Which call a request is.

    Attributes:
        call: Its name; empty for none.
        kind: As what it counts, and as what it can be made to fail.
        path: Without the query.
        named: What the path names.
    """

    call: str
    kind: str
    path: str
    named: tuple[str, ...] = ()


def find_route(method: str, path: str) -> Route:
    """Return which call it is."""
    parts = path.split("/")
    size = len(parts)
    if size in (5, 6) and parts[1] == "v2" and parts[2] in ("groups", "users"):
        call = _IN_CHAT.get((method, parts[4], size))
        if call is not None:
            return Route(call, call, path, tuple(unquote(part) for part in (parts[2], parts[3], *parts[5:])))
    call = _FIXED.get((method, path))
    if call is not None:
        return Route(call, _KINDS.get(call, call), path)
    call, names = "", parts[3:]
    if method == "PUT" and size == 3 and parts[1] == "interactions":  # noqa: PLR2004 - /interactions/{id}
        call, names = "interactions", parts[2:]
    elif method == "DELETE" and parts[1:3] == ["v2", "media-images"] and parts[4:] in ([], ["delete"]) and size > 3:  # noqa: PLR2004
        call, names = "image_delete", parts[3:4]  # both forms of the path are reported
    elif path.startswith(f"{STORAGE_PATH}/"):
        call = _IN_STORAGE.get((method, parts[2], size), "")
    return Route(call, call, path, tuple(unquote(name) for name in names))

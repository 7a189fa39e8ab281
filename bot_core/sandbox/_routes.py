"""Which call a method and a path are."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

__all__ = ("GATEWAY_PATH", "STORAGE_PATH", "TOKEN_PATH", "find_call", "kind_of")

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


def find_call(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """Return which call it is, empty for none, and what its path names."""
    parts = path.split("/")
    size = len(parts)
    if size in (5, 6) and parts[1] == "v2" and parts[2] in ("groups", "users"):
        call = _IN_CHAT.get((method, parts[4], size))
        if call is not None:
            return call, tuple(unquote(part) for part in (parts[2], parts[3], *parts[5:]))
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed, ()
    if method == "PUT" and size == 3 and parts[1] == "interactions":  # noqa: PLR2004 - /interactions/{id}
        return "interactions", (unquote(parts[2]),)
    if method == "DELETE" and size in (4, 5) and parts[1:3] == ["v2", "media-images"] and parts[4:] in ([], ["delete"]):
        return "image_delete", (unquote(parts[3]),)  # both forms of the path are reported
    if path.startswith(f"{STORAGE_PATH}/"):
        return _IN_STORAGE.get((method, parts[2], size), ""), tuple(unquote(part) for part in parts[3:])
    return "", ()


def kind_of(call: str) -> str:
    """Return as what a call counts, and as what it can be made to fail."""
    return _KINDS.get(call, call)

"""What the control API tells of things that happened, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bot_core.sandbox._values import Acknowledged, Arrived, Recalled, Refused, Said, Undelivered, UploadCall

__all__ = (
    "acknowledged_json",
    "arrival_json",
    "recalled_json",
    "refused_json",
    "said_json",
    "undelivered_json",
    "upload_call_json",
)

# What stands in the place of a token that came.
_LEFT_OUT: Final = "***"


def said_json(said: Said) -> Mapping[str, Any]:
    """Return what was said."""
    return {
        "id": said.id,
        "event_id": said.event_id,
        "event_name": said.event_name,
        "appid": said.appid,
        "chat": said.chat,
        "openid": said.target.openid if said.target else None,
        "connected": said.connected,
        "at": said.at,
    }


def refused_json(entry: Refused) -> Mapping[str, Any]:
    """Return a call that was refused."""
    return {
        "appid": entry.appid,
        "path": entry.path,
        "status": entry.status,
        "code": entry.code,
        "message": entry.message,
        "at": entry.at,
    }


def recalled_json(entry: Recalled) -> Mapping[str, Any]:
    """Return a message that was taken back."""
    return {"appid": entry.appid, "id": entry.id, "openid": entry.target.openid, "at": entry.at}


def acknowledged_json(entry: Acknowledged) -> Mapping[str, Any]:
    """Return a button that was acknowledged."""
    return {
        "appid": entry.appid,
        "id": entry.id,
        "code": entry.code,
        "seconds": entry.seconds,
        "in_time": entry.in_time,
    }


def undelivered_json(entry: Undelivered) -> Mapping[str, Any]:
    """Return a request that a webhook did not take."""
    return {
        "appid": entry.appid,
        "event_id": entry.event_id,
        "url": entry.url,
        "number": entry.number,
        "last": entry.last,
        "why": entry.why,
        "at": entry.at,
    }


def upload_call_json(call: UploadCall) -> Mapping[str, Any]:
    """Return a request that has to do with media; tokens are left out."""
    headers = {name: _LEFT_OUT if name.lower() == "authorization" else value for name, value in call.headers.items()}
    return {
        "kind": call.kind,
        "method": call.method,
        "path": call.url.partition("?")[0],
        "headers": headers,
        "size": call.size,
        "status": call.status,
        "at": call.at,
    }


def arrival_json(entry: Arrived) -> Mapping[str, Any]:
    """Return what arrived."""
    media = entry.media
    return {
        "number": entry.number,
        "id": entry.id,
        "appid": entry.appid,
        "scene": entry.target.scene.value,
        "openid": entry.target.openid,
        "chat": entry.chat,
        "msg_id": entry.msg_id,
        "event_id": entry.event_id,
        "msg_seq": entry.msg_seq,
        "msg_type": entry.msg_type,
        "content": entry.content,
        "at": entry.at,
        "body": entry.body,
        "pictures": [
            {
                "text": picture.text,
                "url": picture.url,
                "size": picture.size,
                "content_type": picture.content_type,
                "sha256": picture.sha256,
                "download": f"/sandbox/media/{picture.stored.name}",
            }
            for picture in entry.pictures
        ],
        "media": None
        if media is None
        else {
            "file_type": media.file_type.value,
            "way": media.way,
            "url": media.url,
            "size": media.size,
            "content_type": media.content_type,
            "sha256": media.sha256,
            "file_name": media.file_name,
            "as_card": media.as_card,
            "download": f"/sandbox/media/{media.stored.name}",
        },
    }

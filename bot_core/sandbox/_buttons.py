"""What a bot is told when somebody presses a button (PLATFORM 6.5)."""

from __future__ import annotations

from typing import Any, Final

from bot_core.openapi.values import Scene, Target
from bot_core.sandbox._events import platform_time

__all__ = ("button_event",)

_BUTTON: Final = 11
_CHAT_TYPES: Final = {Scene.GROUP: 1, Scene.USER: 2}


def button_event(  # one argument a field
    target: Target, *, interaction_id: str, appid: str, member: str, button: str, data: str, message_id: str, at: float
) -> dict[str, Any]:
    """Return the `d` of an `INTERACTION_CREATE`."""
    where = {"user_openid": target.openid}
    if target.scene is Scene.GROUP:
        where = {"group_openid": target.openid, "group_member_openid": member}
    return {
        "id": interaction_id,
        "application_id": appid,
        "type": _BUTTON,
        "chat_type": _CHAT_TYPES[target.scene],
        "scene": "group" if target.scene is Scene.GROUP else "c2c",
        "timestamp": platform_time(int(at)),
        "version": 1,
        **where,
        "data": {
            "type": _BUTTON,
            "resolved": {
                "button_id": button,
                "button_data": data,
                "user_id": "",
                "feature_id": "",
                "message_id": message_id,
            },
        },
    }

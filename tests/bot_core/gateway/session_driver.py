"""Drives a session without a socket: what it is given, and what it wants done."""

from __future__ import annotations

import json
from typing import Any

from bot_core.gateway.actions import Action, AskTurn, Reconnect, Send
from bot_core.gateway.session import GatewaySession, Phase
from bot_core.openapi.values import Intents

__all__ = ("INTENTS", "Driver", "frame_of", "only")

INTENTS = Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION


class Driver:
    """Drives a session as a shard does, with a clock of its own."""

    def __init__(self, intents: int = INTENTS, *, kept: tuple[str, int] | tuple[str, int, int] | None = None) -> None:
        self.now = 1000.0
        self.session = GatewaySession(intents=intents, shard=(0, 2), jitter=lambda: 1.0)
        if kept is not None:
            self.session.take_up(*kept)

    def receive(self, frame: Any) -> list[Action]:
        return list(self.session.received(frame if isinstance(frame, str) else json.dumps(frame), self.now))

    def event(self, kind: str, data: Any, seq: int | None) -> list[Action]:
        return self.receive({"op": 0, "id": f"{kind}:{seq}", "t": kind, "s": seq, "d": data})

    def greet(self, interval: Any = 41250) -> dict[str, Any]:
        self.session.opened("T", self.now)
        (action,) = self.receive({"op": 10, "d": {"heartbeat_interval": interval}})
        if action == AskTurn():
            (action,) = self.session.granted(self.now)
        return frame_of(action)

    def go_live(self, session_id: str = "S", seq: int = 1) -> None:
        assert self.greet()["op"] == 2
        self.event("READY", {"session_id": session_id}, seq)
        assert self.session.phase is Phase.LIVE

    def resume(self) -> None:
        assert self.greet()["op"] == 6
        self.event("RESUMED", "", None)

    def close(self, code: int | None) -> Reconnect:
        return only(self.session.closed(code, self.now))

    def again(self, ending: Reconnect) -> dict[str, Any]:
        self.now += ending.delay
        return self.greet()


def frame_of(action: Action) -> dict[str, Any]:
    assert isinstance(action, Send)
    frame: dict[str, Any] = json.loads(action.text)
    return frame


def only(actions: Any) -> Reconnect:
    (action,) = actions
    assert isinstance(action, Reconnect)
    return action

"""The page about the gateway says what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot_core.gateway.close_codes import CLOSE_CODES
from bot_core.gateway.session import GatewaySession, Phase
from bot_core.openapi.values import Intents

pytestmark = pytest.mark.blocking  # it reads a page

PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"

Step = Callable[[GatewaySession, float], object]


def frame(op: int, kind: str | None = None, data: object = None) -> Step:
    text = json.dumps({"op": op, "d": data, "t": kind, "s": 1})
    return lambda session, now: session.received(text, now)


def close(code: int | None) -> Step:
    return lambda session, now: session.closed(code, now)


def opened(session: GatewaySession, now: float) -> None:
    if session.phase is Phase.OFFLINE:
        session.opened("T", now)


HELLO = frame(10, None, {"heartbeat_interval": 41250})
READY = frame(0, "READY", {"session_id": "S"})


def granted(session: GatewaySession, now: float) -> object:
    return session.granted(now)


LIVE = (opened, HELLO, granted, READY)
PATHS: tuple[tuple[Phase, tuple[Step, ...]], ...] = (
    (Phase.OFFLINE, ()),
    (Phase.HELLO, (opened,)),
    (Phase.HELLO, (*LIVE, close(4009), opened)),
    (Phase.QUEUED, (opened, HELLO)),
    (Phase.IDENTIFYING, (opened, HELLO, granted)),
    (Phase.LIVE, LIVE),
    (Phase.RESUMING, (*LIVE, close(4009), opened, HELLO)),
    (Phase.STOPPED, (opened, close(4914))),
)
STEPS: tuple[Step, ...] = (
    opened,
    HELLO,
    READY,
    granted,
    frame(0, "RESUMED", ""),
    frame(0, "X", {}),
    *(frame(op) for op in (1, 7, 11, 99)),
    frame(9, None, True),
    frame(9, None, False),
    *(close(code) for code in (None, 4321, *CLOSE_CODES)),
    lambda session, now: session.postponed(20),
    lambda session, now: session.unreachable("gone", now) if session.phase is Phase.OFFLINE else (),
    lambda session, now: session.tick(now + 1000),
)


def ways_in_the_code() -> Iterator[tuple[str, str]]:
    for phase, path in PATHS:
        for step in STEPS:
            session = GatewaySession(intents=Intents.GROUP_AND_C2C_EVENT | Intents.INTERACTION)
            for earlier in path:
                earlier(session, 1000.0)
            assert session.phase is phase
            step(session, 1000.0)
            if session.phase is not phase:
                yield phase.value, session.phase.value


def test_the_state_diagram_is_the_code() -> None:
    drawn = re.findall(r"^ +(\w+) --> (\w+):", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) == set(ways_in_the_code())


def test_the_table_of_close_codes_is_the_code() -> None:
    rows = re.findall(r"^\| (\d[\d, ]*) \| `(\w+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {int(number): (action, why) for numbers, action, why in rows for number in numbers.split(", ")}
    assert told == {number: (code.action.value, code.reason_en) for number, code in CLOSE_CODES.items()}

"""What can happen to events that come by webhook; rows of `benchmarks.faults`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks._relay import Relay, free_port
from benchmarks._stage import APPID, SECRET, Stage
from bot_core.sandbox import Webhook

__all__ = ("both", "forged", "replayed", "retried")


@asynccontextmanager
async def webhook(stage: Stage, receive: str = "webhook", **options: Any) -> AsyncIterator[tuple[Webhook, Relay]]:
    """Start a bot that gets its events by webhook, through a relay."""
    port = free_port()
    relay = Relay(f"http://127.0.0.1:{port}/qqbot")
    await relay.open()
    child = await stage.bot(receive=receive, webhook={"host": "127.0.0.1", "port": port}, wait=receive == "both")
    while not any("webhook" in line for line in child.lines()):  # noqa: ASYNC110 - a log cannot be awaited
        await asyncio.sleep(0.05)
    try:
        yield await stage.sandbox.use_webhook(relay.url, SECRET, appid=APPID, pause=0.2, **options), relay
        await stage.count_up()
    finally:
        await relay.close()


def message(number: int, **more: Any) -> bytes:
    """Return an event as the platform posts it."""
    data = {"id": f"forged-{number}", "group_openid": "G", "content": "forged", "author": {"member_openid": "M"}}
    frame = {"op": 0, "id": f"forged:{number}", "t": "GROUP_AT_MESSAGE_CREATE", "d": data}
    return json.dumps(frame | more).encode()


async def forged(stage: Stage) -> None:
    """Wrong secret, wrong signature, too old, of another bot, no headers: none may be handled."""
    async with webhook(stage) as (hook, _):
        stage.mark()
        await stage.speak(20)
        tries = [
            await hook.post(message(1), secret="not-the-secret"),
            await hook.post(message(2), headers={"X-Signature-Ed25519": "00" * 64}),
            await hook.post(message(3), timestamp=str(int(time.time()) - 3600)),
            await hook.post(message(4), headers={"X-Bot-Appid": "999"}),
            await hook.post(message(5), headers={"X-Signature-Ed25519": "", "X-Signature-Timestamp": ""}),
        ]
        await stage.speak(20)
    stage.row.note = f"answered {sorted({one.status or 0 for one in tries})}"
    if any(one.accepted for one in tries) or stage.sandbox.refused:  # a reply to a forged one would be refused
        stage.row.failed = "one of them was taken"


async def replayed(stage: Stage) -> None:
    """What was signed once is sent again, by whoever saw it."""
    async with webhook(stage) as (hook, _):
        stage.mark()
        bodies = []
        for _ in range(40):
            await stage.speak(1)
            said = stage.said[-1]
            assert said.target is not None
            data = {"id": said.id, "group_openid": said.target.openid, "content": said.text, "author": {"id": "M"}}
            bodies.append(message(0, id=said.event_id, d=data))
        await stage.count_up()
        tries = [await hook.post(body) for body in bodies]
    stage.row.note = f"{len(tries)} came again, answered {sorted({one.status or 0 for one in tries})}"


async def retried(stage: Stage) -> None:
    """The answers to twenty deliveries get lost, so that the platform delivers again."""
    async with webhook(stage, retries=3) as (hook, relay):

        def lose() -> None:
            relay.swallow = 20

        await stage.during(lose)
        again = sum(one.number > 1 for one in hook.tries)
    stage.row.note = f"{again} deliveries were repeated"
    if again < 20:
        stage.row.failed = "nothing was repeated"


async def both(stage: Stage) -> None:
    """Every event comes by both ways, and the socket is cut meanwhile."""
    async with webhook(stage, "both", both=True):
        await stage.during(stage.sandbox.drop_connections)

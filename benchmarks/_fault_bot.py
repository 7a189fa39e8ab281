"""The bot that `benchmarks.faults` makes trouble for: answers every message with its own words."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any

from bot_core import AmiyaBot, Chain, Message, MultipleAccounts, qq_group
from bot_core.webhook import WebhookOptions

options: dict[str, Any] = json.loads(sys.argv[1])
work_seconds: float = options.pop("work_seconds", 0.01)
accounts: list[dict[str, Any]] = options.pop("accounts")
unknown_name: tuple[str, float] | None = options.pop("unknown_name", None)


def make(appid: str, secret: str, **more: Any) -> AmiyaBot:
    """Make the bot of one account; `more` is for it alone."""
    settings = options | more
    if "webhook" in settings:
        settings["webhook"] = WebhookOptions(**settings["webhook"])
    return AmiyaBot(appid=appid, token="", adapter=qq_group(secret, default_chain_builder="direct", **settings))


def hide(name: str, seconds: float) -> None:
    """Let nobody know this name for so long, and then find it on this machine, as a name server would do."""
    look_up, since = socket.getaddrinfo, time.monotonic()

    def looked_up(host: Any, *arguments: Any, **named: Any) -> Any:
        if host != name:
            return look_up(host, *arguments, **named)
        if time.monotonic() - since < seconds:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up("127.0.0.1", *arguments, **named)

    socket.getaddrinfo = looked_up


async def main() -> None:
    """Run the one bot as a plain program would; several accounts together, several shards of one side by side."""
    bots = [make(**account) for account in accounts]
    together = MultipleAccounts(bots) if len({bot.appid for bot in bots}) == len(bots) > 1 else None
    for book in [together] if together is not None else bots:
        book.on_message(keywords="")(echo)
    if together is not None:
        await together.start()
    else:
        await asyncio.gather(*(bot.start() for bot in bots))


async def echo(data: Message) -> Chain:
    """Answer, after a little work."""
    await asyncio.sleep(work_seconds)
    return Chain(data, at=False).text(f"echo {data.text}")


if unknown_name is not None:
    hide(*unknown_name)
asyncio.run(main())

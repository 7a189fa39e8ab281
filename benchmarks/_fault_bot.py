"""The bot that `benchmarks.faults` makes trouble for: answers every message with its own words."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bot_core import AmiyaBot, Chain, Message, MultipleAccounts, qq_group

options: dict[str, Any] = json.loads(sys.argv[1])
work_seconds: float = options.pop("work_seconds", 0.01)
accounts: list[tuple[str, str]] = options.pop("accounts")
bots = MultipleAccounts(
    [
        AmiyaBot(appid=appid, token="", adapter=qq_group(secret, default_chain_builder="direct", **options))
        for appid, secret in accounts
    ]
)


@bots.on_message(keywords="")
async def echo(data: Message) -> Chain:
    """Answer, after a little work."""
    await asyncio.sleep(work_seconds)
    return Chain(data, at=False).text(f"echo {data.text}")


async def main() -> None:
    """Run the one bot as a plain program would, or several together."""
    (first, *others) = list(bots)
    await (bots if others else first).start()


asyncio.run(main())

"""The threads that the accounts of a process share."""

from __future__ import annotations

import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot_core.chain import Chain
from bot_core.message import Message
from bot_core.sandbox import Sandbox
from tests.bot_core.qq_group.conftest import Start, wav
from tests.waiting import until

ACCOUNTS = [str(number) for number in range(1, 7)]


def names(before: set[threading.Thread]) -> list[str]:
    """Those that came; asyncio has some of its own, which go with the event loop."""
    return [one.name for one in set(threading.enumerate()) - before if not one.name.startswith("asyncio_")]


@pytest.mark.asyncio
async def test_six_accounts_have_no_more_threads_than_one_and_the_last_leaves_none(
    sandbox: Sandbox, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_CACHE", str(tmp_path / "cache.db"))
    sound, before = wav(0.2), set(threading.enumerate())

    def sing(data: Message) -> Chain:
        return Chain(data).voice(sound)

    async with AsyncExitStack() as stack:
        for appid in ACCOUNTS:
            await stack.enter_async_context(start(sing, appid, default_chain_builder="direct"))
        for appid in ACCOUNTS:
            [answer] = await sandbox.replies(await sandbox.say("sing", appid=appid))
            assert answer.media is not None
        made = names(before)
        assert len([name for name in made if name.startswith("qqmedia-heavy")]) == 1, made
        assert len(made) <= 3, made
    await until(lambda: not names(before))

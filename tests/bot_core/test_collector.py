"""What was there when a bot started is not walked over by the garbage collector, as long as some bot runs."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from tests.fakes.adapter import make_bot, running, settled


@pytest.mark.asyncio
async def test_what_was_there_is_left_alone_until_the_last_bot_has_ended() -> None:
    first, first_adapter = make_bot()
    second, _ = make_bot()
    assert gc.get_freeze_count() == 0
    async with running(second):
        task = asyncio.create_task(first.start())
        await first_adapter.listening.wait()
        assert gc.get_freeze_count() > 10_000
        await first.close()
        await task
        await settled()
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


@pytest.mark.asyncio
async def test_what_is_new_is_looked_through_less_often_until_the_last_bot_has_ended() -> None:
    before = gc.get_threshold()
    first, _ = make_bot()
    second, _ = make_bot()
    async with running(first):
        async with running(second):
            assert gc.get_threshold() == (4_000, *before[1:])
        assert gc.get_threshold() == (4_000, *before[1:])
    assert gc.get_threshold() == before


@pytest.mark.parametrize("own", [0, 50_000])
@pytest.mark.asyncio
async def test_a_threshold_of_the_authors_own_stays(own: int) -> None:
    before = gc.get_threshold()
    gc.set_threshold(own)
    try:
        bot, _ = make_bot()
        async with running(bot):
            assert gc.get_threshold()[0] == own
        assert gc.get_threshold()[0] == own
        async with running(make_bot()[0]):
            gc.set_threshold(2_500)  # by a handler, say
        assert gc.get_threshold()[0] == 2_500
    finally:
        gc.set_threshold(*before)


@pytest.mark.asyncio
async def test_what_comes_later_is_collected_as_ever() -> None:
    class Node:
        myself: Node

    bot, _ = make_bot()
    async with running(bot):
        node = Node()
        node.myself = node
        gone = weakref.ref(node)
        del node
        gc.collect()
        assert gone() is None


@pytest.mark.asyncio
async def test_accounts_that_come_and_go_beside_one_that_stays_leave_nothing_behind() -> None:
    class Node:
        myself: Node

    left = []
    staying, _ = make_bot()
    async with running(staying):
        for _ in range(3):
            node = Node()
            node.myself = node
            left.append(weakref.ref(node))
            del node
            coming, _ = make_bot()
            async with running(coming):
                pass
        gc.collect()
        assert [gone() for gone in left] == [None, None, None]

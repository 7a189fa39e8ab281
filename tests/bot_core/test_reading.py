"""Reading media in threads of one account."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot_core.errors import BotError
from bot_core.reading import account_threads, content_of, read_piece
from qqmedia import MediaSourceError
from qqmedia.testing import make_upload
from tests.waiting import until


@pytest.mark.asyncio
async def test_an_account_has_six_calls_at_once_and_another_one_has_six_too() -> None:
    gate, before = threading.Event(), set(threading.enumerate())
    try:
        with account_threads("1") as stuck, account_threads("2") as other:
            calls = [asyncio.ensure_future(stuck(gate.wait)) for _ in range(8)]
            async with asyncio.timeout(5):
                assert await asyncio.gather(*(other(int, number) for number in range(8))) == list(range(8))
            gate.set()
            assert all(await asyncio.gather(*calls))
    finally:
        gate.set()
    await until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.asyncio
async def test_what_has_not_begun_when_the_account_closes_fails_and_says_why() -> None:
    gate = threading.Event()
    try:
        with account_threads("102") as in_thread:
            calls = [asyncio.ensure_future(in_thread(gate.wait)) for _ in range(7)]
        with pytest.raises(BotError, match=r"^bot 102 was closed while a file was being read or written$"):
            await calls[-1]
        with pytest.raises(BotError, match=r"^bot 102 was closed"):
            await in_thread(int)
        assert not any(call.done() for call in calls[:-1])
        gate.set()
        assert all(await asyncio.gather(*calls[:-1]))
    finally:
        gate.set()


@pytest.mark.asyncio
async def test_what_is_in_memory_needs_no_thread_and_a_file_is_read_in_one(tmp_path: Path) -> None:
    path, names = tmp_path / "a.png", []

    async def in_thread(function: Callable[..., Any], /, *args: Any) -> Any:
        names.append(function.__name__)
        return await asyncio.to_thread(function, *args)

    upload = make_upload()
    content = await content_of(upload, in_thread)
    assert not names
    await asyncio.to_thread(path.write_bytes, content)
    assert await content_of(await asyncio.to_thread(make_upload, path), in_thread) == content
    assert names == ["read"]


def test_a_piece_is_read_from_where_it_begins_and_its_file_closed() -> None:
    opened: list[io.BytesIO] = []

    def again() -> io.BytesIO:
        opened.append(io.BytesIO(b"0123456789"))
        return opened[-1]

    assert (read_piece(again, 0, 4), read_piece(again, 4, 6)) == (b"0123", b"456789")
    with pytest.raises(MediaSourceError, match="became shorter while it was being sent"):
        read_piece(again, 4, 7)
    assert len(opened) == 3
    assert all(file.closed for file in opened)

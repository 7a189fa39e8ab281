"""The threads that the accounts of a process share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import qqmedia
from bot_core.chain import Chain
from bot_core.message import Message
from bot_core.qq_group import QQGroupChainBuilder, QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox
from qqmedia import HostedMedia, MediaHost, MediaKind, MediaSource, Reach, Upload
from qqmedia.testing._uploads import watched
from tests.bot_core.qq_group.conftest import Bot, Start, mp4, png, wav
from tests.bot_core.qq_group.uploading import KIB, outbox
from tests.waiting import until

ACCOUNTS = [str(number) for number in range(1, 7)]
AT_ONCE = 6


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


class Drive:
    """A media host whose files can be read until they are prepared, and then no more: its drive hangs."""

    reach = Reach.PRIVATE

    def __init__(self, host: MediaHost) -> None:
        self._host = host
        self._back = threading.Event()
        self._lock = threading.Lock()
        self.hanging = 0
        self.prepared = 0

    @classmethod
    @contextmanager
    def mounted(cls, host: MediaHost) -> Iterator[Drive]:
        """It comes back at the end."""
        drive = cls(host)
        try:
            yield drive
        finally:
            drive._back.set()

    @asynccontextmanager
    async def prepare(
        self, kind: MediaKind, source: MediaSource, *, filename: str | None = None
    ) -> AsyncIterator[Upload]:
        async with self._host.prepare(kind, source, filename=filename) as upload:
            self.prepared += 1
            yield watched(upload, self._hang)

    async def publish(self, upload: Upload) -> HostedMedia:
        raise AssertionError("nothing of this host can be fetched")

    def _hang(self, _offset: int) -> None:
        with self._lock:
            self.hanging += 1
        self._back.wait()


def in_markdown(path: Path) -> Chain:
    return Chain().markdown_content("![a](a)", images={"a": path})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("size", "inline_limit", "chain"),
    [
        (300, 100, lambda path: Chain().video(path)),
        (300, 1000, lambda path: Chain().video(path)),
        (100, 1000, lambda path: Chain().video(path)),
        (0, 1000, in_markdown),
    ],
    ids=["in parts", "while it is sent", "in one piece", "in markdown"],
)
async def test_an_account_whose_drive_hangs_holds_up_no_other_one(
    sandbox: Sandbox, tmp_path: Path, size: int, inline_limit: int, chain: Any
) -> None:
    clip, picture = tmp_path / "clip.mp4", png() + bytes(100 * KIB)

    def write() -> list[Path]:
        clip.write_bytes(mp4(300 * KIB))
        paths = [tmp_path / f"{number}.bin" for number in range(AT_ONCE + 1)]
        for number, path in enumerate(paths):
            path.write_bytes(mp4(size * KIB + number) if size else png(number))
        return paths

    paths = await asyncio.to_thread(write)
    # As many as there are for everything with two processors.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE, "asyncio"))
    before, tasks_before = set(threading.enumerate()), asyncio.all_tasks()
    async with qqmedia.open_host("direct") as host, outbox(sandbox, appid="2") as other:
        with Drive.mounted(host) as drive:
            async with outbox(sandbox, drive, appid="1", inline_limit=inline_limit * KIB) as stuck:
                sends = [asyncio.create_task(stuck.send(chain(path), f"G{path.stem}")) for path in paths]
                await until(lambda: drive.hanging == AT_ONCE and drive.prepared == len(paths))
                async with asyncio.timeout(5):
                    assert (await other.image(picture)).way == "bytes"
                    assert (await other.video(clip)).way == "bytes"
                    assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
                    await stuck.send(Chain().text("text goes on"))
                assert drive.hanging == AT_ONCE
                for send in sends:
                    send.cancel()
                await asyncio.wait(sends)
                assert all(send.cancelled() for send in sends)
            assert drive.hanging == AT_ONCE
    await until(lambda: not names(before))
    await until(lambda: not asyncio.all_tasks() - tasks_before)


@pytest.mark.asyncio
async def test_who_waits_for_its_other_copy_holds_up_nobody(sandbox: Sandbox, start: Start) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(AT_ONCE, "asyncio"))

    def bot(appid: str) -> AbstractAsyncContextManager[Bot]:
        return start(lambda _: None, appid, default_chain_builder="direct", keep_session=True)

    async def copy(appid: str) -> None:
        async with bot(appid):
            await asyncio.Event().wait()

    async with AsyncExitStack() as stack:
        for appid in ACCOUNTS:
            await stack.enter_async_context(bot(appid))
        copies = [asyncio.create_task(copy(appid)) for appid in ACCOUNTS]
        for _ in range(30):
            async with asyncio.timeout(0.4):
                assert await loop.getaddrinfo("localhost", 80)
            await asyncio.sleep(0.01)
        for one in copies:
            one.cancel()
        await asyncio.wait(copies)


class Folder(QQGroupChainBuilder):
    """Its drive hangs when a file is removed from it."""

    def __init__(self, options: QQGroupChainBuilderOptions) -> None:
        super().__init__(options)
        self.back = threading.Event()
        self.hanging = 0

    async def get_image(self, image: str | bytes) -> str:
        assert isinstance(image, bytes)
        path, url = self.temp_filename("png")
        await asyncio.to_thread(Path(path).write_bytes, image)
        return url

    def remove_file(self, url: str) -> None:
        self.hanging += 1
        self.back.wait()
        super().remove_file(url)


@pytest.mark.asyncio
async def test_a_builder_whose_folder_hangs_holds_up_no_other_account(sandbox: Sandbox, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(AT_ONCE, "asyncio"))
    folder, before = tmp_path / "resource", set(threading.enumerate())
    builder = Folder(QQGroupChainBuilderOptions("127.0.0.1", 0, str(folder)))
    async with outbox(sandbox, appid="2") as other, outbox(sandbox, builder, appid="1") as stuck:
        try:
            sends = [asyncio.create_task(stuck.image(png(number), f"G{number}")) for number in range(AT_ONCE)]
            await until(lambda: builder.hanging == AT_ONCE)
            async with asyncio.timeout(5):
                assert (await other.image(png() + bytes(100 * KIB))).way == "bytes"
                assert await loop.getaddrinfo("localhost", 80)
        finally:
            builder.back.set()
        assert [delivery.way for delivery in await asyncio.gather(*sends)] == ["url"] * AT_ONCE
    assert not await asyncio.to_thread(lambda: list(folder.glob("*.png")))
    await until(lambda: not names(before))

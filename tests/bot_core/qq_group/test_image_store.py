"""Pictures of markdown in the platform's own store; and the other way, where one way to them fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError
from bot_core.qq_group import qq_group
from bot_core.qq_group.image_store import open_image_store
from bot_core.qq_group.settings import AdapterSettings
from bot_core.sandbox import ArrivedPicture, ImageStoreOptions, Sandbox, SandboxOptions
from qqmedia import (
    ConfigurationError,
    HostPolicy,
    MediaFormatError,
    MediaKind,
    StorageMisconfiguredError,
    StorageUnavailableError,
)
from qqmedia.testing import MemoryDriver, make_upload, memory_host
from tests.bot_core.qq_group.conftest import Bot, png
from tests.bot_core.qq_group.sending_kit import Kit, send
from tests.waiting import until

pytestmark = pytest.mark.asyncio

SCHEME = "qqbot-media://"
LARGE = png(1) + bytes(10 * 1024 * 1024)


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


async def show(kit: Kit, bot: Bot, *pictures: bytes, name: str = "cat", group: str = "G") -> list[ArrivedPicture]:
    """Send markdown with these pictures, and return what people see."""
    _, data = await kit.hear(bot, group=group)
    images = {f"{name}{number or ''}": picture for number, picture in enumerate(pictures)}
    await send(bot, Chain(data, at=False).markdown_content(" ".join(f"![a]({one})" for one in images), images=images))
    return list(kit.sandbox.arrived[-1].pictures)


def calls(kit: Kit) -> list[str]:
    return [call.kind for call in kit.sandbox.upload_calls if call.kind.startswith("image_")]


@asynccontextmanager
async def small_store(tmp_path: Path, **options: Any) -> AsyncIterator[Kit]:
    async with Sandbox.open(SandboxOptions(images=ImageStoreOptions(**options))) as sandbox:
        yield Kit(sandbox, tmp_path)


async def test_a_picture_goes_into_the_store_without_the_token_and_with_its_type(kit: Kit) -> None:
    async with kit.start(builder="direct", markdown_images="store") as bot:
        [seen] = await show(kit, bot, png(1, 20))
    assert seen.url.startswith(SCHEME)
    assert seen.text == "a #20px #20px"
    assert await seen.read() == png(1, 20)
    [put] = [call for call in kit.sandbox.upload_calls if call.kind == "image_put"]
    assert put.headers["Content-Type"] == "image/png"
    assert "Authorization" not in put.headers
    assert calls(kit) == ["image_list", "image_prepare", "image_put", "image_complete"]


async def test_what_is_there_is_not_stored_again_not_even_after_a_restart(kit: Kit) -> None:
    chain = "![a](cat) ![b](dog)"
    for _ in range(2):
        adapter = kit.adapter(builder="direct", markdown_images="store")
        async with adapter.open():
            for _ in range(2):
                images = {"cat": png(1), "dog": png(2)}
                await adapter.send_message(Chain().markdown_content(chain, images=images), channel_id="G")
    assert calls(kit).count("image_prepare") == 2
    assert calls(kit).count("image_list") == 2
    assert len({picture.url for one in kit.sandbox.arrived for picture in one.pictures}) == 2


async def test_where_nothing_is_hosted_the_store_is_the_way(kit: Kit) -> None:
    async with kit.start(builder="direct") as bot:
        [seen] = await show(kit, bot, png(1))
    assert seen.url.startswith(SCHEME)


async def test_a_host_that_is_down_is_no_reason_not_to_show_it(kit: Kit) -> None:
    driver = MemoryDriver()
    async with memory_host(driver, policy=HostPolicy(retries=0)) as host, kit.start(builder=host) as bot:
        driver.fail(StorageUnavailableError("down"))
        [seen] = await show(kit, bot, png(1))
    assert seen.url.startswith(SCHEME)


@pytest.mark.parametrize(("first", "expected"), [("host", SCHEME), ("store", "http://127.0.0.1:")])
async def test_what_the_platform_cannot_fetch_goes_the_other_way_once(kit: Kit, first: str, expected: str) -> None:
    async with kit.start(markdown_images=first) as bot:
        kit.sandbox.faults.answer("messages", status=400, code=40034141)
        [seen] = await show(kit, bot, png(1))
        assert seen.url.startswith(expected)
        assert len(kit.sandbox.arrived) == 1
        kit.sandbox.faults.answer("messages", status=400, code=40034141, times=2)
        with pytest.raises(MediaRefusedError, match="40034141"):
            await show(kit, bot, png(2))
        assert kit.sandbox.calls["messages"] == 4
        [seen] = await show(kit, bot, png(1))  # the first way is the first one again
        assert not seen.url.startswith(expected)


async def test_a_public_link_that_the_platform_cannot_fetch_goes_into_the_store(kit: Kit) -> None:
    link = (await kit.sandbox.attachment(png(4), filename="b.png"))["url"]
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=40034141)
        await send(bot, Chain(data, at=False).markdown_content(f"![b]({link})"))
    [seen] = kit.sandbox.arrived[0].pictures
    assert (seen.url.startswith(SCHEME), await seen.read()) == (True, png(4))


async def test_a_picture_that_is_gone_from_the_store_is_stored_anew(kit: Kit) -> None:
    async with kit.start(builder="direct", markdown_images="store") as bot:
        [first] = await show(kit, bot, png(1))
        kit.sandbox.faults.answer("messages", status=400, code=40034141)
        with pytest.raises(MediaRefusedError, match="40034141"):  # there is no host to go to
            await show(kit, bot, png(1))
        [second] = await show(kit, bot, png(1))
    assert first.url != second.url


async def test_from_eighty_on_the_one_used_longest_ago_makes_room_but_for_those_that_are_protected(kit: Kit) -> None:
    async with kit.start(builder="direct", markdown_images="store", markdown_protect=["logo"]) as bot:
        await show(kit, bot, png(1000), name="logo")
        await show(kit, bot, *(png(number) for number in range(79)), group="H")
        assert "image_delete" not in calls(kit)
        kit.time.now += 700
        await show(kit, bot, png(0), group="I")  # used again
        await show(kit, bot, png(2000), group="J")
        assert calls(kit).count("image_delete") == 1
        before = calls(kit).count("image_prepare")
        await show(kit, bot, png(1000), name="logo", group="K")
        await show(kit, bot, png(0), group="L")
        assert calls(kit).count("image_prepare") == before
        await show(kit, bot, png(1), group="M")  # it had gone
        assert calls(kit).count("image_prepare") == before + 1


async def test_a_store_that_is_full_makes_room_whatever_was_used(tmp_path: Path) -> None:
    async with (
        small_store(tmp_path, capacity=2) as kit,
        kit.start(builder="direct", markdown_images="store") as bot,
    ):
        for number in range(4):
            [seen] = await show(kit, bot, png(number), group=f"G{number}")
            assert await seen.read() == png(number)
    assert calls(kit).count("image_delete") == 2


@pytest.mark.parametrize("kind", ["image_list", "image_prepare", "image_put", "image_complete"])
@pytest.mark.parametrize("fault", ["500", "lost"])
async def test_hiccups_are_survived_and_nothing_is_there_twice(kit: Kit, kind: str, fault: str) -> None:
    async with kit.start(builder="direct", markdown_images="store") as bot:
        if fault == "500":
            kit.sandbox.faults.answer(kind, status=500)
        else:
            kit.sandbox.faults.lose_answer(kind)
        [seen] = await show(kit, bot, png(1))
        assert await seen.read() == png(1)
        page = await bot.adapter.api.get("/v2/media-images")
    assert page["total"] == 1


async def test_a_store_that_the_bot_may_not_use_is_asked_once_and_the_host_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with small_store(tmp_path, available=False) as kit:
        async with kit.start(markdown_images="store") as bot:
            for number in range(2):
                [seen] = await show(kit, bot, png(number))
                assert seen.url.startswith("http://127.0.0.1:")
        assert calls(kit) == ["image_list"]
        assert sum("it is not asked again" in one.getMessage() for one in caplog.records) == 1
        adapter = kit.adapter(builder="direct")
        chain = Chain().markdown_content("![a](a)", images={"a": png(1)})
        async with adapter.open():
            with pytest.raises(StorageMisconfiguredError, match=r"cannot be shown.*11253.*public_url"):
                await adapter.send_message(chain, channel_id="G")


async def test_what_the_store_does_not_take_is_left_to_the_host(tmp_path: Path) -> None:
    async with small_store(tmp_path, max_bytes=50) as kit, kit.start(markdown_images="store") as bot:
        [seen] = await show(kit, bot, png(1))
    assert seen.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("content", "content_type"), [(png(1), "image/bmp"), (LARGE, "image/png")], ids=["type", "size"]
)
async def test_a_type_or_size_that_the_store_does_not_know_is_not_offered(
    kit: Kit, content: bytes, content_type: str
) -> None:
    async with kit.start(builder="direct") as bot:
        settings = AdapterSettings(client_secret="secret", inline_limit=1)
        async with open_image_store(bot.adapter.api, settings, asyncio.to_thread, platform_on_loopback=True) as store:
            with pytest.raises(MediaFormatError, match=f"{content_type} of {len(content)} bytes"):
                await store.link(make_upload(content, kind=MediaKind.IMAGE, content_type=content_type), "a")
    assert not calls(kit)


async def test_a_picture_may_be_forgotten_while_it_makes_room(tmp_path: Path) -> None:
    async with small_store(tmp_path, capacity=1) as kit, kit.start(builder="direct") as bot:
        settings = AdapterSettings(client_secret="secret", inline_limit=1)
        async with open_image_store(bot.adapter.api, settings, asyncio.to_thread, platform_on_loopback=True) as store:
            first = await store.link(make_upload(png(1), kind=MediaKind.IMAGE), "a")
            kit.sandbox.faults.stall("image_delete", seconds=0.1)
            second = asyncio.create_task(store.link(make_upload(png(2), kind=MediaKind.IMAGE), "b"))
            await until(lambda: "image_delete" in calls(kit) or second.done())
            store.forget(first)
            assert (await second).startswith(SCHEME)


async def test_settings_that_make_no_sense_are_refused() -> None:
    for settings in ({"markdown_images": "shop"}, {"markdown_protect": "logo"}):
        with pytest.raises(ConfigurationError, match=next(iter(settings))):
            qq_group("secret", **settings)  # type: ignore[arg-type]

"""Pictures in markdown: what the platform cannot fetch is stored where it can, or nothing is sent."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

import qqmedia
from bot_core.chain import Chain
from bot_core.message import Message
from bot_core.qq_group.downloads import Downloads
from bot_core.qq_group.hosting import Hosting
from bot_core.qq_group.image_store import open_image_store
from bot_core.qq_group.markdown_images import MarkdownImages
from bot_core.qq_group.settings import AdapterSettings
from bot_core.sandbox import Sandbox
from qqmedia import MediaFormatError, MediaSourceError, StorageMisconfiguredError
from qqmedia.guard import GuardedSession
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.sending_kit import Kit, send
from tests.bot_core.qq_group.uploading import sha256, web_server

pytestmark = pytest.mark.asyncio


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


def sent(sandbox: Sandbox) -> str:
    [message] = sandbox.arrived
    content = message.body["markdown"]["content"]
    assert isinstance(content, str)
    return content


def between(text: str, before: str, after: str) -> str:
    assert text.startswith(before)
    assert text.endswith(after)
    return text[len(before) : len(text) - len(after)]


async def fetched(url: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.read()


async def test_bytes_by_name_and_paths_are_stored_and_get_their_size(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "a dog.png"
    await asyncio.to_thread(path.write_bytes, png(2, 30))
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        content = f"# Pets\n![cat](cat) and ![](<{path}>) and ![cat](cat)"
        await send(bot, Chain(data, at=False).markdown_content(content, images={"cat": png(1, 20)}))
        parts = sent(kit.sandbox).split(" and ")
        cat = between(parts[0], "# Pets\n![cat #20px #20px](", ")")
        dog = between(parts[1], "![#30px #30px](", ")")
        assert (await fetched(cat), await fetched(dog)) == (png(1, 20), png(2, 30))
        assert parts[2] == parts[0].removeprefix("# Pets\n")


@pytest.mark.parametrize(
    "content",
    [
        "no pictures",
        "![a](https://img.example/a.png)",
        "![a #1px #2px](qqbot-media://image/v1/x)",
        "`![a](missing.png)` and\n```\n![b](missing.png)\n```",
    ],
)
async def test_what_is_public_or_code_stays_as_it_is(kit: Kit, content: str) -> None:
    adapter = kit.adapter(builder="direct", api_base="https://api.example")
    async with qqmedia.open_host("direct") as host, adapter.open():
        settings = AdapterSettings(client_secret="secret", inline_limit=1)
        async with open_image_store(adapter.api, settings, asyncio.to_thread, platform_on_loopback=False) as store:
            downloads = Downloads(GuardedSession(), settings.options, asyncio.to_thread)
            pictures = MarkdownImages(
                Hosting(host, host), store, downloads, asyncio.to_thread, platform_on_loopback=False
            )
            assert (await pictures.resolve(content, {}, None)).content == content


async def test_titles_and_brackets_in_links_are_understood_and_code_is_left_alone(kit: Kit) -> None:
    """By the bot and by the sandbox alike."""
    code = "\\![a](missing.png) `![a](missing.png)`\n~~~\n![a](missing.png)\n~~~\n```\n![a](missing.png)\n```\n"
    content = f"""{code}![a](a "a title") ![b](b(1).png) ![c]( c  'title' )"""
    async with kit.start(builder="direct") as bot:
        _, data = await kit.hear(bot)
        await send(
            bot, Chain(data, at=False).markdown_content(content, images={"a": png(1), "b(1).png": png(2), "c": png(3)})
        )
    [message] = kit.sandbox.arrived
    assert sent(kit.sandbox).startswith(code)
    assert [picture.sha256 for picture in message.pictures] == [sha256(png(shade)) for shade in (1, 2, 3)]
    assert [picture.text for picture in message.pictures] == [f"{name} #8px #8px" for name in "abc"]


async def test_what_happened_to_each_picture_is_in_the_result(kit: Kit) -> None:
    webp = io.BytesIO()
    Image.new("RGB", (30, 20)).save(webp, "WEBP")
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        link = (await kit.sandbox.attachment(png(3), filename="b.png"))["url"]
        chain = Chain(data, at=False).markdown_content(f"![a](a) ![b]({link}) ![a](a)", images={"a": webp.getvalue()})
        [handle] = await send(bot, chain)
        made, public = handle.deliveries
        assert (made.kind, made.way, made.content_type) == ("image", "url", "image/jpeg")
        assert made.notes == ("made image/jpeg of image/webp, 30x20",)
        assert (public.way, public.url, public.size) == ("url", link, 0)
        kit.sandbox.faults.answer("messages", status=400, code=40034141)
        [handle] = await send(bot, chain)
        assert [(one.way, (one.url or "")[:15]) for one in handle.deliveries] == [("store", "qqbot-media://i")] * 2


async def test_a_host_that_the_platform_could_not_fetch_from_comes_after_the_store(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("files", status=400, code=850026, times=2)
        await send(bot, Chain(data).image(png()))
        [handle] = await send(bot, Chain(data).markdown_content("![a](a)", images={"a": png(1)}))
    assert [one.way for one in handle.deliveries] == ["store"]


async def test_a_size_that_is_given_is_kept(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        await send(bot, Chain(data, at=False).markdown_content("![a #9px #9px](a)", images={"a": png()}))
    assert sent(kit.sandbox).startswith("![a #9px #9px](http://")


@pytest.mark.parametrize(
    ("link", "error", "words"),
    [
        (
            "missing.png",
            MediaSourceError,
            r"picture missing\.png of the markdown: .*(no such|not exist|cannot be read)",
        ),
        ("txet", MediaSourceError, "'txet' does not exist .*; images has no such name, did you mean 'text'\\?"),
        ("cat", MediaSourceError, "'cat' does not exist .*; images has no such name, it has 'text'$"),
        ("text", MediaFormatError, "picture text of the markdown.*first bytes"),
        ("file:///etc/passwd", MediaSourceError, "give an http"),
        ("data:image/png;base64,AA==", MediaSourceError, "give an http"),
        ("//server/share/a.png", MediaSourceError, "give an http"),
        (r"\\server\share\a.png", MediaSourceError, "give an http"),
    ],
)
async def test_a_picture_that_cannot_be_had_sends_nothing(
    kit: Kit, link: str, error: type[Exception], words: str
) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        chain = (
            Chain(data, at=False).markdown_content("first").markdown_content(f"![x]({link})", images={"text": b"words"})
        )
        with pytest.raises(error, match=f"(?i){words}"):
            await send(bot, chain)
        assert data.replies_left == 5
    assert not kit.sandbox.calls["messages"]


@pytest.mark.parametrize("settings", [{"builder": "direct"}, {}])
async def test_where_nothing_is_public_it_says_what_to_set(kit: Kit, settings: dict[str, Any]) -> None:
    adapter = kit.adapter(api_base="https://api.example", **settings)
    data = Message(adapter)
    data.message_id, data.channel_openid = "M", "G"
    async with adapter.open():
        with pytest.raises(StorageMisconfiguredError, match=r"picture a of the markdown cannot be shown.*public_url"):
            await adapter.send_chain(Chain(data, at=False).markdown_content("![x](a)", images={"a": png()}))
        with pytest.raises(MediaSourceError, match=r"nothing is fetched from 10\.0\.0\.1"):
            await adapter.send_chain(Chain(data, at=False).markdown_content("![x](http://10.0.0.1/a.png)"))


async def test_a_private_link_is_an_error_unless_its_host_is_trusted(kit: Kit) -> None:
    """The platform is on the internet here, so it cannot fetch from this machine."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=png(6, 40))

    async with web_server(answer) as base, kit.start() as bot, qqmedia.open_host("direct") as host:
        settings = AdapterSettings(client_secret="secret", inline_limit=1)
        session = GuardedSession(trusted=[base.removeprefix("http://")])
        async with open_image_store(bot.adapter.api, settings, asyncio.to_thread, platform_on_loopback=True) as store:
            pictures = MarkdownImages(
                Hosting(host, host), store, Downloads(session, settings.options, asyncio.to_thread), asyncio.to_thread,
                platform_on_loopback=False,
            )  # fmt: skip
            shown = await pictures.resolve(f"![x]({base}/x.png?key=secret)", {}, None)
            assert shown.content.startswith("![x #40px #40px](qqbot-media://")
            for link in ("http://127.0.0.1:1/x.png?key=secret", "http://nas.lan/x.png?key=secret"):
                with pytest.raises(
                    MediaSourceError,
                    match=r'nothing is fetched from .* media_trusted_hosts: .*"name": bytes',
                ) as caught:
                    await pictures.resolve(f"![x]({link})", {}, None)
                assert "secret" not in str(caught.value)
        await session.aclose()


async def test_a_builder_of_the_author_is_asked(kit: Kit) -> None:
    class Builder:
        answer = ""

        async def get_image(self, image: bytes) -> str:
            assert image == png(3)
            return self.answer

        async def get_voice(self, voice_file: str) -> str:
            return voice_file

        async def get_video(self, video_file: str) -> str:
            return video_file

    builder = Builder()
    async with kit.start(builder=builder) as bot:
        _, data = await kit.hear(bot)
        builder.answer = url = (await kit.sandbox.attachment(png(3), filename="b.png"))["url"]
        await send(bot, Chain(data, at=False).markdown_content("![b](b)", images={"b": png(3)}))
        assert sent(kit.sandbox) == f"![b #8px #8px]({url})"
        builder.answer = ""  # nothing of ours: the platform's own store is left
        await send(bot, Chain(data, at=False).markdown_content("![b](b)", images={"b": png(3)}))
    assert kit.sandbox.arrived[1].pictures[0].url.startswith("qqbot-media://")

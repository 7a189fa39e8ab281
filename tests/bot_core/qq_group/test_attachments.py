"""What came with a message can be had: downloaded, saved, heard, kept."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bot_core.chain import Chain
from bot_core.errors import MediaRefusedError
from bot_core.message import Message
from bot_core.qq_group.attachments import Attachment, safe_name
from bot_core.qq_group.chain_builder import QQGroupChainBuilder
from bot_core.qq_group.events import incoming
from bot_core.qq_group.options import QQGroupChainBuilderOptions
from bot_core.sandbox import Sandbox, SandboxOptions
from qqmedia import (
    MediaFormatError,
    MediaKind,
    MediaSourceError,
    MediaTooLargeError,
    StorageMisconfiguredError,
    Upload,
)
from qqmedia.testing import MemoryDriver, Resolved, memory_host
from qqmedia.voice import SilkEncoder
from tests.bot_core.qq_group.conftest import Bot, mp4, png, wav
from tests.bot_core.qq_group.sending_kit import Kit, send
from tests.bot_core.qq_group.uploading import web_server


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


def amr() -> bytes:
    """A second, as phones record it: frames of 20 ms at the lowest rate, with nothing to be heard."""
    return b"#!AMR\n" + (b"\x04" + bytes(12)) * 50


async def received(kit: Kit, bot: Bot, content: bytes, **fields: Any) -> Attachment:
    more = {name: fields.pop(name) for name in ("voice_wav_url", "asr_refer_text", "width") if name in fields}
    raw = await kit.sandbox.attachment(content, **fields) | more
    _, data = await kit.hear(bot, "look", attachments=[raw])
    [attachment] = data.attachments
    assert isinstance(attachment, Attachment)
    return attachment


@pytest.mark.asyncio
async def test_a_picture_is_downloaded_and_saved(kit: Kit, tmp_path: Path) -> None:
    picture = png(5, 400)
    async with kit.start() as bot:
        one = await received(kit, bot, picture, filename="../../cat.png", width="400")
        assert (one.kind, one.name, one.size, one.content_type, one.width) == (
            MediaKind.IMAGE, "../../cat.png", len(picture), "image/png", 400,
        )  # fmt: skip
        assert await one.download() == picture
        folder = tmp_path / "in"
        await asyncio.to_thread(folder.mkdir)
        paths = await asyncio.gather(*(one.save(folder) for _ in range(3)))
        assert {path.name for path in paths} == {"cat.png", "cat (2).png", "cat (3).png"}
        assert await one.save(tmp_path / "exact.bin") == tmp_path / "exact.bin"
        found = await asyncio.to_thread(lambda: {path: path.read_bytes() for path in [*paths, tmp_path / "exact.bin"]})
        assert set(found.values()) == {picture}
        assert len(await asyncio.to_thread(os.listdir, folder)) == 3


@pytest.mark.asyncio
async def test_a_folder_that_is_not_there_is_named_and_nothing_is_saved_in_its_place(kit: Kit, tmp_path: Path) -> None:
    async with kit.start() as bot:
        one = await received(kit, bot, png(6, 300), filename="cat.png")
        for given, named in ((f"{tmp_path}/in/", "in"), (tmp_path / "in" / "deep" / "cat.png", "deep")):
            with pytest.raises(FileNotFoundError, match=rf"no folder '.*{named}'; make it first"):
                await one.save(given)
    assert not await asyncio.to_thread((tmp_path / "in").exists)


@pytest.mark.asyncio
async def test_a_large_file_is_saved_without_being_held_in_memory(kit: Kit, tmp_path: Path) -> None:
    video = mp4(3_000_000)
    async with kit.start() as bot:
        one = await received(kit, bot, video, filename="v.mp4")
        path = await one.save(tmp_path / "v.mp4")
        assert await one.download() == video
    assert await asyncio.to_thread(path.read_bytes) == video


@pytest.mark.asyncio
async def test_limits_hold_for_what_is_announced_and_for_what_comes(kit: Kit, tmp_path: Path) -> None:
    async with kit.start() as bot:
        one = await received(kit, bot, png(1, 300), filename="a.png")
        with pytest.raises(MediaTooLargeError, match="100 are allowed; raise max_bytes"):
            await one.download(max_bytes=100)
        raw = await kit.sandbox.attachment(png(1, 300), filename="a.png") | {"size": 5}
        _, data = await kit.hear(bot, attachments=[raw])
        with pytest.raises(MediaTooLargeError, match="100 are allowed"):
            await data.attachments[0].save(tmp_path / "a.png", max_bytes=100)
        assert not await asyncio.to_thread((tmp_path / "a.png").exists)


@pytest.mark.asyncio
async def test_a_server_that_hangs_is_given_up(kit: Kit) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):  # until the other side gives up
            pass
        writer.close()
        await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        async with kit.start() as bot:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
            _, data = await kit.hear(bot, attachments=[{"url": url, "content_type": "image/png"}])
            with pytest.raises(MediaSourceError, match=r"not fetched within 0\.05 s"):
                await data.attachments[0].download(timeout=0.05)
        async with asyncio.timeout(5):
            await gone.wait()
    finally:
        server.close()


@pytest.mark.asyncio
async def test_a_voice_is_heard_whether_the_platform_has_it_as_wav_or_not(kit: Kit) -> None:
    async with kit.start() as bot:
        as_wav = await kit.sandbox.attachment(wav(), filename="v.wav")
        one = await received(
            kit, bot, b"#!AMR\n....", filename="v.amr", content_type="voice", voice_wav_url=as_wav["url"],
            asr_refer_text="hello",
        )  # fmt: skip
        assert (one.url, one.transcript) == (as_wav["url"], "hello")
        assert await one.read_wav() == wav()
        async with SilkEncoder() as encoder:
            silk = await encoder.encode(wav(1.0))
        two = await received(kit, bot, silk.data, filename="v.silk", content_type="voice")
        with wave.open(io.BytesIO(await two.read_wav())) as heard:
            assert abs(heard.getnframes() / heard.getframerate() - 1.0) < 0.1
        three = await received(kit, bot, await asyncio.to_thread(amr), filename="v.amr", content_type="voice")
        with wave.open(io.BytesIO(await three.read_wav())) as heard:
            assert abs(heard.getnframes() / heard.getframerate() - 1.0) < 0.1
        broken = await received(kit, bot, b"#!AMR\n\xff\0\xff\0", filename="v.amr", content_type="voice")
        with pytest.raises(MediaFormatError, match="0 seconds of sound"):
            await broken.read_wav()
        four = await received(kit, bot, png(), filename="a.png")
        with pytest.raises(MediaFormatError, match="for voices, and this is a image"):
            await four.read_wav()


@pytest.mark.asyncio
async def test_it_is_saved_and_heard_in_threads_of_its_account(kit: Kit, tmp_path: Path) -> None:
    gate, loop = threading.Event(), asyncio.get_running_loop()
    async with kit.start() as bot, SilkEncoder() as encoder:
        silk = (await encoder.encode(wav(0.1))).data
        voice = await received(kit, bot, silk, filename="v.silk", content_type="voice")
        loop.set_default_executor(ThreadPoolExecutor(1))
        hanging = loop.run_in_executor(None, gate.wait)
        try:
            async with asyncio.timeout(5):
                assert (await voice.read_wav())[:4] == b"RIFF"
                assert await voice.save(tmp_path / "v.silk") == tmp_path / "v.silk"
        finally:
            gate.set()
            await hanging


@pytest.mark.asyncio
async def test_it_is_kept_under_a_url_of_ones_own(kit: Kit) -> None:
    import aiohttp

    async with kit.start() as bot:
        one = await received(kit, bot, png(9), filename="a.png")
        url = await one.keep()
        assert url != one.url
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            assert (await answer.read(), answer.content_type) == (png(9), "image/png")


class Names:
    """Nothing has a name here, so only addresses count; and with it given, private ones are refused."""

    async def resolve(self, name: str) -> list[Resolved]:
        raise OSError(None, f"there is no {name}")


@pytest.mark.asyncio
@pytest.mark.parametrize("by_builder", [False, True], ids=["driver", "builder"])
async def test_what_is_kept_is_sent_again_where_only_this_machine_can_fetch_it(
    tmp_path: Path, by_builder: bool
) -> None:
    """Also by the next process, which has put nothing, and in markdown; another link to this machine is refused."""
    async with Sandbox.open(SandboxOptions(refuse_private=True)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = QQGroupChainBuilderOptions("127.0.0.1", port, str(tmp_path / "resource"))

        def builder() -> QQGroupChainBuilder | None:
            return QQGroupChainBuilder(options) if by_builder else None

        more: dict[str, Any] = {} if by_builder else {"options": options}
        async with kit.start(builder=builder(), **more) as bot:
            url = await (await received(kit, bot, png(9), filename="a.png")).keep()
        async with kit.start(resolver=Names(), builder=builder(), **more) as bot:
            _, data = await kit.hear(bot)
            await send(bot, Chain(data, at=False).image(url))
            await send(bot, Chain(data, at=False).markdown_content(f"![a]({url})"))
            with pytest.raises(MediaRefusedError, match=r"nothing is fetched from .* media_trusted_hosts"):
                await send(
                    bot, Chain(data, at=False).image((await sandbox.attachment(png(7), filename="b.png"))["url"])
                )
        picture, markdown = sandbox.arrived
        assert picture.media is not None
        assert picture.media.size == len(png(9))
        assert markdown.pictures[0].url.startswith("qqbot-media://")


@pytest.mark.asyncio
async def test_a_link_that_has_expired_says_so(kit: Kit) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403)

    async with web_server(answer) as base, kit.start() as bot:
        _, data = await kit.hear(bot, attachments=[{"url": f"{base}/a?rkey=secret", "content_type": "image/png"}])
        with pytest.raises(MediaSourceError, match=r"/a cannot be fetched: it answers 403 Forbidden; .* links expire"):
            await data.attachments[0].download()


@pytest.mark.asyncio
async def test_a_download_ends_at_its_limit(kit: Kit) -> None:
    """Not after all of it has come."""
    gone = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(65536))
        finally:
            gone.set()

    async with web_server(answer) as base, kit.start() as bot:
        _, data = await kit.hear(bot, attachments=[{"url": f"{base}/a", "content_type": "file"}])
        with pytest.raises(MediaTooLargeError, match="more than 100000 bytes, 100000 are allowed; raise max_bytes"):
            await data.attachments[0].download(max_bytes=100_000)
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.asyncio
async def test_a_bot_behind_a_proxy_downloads_through_it(kit: Kit) -> None:
    asked: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(str(request.url))
        return web.Response(body=png(4))

    async with web_server(proxy) as address:
        adapter = kit.adapter(api_base="https://api.example", builder="direct", proxy=address)
        raw = {"id": "M", "group_openid": "G", "author": {"member_openid": "U"}}
        message = incoming(
            adapter, "GROUP_AT_MESSAGE_CREATE", raw | {"attachments": [{"url": "http://img.example/a"}]}, "e", adapter
        )
        assert isinstance(message, Message)
        async with adapter.open():
            assert await message.attachments[0].download() == png(4)
    assert asked == ["http://img.example/a"]


@pytest.mark.asyncio
async def test_a_host_that_stores_nothing_says_so(kit: Kit) -> None:
    async with kit.start(builder="direct") as bot:
        one = await received(kit, bot, png(), filename="a.png")
        with pytest.raises(StorageMisconfiguredError, match=r"stores nothing.*choose a driver that does"):
            await one.keep()
        assert await one.download() == png()


class Idle(MemoryDriver):
    """Stores nothing for now, as `local` does while another program has its port."""

    idle = True

    async def put(self, upload: Upload, /) -> str | None:  # type: ignore[override]
        return None


@pytest.mark.asyncio
async def test_a_host_that_stores_nothing_for_now_says_where_the_cause_is_told(kit: Kit) -> None:
    async with memory_host(Idle()) as host, kit.start(builder=host) as bot:
        one = await received(kit, bot, png(), filename="a.png")
        with pytest.raises(StorageMisconfiguredError, match=r"stores nothing.*a warning at the start"):
            await one.keep()


@pytest.mark.asyncio
async def test_a_builder_of_the_author_keeps_it(kit: Kit) -> None:
    class Builder:
        kept = b""

        async def get_image(self, image: bytes) -> str:
            self.kept = image
            return "https://img.example/a.png"

        async def get_voice(self, voice_file: str) -> str:
            return voice_file

        async def get_video(self, video_file: str) -> str:
            return video_file

    builder = Builder()
    async with kit.start(builder=builder) as bot:
        one = await received(kit, bot, png(), filename="a.png")
        assert await one.keep() == "https://img.example/a.png"
    assert builder.kept == png()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a", "127.0.0.1:9/a", "https://10.0.0.1/a", "http://169.254.169.254/latest", "//[::1]/a"]
)
async def test_links_into_private_networks_are_not_followed(kit: Kit, url: str) -> None:
    adapter = kit.adapter(api_base="https://api.example", builder="direct")
    data = {"id": "M", "group_openid": "G", "author": {"member_openid": "U"}, "attachments": [{"url": url}]}
    message = incoming(adapter, "GROUP_AT_MESSAGE_CREATE", data, "e", adapter)
    assert isinstance(message, Message)
    async with adapter.open():
        with pytest.raises(MediaSourceError, match="nothing is fetched from"):
            await message.attachments[0].download()


@pytest.mark.asyncio
async def test_outside_of_a_bot_it_says_so(kit: Kit) -> None:
    with pytest.raises(MediaSourceError, match="did not come through a running bot"):
        await Attachment(kind=MediaKind.FILE, url="https://x.example/a").download()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\con.txt", "_con.txt"),
        ("CONIN$", "_CONIN$"),
        ("com².log", "_com².log"),
        ("a<b>|c?.txt", "a_b__c_.txt"),
        (".bashrc", "bashrc"),
        ("", "image.png"),
        ("...", "image.png"),
        ("报告.pdf", "报告.pdf"),
        ("x" * 300 + ".pdf", "x" * 60 + ".pdf"),
        ("evil\u202egnp.exe", "evil_gnp.exe"),
    ],
)
def test_names_are_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name, MediaKind.IMAGE) == safe


@given(st.text())
def test_no_name_leads_anywhere(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert safe == safe.strip(" .")
    assert not set(safe) & set('/\\:*?"<>|\0\n')
    assert len(safe.encode("utf-8", "surrogatepass")) <= 255
    assert Path(safe).name == safe

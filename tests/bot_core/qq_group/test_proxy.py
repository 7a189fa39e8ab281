"""The proxy of a bot: its password is shown nowhere, and an address that is none is refused at once."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from bot_core import AmiyaBot, qq_group
from bot_core.openapi.bodies import Base64Source
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import FileType, Scene, Target
from bot_core.qq_group.shared_http import shared_http_session
from qqmedia import ConfigurationError, MediaSourceError
from qqmedia.guard import GuardedSession
from tests.fakes.gateway import APPID, SECRET, FakePlatform


@asynccontextmanager
async def refusing_proxy(heads: list[bytes]) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.asyncio
async def test_the_password_of_a_proxy_that_refuses_is_in_no_log_and_no_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_DRIVER", "direct")
    caplog.set_level(logging.DEBUG)
    heads: list[bytes] = []
    asked = asyncio.Event()
    async with refusing_proxy(heads) as port:
        adapter = qq_group(
            "secret",
            api_base="https://platform.invalid",
            proxy=f"http://ann:hunter2@127.0.0.1:{port}",
        )
        bot = AmiyaBot("1", adapter=adapter)

        @bot.timed_task()
        async def send(given: AmiyaBot) -> None:
            try:
                await given.instance.api.get("/users/@me")
            finally:  # its error is logged with its traceback
                asked.set()

        running = asyncio.create_task(bot.start())
        async with asyncio.timeout(5):
            await asked.wait()
            await bot.close()
            await running
    assert "Traceback" in caplog.text
    assert any(b"Proxy-Authorization: Basic YW5uOmh1bnRlcjI=" in head for head in heads)
    assert f"the proxy at 127.0.0.1:{port} answered 407" in caplog.text
    assert "hunter2" not in caplog.text
    assert "YW5uOmh1bnRlcjI" not in caplog.text


@pytest.mark.asyncio
async def test_a_download_through_a_proxy_does_not_tell_its_password() -> None:
    async with refusing_proxy([]) as port:
        session = GuardedSession(proxy=f"http://ann:hunter2@127.0.0.1:{port}")
        with pytest.raises(aiohttp.ClientError, match="answered 407") as caught:
            async with session.follow("https://example.com/cat.png"):
                pass
        await session.aclose()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "127.0.0.1:7890",
        "socks5://ann:hunter2@127.0.0.1:1",
        "http://ann:hunter2@",
        "http://ann:hunter2@h:99999",
        "",
        "http://a b:1",
    ],
)
def test_what_is_no_http_proxy_is_refused_at_once_without_its_password(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be the address of an HTTP proxy") as caught:
        qq_group("secret", proxy=proxy)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(AmiyaBot("1", adapter=qq_group("s", proxy="http://ann:hunter2@h:1")).instance)


@pytest.mark.asyncio
@pytest.mark.parametrize("left", [0, 2_000_000])
async def test_a_file_that_becomes_shorter_on_its_way_through_a_proxy_says_so_at_once_and_shows_no_password(
    left: int,
) -> None:
    gone = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.transport.abort()
        gone.set()

    def opened() -> io.BytesIO:
        if not left:
            raise MediaSourceError("cat.mp4 cannot be read any more")
        return io.BytesIO(bytes(left))

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    proxy = f"http://ann:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, FakePlatform() as platform, shared_http_session(None) as direct, asyncio.timeout(10):
        tokens = AccessTokenSource(direct, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
        async with shared_http_session(proxy) as http:
            api = OpenAPIClient(http, api_base="http://platform.invalid", tokens=tokens)
            data = Base64Source(opened, 3_000_000, asyncio.to_thread)
            with pytest.raises(MediaSourceError, match=r"cannot be read any more|became shorter") as caught:
                await api.post_file(Target(Scene.GROUP, "g"), file_type=FileType.VIDEO, file_data=data)
        await gone.wait()  # so that no connection outlives the test
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))

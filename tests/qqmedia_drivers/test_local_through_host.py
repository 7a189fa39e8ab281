"""The driver as programs use it: by its name."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

import qqmedia
from qqmedia import ConfigurationError, MediaKind, Reach, StorageUnavailableError

PNG = b"\x89PNG\r\n\x1a\n and so on"


@pytest.mark.asyncio
async def test_a_picture_gets_a_url_that_serves_it(http: aiohttp.ClientSession) -> None:
    async with qqmedia.open_host("local", host="127.0.0.1", port=0, platform_on_loopback=True) as host:
        assert host.reach is Reach.PUBLIC
        url = await host.get_image(PNG)
        assert isinstance(url, str)
        assert url.endswith(".png")
        async with http.get(url) as answer:
            assert (await answer.read(), answer.headers["Content-Type"]) == (PNG, "image/png")
        assert await host.get_image(PNG) == url
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(url)


@pytest.mark.asyncio
async def test_a_large_file_is_streamed_through(http: aiohttp.ClientSession) -> None:
    content = PNG + bytes(5_000_000)
    async with qqmedia.open_host("local", host="127.0.0.1", port=0, platform_on_loopback=True) as host:
        async with host.prepare(MediaKind.IMAGE, content) as upload:
            hosted = await host.publish(upload)
        assert hosted.url is not None
        async with http.get(hosted.url) as answer:
            assert await answer.read() == content


@pytest.mark.asyncio
async def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_LOCAL_PUBLIC_URL", "https://cdn.example.com/qq")
    monkeypatch.setenv("QQMEDIA_LOCAL_PORT", "0")
    monkeypatch.setenv("QQMEDIA_LOCAL_HTTP_SERVER_OPTIONS", '{"title": "My bot"}')
    async with qqmedia.open_host("local") as host:
        assert host.reach is Reach.PUBLIC
        assert str(await host.get_image(PNG)).startswith("https://cdn.example.com/qq/resource/")


@pytest.mark.asyncio
@pytest.mark.parametrize("source", ["keyword", "environment"])
async def test_a_taken_port_that_was_given_is_an_error_wherever_it_was_given(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        if source == "environment":
            monkeypatch.setenv("QQMEDIA_LOCAL_PORT", str(port))
        given: dict[str, Any] = {"port": port} if source == "keyword" else {}
        with pytest.raises(StorageUnavailableError, match=f"port {port} is taken"):
            async with qqmedia.open_host("local", host="127.0.0.1", **given):
                pass


@pytest.mark.asyncio
async def test_wrong_server_options_are_told_with_their_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"http_server_options.*unknown key certfile"):
        async with qqmedia.open_host("local", port=0, http_server_options={"certfile": "x"}):
            pass


@pytest.mark.asyncio
async def test_direct_gives_the_bytes_back() -> None:
    async with qqmedia.open_host("direct") as host:
        assert host.reach is Reach.PRIVATE
        assert await host.get_image(PNG) == PNG
    with pytest.raises(ConfigurationError):
        async with qqmedia.open_host("direct", port=1):
            pass

"""A bot that hosts its pictures with `cos` or `oss`: they arrive by URL."""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from bot_core import AmiyaBot, Chain, Message, qq_group
from bot_core.sandbox import Sandbox
from tests.qqmedia_drivers.clouds import Cloud


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.mark.asyncio
@pytest.mark.parametrize("public", [False, True], ids=["presigned", "public_base_url"])
async def test_a_picture_arrives_by_url(
    cloud: Cloud, service: Any, monkeypatch: pytest.MonkeyPatch, *, public: bool
) -> None:
    base = f"{service.url}/{cloud.bucket}" if cloud.name == "oss" else service.url
    settings = cloud.settings(service) | ({"public_base_url": base} if public else {})
    for name, value in settings.items():
        monkeypatch.setenv(f"QQMEDIA_{cloud.name.upper()}_{name.upper()}", value)
    service.public_read = public
    async with Sandbox.open() as sandbox:
        adapter = qq_group("secret", default_chain_builder=cloud.name, api_base=sandbox.api_base)
        bot = AmiyaBot(appid="1020", token="", adapter=adapter)

        @bot.on_message(keywords="picture")
        async def picture(data: Message) -> Chain:
            return Chain(data).image(png())

        task = asyncio.create_task(bot.start())
        await sandbox.connected()
        [answer] = await sandbox.replies(await sandbox.say("picture", group="friends"))
        await bot.close()
        await task
    assert answer.media is not None
    assert (answer.media.way, answer.media.sha256) == ("url", hashlib.sha256(png()).hexdigest())
    (name,) = service.objects
    url = answer.media.url or ""
    assert url == f"{base}/{name}" if public else url.startswith(f"{base}/{name}?")
    assert [operation for operation, _ in service.calls][:3] == ["GetObject", "HeadObject", "PutObject"]

"""`s3` as programs use it: by its name, with settings from anywhere, and from a bot."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

import qqmedia
from bot_core import AmiyaBot, Chain, Message, qq_group
from bot_core.sandbox import Sandbox
from qqmedia.testing import make_content
from tests.fakes.s3_server import S3Server, door

PNG = make_content(5000, seed="picture of a bot")


async def get(url: str | bytes) -> bytes:
    assert isinstance(url, str)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.mark.asyncio
async def test_settings_come_from_the_environment(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_DRIVER", "s3")
    monkeypatch.setenv("QQMEDIA_S3_BUCKET", seaweed.bucket)
    monkeypatch.setenv("QQMEDIA_S3_ENDPOINT", seaweed.http_url)
    monkeypatch.setenv("QQMEDIA_S3_PATH", "env/")
    monkeypatch.setenv("QQMEDIA_S3_AWS_ACCESS_KEY_ID", seaweed.access_key)
    monkeypatch.setenv("QQMEDIA_S3_SECRET_ACCESS_KEY", seaweed.secret_key)
    async with qqmedia.open_host() as host:
        url = await host.get_image(PNG)
        assert await get(url) == PNG
    assert urlsplit(str(url)).path.startswith("/pics/env/")


@pytest.mark.asyncio
async def test_one_driver_is_used_twice_by_named_sections(seaweed: S3Server, juice: S3Server) -> None:
    def table(name: str, server: S3Server) -> str:
        lines = [f"{key} = {str(value).lower() if value is True else repr(value)}" for key, value in (
            server.settings() | {"prefix": f"{server.name}/"}
        ).items()]  # fmt: skip
        return "\n".join([f"[{name}]", *lines, ""])

    settings = table("qqmedia.s3", seaweed) + table("qqmedia.s3.backup", juice)
    await asyncio.to_thread(Path("qqmedia.toml").write_text, settings)
    async with qqmedia.open_host("s3") as first, qqmedia.open_host("s3:backup") as second:
        urls = [str(await host.get_image(PNG)) for host in (first, second)]
        assert second.names == ("s3:backup",)
        assert [await get(url) for url in urls] == [PNG, PNG]
    assert ["SeaweedFS/" in urls[0], "JuiceFS/" in urls[1]] == [True, True]


@pytest.mark.asyncio
async def test_what_is_there_already_is_not_sent_again(seaweed: S3Server, tmp_path: Path) -> None:
    """Also across runs: the key is the same, and `find` tells."""
    settings = seaweed.settings(prefix="again/")
    async with qqmedia.open_host("s3", **settings) as host:
        first = urlsplit(str(await host.get_image(PNG)))

    def stored_at() -> object:
        return door(seaweed).head_object(Bucket=seaweed.bucket, Key=first.path.removeprefix("/pics/"))["LastModified"]

    before = await asyncio.to_thread(stored_at)
    await asyncio.sleep(1.1 - asyncio.get_running_loop().time() % 1)  # the store counts whole seconds
    async with qqmedia.open_host("s3", **settings) as host:
        assert urlsplit(str(await host.get_image(PNG))).path == first.path
    assert await asyncio.to_thread(stored_at) == before


@pytest.mark.asyncio
async def test_a_bot_sends_a_picture_by_url(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.settings().items():
        if name != "verify":
            monkeypatch.setenv(f"QQMEDIA_S3_{name.upper()}", value)
    async with Sandbox.open() as sandbox:
        adapter = qq_group("secret", api_base=sandbox.api_base, default_chain_builder="s3")
        bot = AmiyaBot(appid="102000001", token="", adapter=adapter)

        @bot.on_message(keywords=["picture"])
        async def picture(data: Message) -> Chain:
            return Chain(data).text("look").image(PNG)

        running = asyncio.create_task(bot.start(), name="bot")
        await sandbox.connected()
        [answer] = await sandbox.replies(await sandbox.say("picture"))
        await bot.close()
        await running
    assert answer.media is not None
    assert (answer.media.way, answer.media.content_type) == ("url", "image/png")
    assert answer.media.sha256 == hashlib.sha256(PNG).hexdigest()
    assert str(answer.media.url).startswith(f"{seaweed.http_url}/pics/qqmedia/")


def test_discovery_and_settings_load_no_sdk() -> None:
    program = (
        "import sys, qqmedia.plugins; found = qqmedia.plugins.discover().driver('s3'); found.spec.settings();"
        "print(found.status, [name for name in ('boto3', 'botocore', 'urllib3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "ready []\n"


def test_without_the_sdk_the_extra_is_named() -> None:
    program = (
        "import asyncio, importlib.util as util, qqmedia\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'botocore' else find(name, *rest)\n"
        "async def use():\n"
        "    async with qqmedia.open_host('s3', bucket='pics'): pass\n"
        "try: asyncio.run(use())\n"
        "except qqmedia.DriverUnavailableError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert 'pip install "qqmedia[s3]"' in done.stdout

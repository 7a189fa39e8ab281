"""Bots of other frameworks with a media host as a library, run as their authors would, against the sandbox.

The frameworks live in an environment of their own, which is kept in the environment of these tests; the first run takes
them from the package index. ``SKIP_OTHER_FRAMEWORKS=1`` leaves these tests out where there is none.
"""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot_core.sandbox import Sandbox
from qqmedia.testing import make_content
from tests.examples.distributions import ROOT, Environment
from tests.examples.platform_names import NAMES_LEAD_HERE, PLATFORM, platform_names
from tests.fakes.s3_server import S3Server
from tests.fakes.seaweedfs import seaweedfs
from tests.fakes.tls import make_private_ca

WANTED = ("nonebot2[aiohttp]==2.5.0", "nonebot-adapter-qq==1.7.3", "qq-botpy==1.2.1")
SKIPPED = bool(os.environ.get("SKIP_OTHER_FRAMEWORKS"))
LOCAL = {"QQMEDIA_DRIVER": "local", "QQMEDIA_LOCAL_HOST": "127.0.0.1", "QQMEDIA_LOCAL_PORT": "0"}
PNG = make_content(30_000, seed="a picture of another framework")
# botpy knows the platform by its host names only.
WITH_HOST_NAMES = f"""
{NAMES_LEAD_HERE}
import runpy
sys.modules["aiodns"] = None  # else names are not looked up by `socket`
runpy.run_path("bot.py", run_name="__main__")
"""

pytestmark = [
    pytest.mark.blocking,  # the tests themselves start programs and write small files
    pytest.mark.timeout(300),  # the first run installs
    pytest.mark.skipif(SKIPPED, reason="SKIP_OTHER_FRAMEWORKS is set"),
]


@pytest.fixture(scope="module")
def environment() -> Environment:
    return Environment.beside("other-frameworks", *WANTED, seconds=280)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("other-frameworks") / "seaweedfs") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cat.png").write_bytes(PNG)
    with wave.open(str(tmp_path / "song.wav"), "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(24_000)
        song.writeframes(bytes(range(256)) * 375)
    return tmp_path


@asynccontextmanager
async def running(
    environment: Environment, folder: Path, example: str, variables: Mapping[str, str], *command: str,
    by_url: bool = True,
) -> AsyncIterator[None]:  # fmt: skip
    text = (ROOT / "examples" / example / "bot.py").read_text("utf-8")
    assert "qqmedia.open_host()" in text
    if by_url:  # the sandbox can fetch from this machine
        text = text.replace("qqmedia.open_host()", "qqmedia.open_host(platform_on_loopback=True)")
    (folder / "bot.py").write_text(text, "utf-8")
    with (folder / "bot.log").open("wb") as log:
        bot = await asyncio.create_subprocess_exec(
            environment.python, *command, cwd=folder, env=environment.variables(variables),
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            if bot.returncode is None:
                bot.kill()
            await bot.wait()
            print((folder / "bot.log").read_text("utf-8", "replace"))


async def assert_picture_and_song_arrive(sandbox: Sandbox, base: str | None = "http://127.0.0.1:") -> None:
    way = "url" if base else "file_data"
    await sandbox.connected(timeout=30)
    for word, content_type in (("picture", "image/png"), ("song", "audio/silk")):
        (answer,) = await sandbox.replies(await sandbox.say(word))
        assert answer.media is not None
        assert (answer.media.way, answer.media.content_type) == (way, content_type)
        assert base is None or str(answer.media.url).startswith(base)
        assert word == "song" or await answer.media.read() == PNG


def nonebot_variables(sandbox: Sandbox) -> dict[str, str]:
    bots = [{"id": "1020000001", "secret": "secret", "intent": {"c2c_group_at_messages": True}}]
    return {
        "QQ_BOTS": json.dumps(bots),
        "QQ_API_BASE": sandbox.api_base,
        "QQ_AUTH_BASE": f"{sandbox.api_base}/app/getAppAccessToken",
    }


@pytest.mark.asyncio
async def test_a_nonebot_plugin_sends_through_the_local_server(environment: Environment, folder: Path) -> None:
    async with Sandbox.open() as sandbox:
        variables = LOCAL | nonebot_variables(sandbox)
        async with running(environment, folder, "nonebot_plugin", variables, "bot.py"):
            await assert_picture_and_song_arrive(sandbox)


@pytest.mark.asyncio
@pytest.mark.parametrize("hosting", [LOCAL, {"QQMEDIA_DRIVER": "direct"}], ids=["private", "direct"])
async def test_where_the_platform_cannot_fetch_the_plugin_sends_bytes(
    environment: Environment, folder: Path, hosting: Mapping[str, str]
) -> None:
    async with Sandbox.open() as sandbox:
        variables = dict(hosting) | nonebot_variables(sandbox)
        async with running(environment, folder, "nonebot_plugin", variables, "bot.py", by_url=False):
            await assert_picture_and_song_arrive(sandbox, None)


@pytest.mark.asyncio
async def test_the_same_plugin_sends_through_a_bucket_by_its_environment_alone(
    environment: Environment, folder: Path, s3: S3Server
) -> None:
    bucket = {f"QQMEDIA_S3_{name.upper()}": str(value) for name, value in s3.settings().items()}
    async with Sandbox.open() as sandbox:
        variables = {"QQMEDIA_DRIVER": "s3"} | bucket | nonebot_variables(sandbox)
        async with running(environment, folder, "nonebot_plugin", variables, "bot.py"):
            await assert_picture_and_song_arrive(sandbox, f"{s3.http_url}/{s3.bucket}/qqmedia/")


@pytest.mark.asyncio
async def test_a_bot_on_botpy_sends_through_the_host(environment: Environment, folder: Path) -> None:
    tls = make_private_ca(folder / "tls", *PLATFORM)
    variables = LOCAL | {"QQ_APPID": "1020000001", "QQ_SECRET": "secret", "SSL_CERT_FILE": str(tls.ca_file)}
    async with (
        Sandbox.open() as sandbox,
        platform_names(sandbox, tls) as port,
        running(environment, folder, "botpy_bot", variables, "-c", WITH_HOST_NAMES, str(port)),
    ):
        await assert_picture_and_song_arrive(sandbox)

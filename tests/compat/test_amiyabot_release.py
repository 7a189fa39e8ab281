"""The released AmiyaBot, unmodified, sends pictures, voices and videos through a media host of ours.

It runs as a process in an environment of its own, which is kept in the environment of these tests: the first run takes
it from the package index (half a minute), each later one is quick. AmiyaBot knows the platform by two host names only;
here they lead to the sandbox, as a line in the hosts file would do it, over TLS with a certificate of a private
authority. ``SKIP_RELEASED_AMIYABOT=1`` leaves these tests out where there is no package index.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot_core.openapi.values import FileType
from bot_core.sandbox import Arrived, Sandbox
from qqmedia import MediaKind
from qqmedia.testing import make_content
from tests.examples.distributions import Environment
from tests.examples.platform_names import NAMES_LEAD_HERE, PLATFORM, platform_names
from tests.fakes.s3_server import S3Server
from tests.fakes.seaweedfs import seaweedfs
from tests.fakes.tls import PrivateCA, make_private_ca

RELEASE = "amiyabot==2.1.5"
SKIPPED = bool(os.environ.get("SKIP_RELEASED_AMIYABOT"))

pytestmark = [
    pytest.mark.blocking,  # the tests themselves start programs and write small files
    pytest.mark.timeout(600),  # the first run installs
    pytest.mark.skipif(SKIPPED, reason="SKIP_RELEASED_AMIYABOT is set"),
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="it needs graiax-silkcoder: wheels for 3.11 and older only"),
]

PNG = make_content(30_000, seed="a picture of the released AmiyaBot")
MP4 = make_content(300_000, kind=MediaKind.VIDEO, seed="a video of the released AmiyaBot")

BOT = f"""
{NAMES_LEAD_HERE}
import asyncio, json

import qqmedia
from amiyabot import AmiyaBot, Chain, Message
from amiyabot.adapters.tencent.qqGroup import qq_group

driver, settings = json.loads(sys.argv[2])
host = qqmedia.open_host(driver, platform_on_loopback=True, **settings)
bot = AmiyaBot(appid="1020000001", token="", adapter=qq_group("secret", default_chain_builder=host))

@bot.on_message(keywords="bytes")
async def picture(data: Message):
    with open("cat.png", "rb") as file:
        return Chain(data, at=False).text("look").image(file.read())

@bot.on_message(keywords="picture")
async def picture_of_a_file(data: Message):
    return Chain(data, at=False).image("cat.png")

@bot.on_message(keywords="song")
async def song(data: Message):
    return Chain(data, at=False).voice("song.wav")

@bot.on_message(keywords="film")
async def film(data: Message):
    return Chain(data, at=False).video("film.mp4")

asyncio.run(bot.start())
"""


@pytest.fixture(scope="module")
def amiyabot() -> Environment:
    """The release and what it wants, our wheel and what it wants: one environment, resolved together."""
    return Environment.beside("released-amiyabot", RELEASE, seconds=550)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with ExitStack() as stack:
        yield stack.enter_context(seaweedfs(tmp_path_factory.mktemp("amiyabot") / "seaweedfs"))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> PrivateCA:
    return make_private_ca(tmp_path_factory.mktemp("platform"), *PLATFORM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "film.mp4").write_bytes(MP4)
    with wave.open(str(tmp_path / "song.wav"), "wb") as song:
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(24_000)
        song.writeframes(bytes(range(256)) * 375)
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    return tmp_path


@asynccontextmanager
async def released_bot(
    environment: Environment, folder: Path, tls: PrivateCA, driver: str, settings: dict[str, Any]
) -> AsyncIterator[Sandbox]:
    async with Sandbox.open() as sandbox, platform_names(sandbox, tls) as port:
        variables = environment.variables({"SSL_CERT_FILE": str(tls.ca_file), "REQUESTS_CA_BUNDLE": str(tls.ca_file)})
        variables = {name: value for name, value in variables.items() if not name.lower().endswith("_proxy")}
        log = (folder / "bot.log").open("wb")
        bot = await asyncio.create_subprocess_exec(
            environment.python, "bot.py", str(port), json.dumps([driver, settings]),
            cwd=folder, env=variables, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            await sandbox.connected(timeout=40)
            yield sandbox
        finally:
            if bot.returncode is None:
                bot.kill()
            await bot.wait()
            log.close()
            print((folder / "bot.log").read_text("utf-8", "replace"))


async def sent(sandbox: Sandbox, word: str) -> Arrived:
    answers = await sandbox.replies(await sandbox.say(word))
    return next(answer for answer in answers if answer.media is not None)


async def assert_everything_arrives(sandbox: Sandbox, base: str) -> None:
    """Each kind as a URL of our driver, which the platform fetched."""
    for word, kind, content_type, content in (
        ("bytes", FileType.IMAGE, "image/png", PNG),
        ("picture", FileType.IMAGE, "image/png", PNG),
        ("song", FileType.VOICE, "audio/silk", None),
        ("film", FileType.VIDEO, "video/mp4", MP4),
    ):
        media = (await sent(sandbox, word)).media
        assert media is not None
        assert (word, media.way, media.file_type, media.content_type) == (word, "url", kind, content_type)
        assert str(media.url).startswith(base)
        body = await media.read()
        assert body.startswith(b"\x02#!SILK_V3") if content is None else body == content


@pytest.mark.asyncio
async def test_it_sends_through_the_local_server(amiyabot: Environment, folder: Path, tls: PrivateCA) -> None:
    settings = {"host": "127.0.0.1", "port": 0, "resource_path": str(folder / "resource")}
    async with released_bot(amiyabot, folder, tls, "local", settings) as sandbox:
        await assert_everything_arrives(sandbox, "http://127.0.0.1:")


@pytest.mark.asyncio
async def test_it_sends_through_s3(amiyabot: Environment, folder: Path, tls: PrivateCA, s3: S3Server) -> None:
    async with released_bot(amiyabot, folder, tls, "s3", s3.settings()) as sandbox:
        await assert_everything_arrives(sandbox, f"{s3.http_url}/pics/qqmedia/")


def test_it_is_the_release_and_has_no_file_changed(amiyabot: Environment) -> None:
    """By the digests that the release itself carries."""
    program = (
        "import base64, hashlib, importlib.metadata as m\n"
        "release = m.distribution('amiyabot')\n"
        "files = [f for f in release.files if f.hash and f.suffix == '.py']\n"
        "digest = lambda f: base64.urlsafe_b64encode(hashlib.sha256(f.read_binary()).digest()).decode().rstrip('=')\n"
        "print(release.version, len(files) > 50, [str(f) for f in files if digest(f) != f.hash.value])"
    )
    assert amiyabot.run("-c", program) == "2.1.5 True []\n"

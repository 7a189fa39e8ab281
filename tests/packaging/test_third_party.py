"""A driver as somebody else publishes it: its wheel beside ours in an empty environment, and it works."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bot_core.sandbox import Sandbox
from qqmedia.testing import make_content
from tests.examples.distributions import ROOT, Environment, build_wheel, closure

pytestmark = [pytest.mark.blocking]  # the tests themselves start programs and write small files

WEBDAV = ROOT / "examples" / "qqmedia-webdav"
PNG = make_content(20_000, seed="a third party's picture")

BOT = """
import asyncio
from bot_core import AmiyaBot, Chain, Message, qq_group

bot = AmiyaBot(appid="1020000001", token="", adapter=qq_group("secret", default_chain_builder="webdav"))

@bot.on_message(keywords="picture")
async def picture(data: Message):
    return Chain(data).text("look").image("cat.png")

asyncio.run(bot.start())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Ours and the third party's by pip; what they require is linked, what they do not is not there."""
    linked = closure("qqmedia[testing]", "wsgidav", "cheroot", without={"qqmedia"})
    wheels = [build_wheel(ROOT), build_wheel(WEBDAV)]
    return Environment.new(tmp_path_factory.mktemp("third party") / "venv", wheels, linked)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    with _webdav_server(tmp_path / "served") as server:
        yield server


def _webdav_server(folder: Path) -> AbstractContextManager[Any]:
    """The server of the example's own tests."""
    spec = importlib.util.spec_from_file_location("webdav_server", WEBDAV / "tests" / "webdav_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "webdav_server", module)  # its dataclasses look themselves up
        spec.loader.exec_module(module)
    serving: AbstractContextManager[Any] = module.serving(folder)
    return serving


def test_it_is_found_beside_ours_and_nothing_is_loaded_for_that(environment: Environment) -> None:
    printed = environment.command("qqmedia", "drivers")
    rows = dict(re.findall(r"^(\S+)\t(.*)$", printed, re.MULTILINE))
    assert rows["webdav"] == "qqmedia-webdav 1.0.0\tready\t"
    assert rows["local"].endswith("\tready\t")
    assert "\tmissing\t" in rows["s3"]
    heavy = "[name for name in ('aiohttp', 'pydantic', 'qqmedia_webdav._driver') if name in sys.modules]"
    program = f"import sys, qqmedia.plugins as p; print(p.discover().driver('webdav').status, {heavy})"
    assert environment.run("-c", program) == "ready []\n"


def test_a_missing_setting_is_told_by_its_name(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    printed = environment.command("qqmedia", "put", "cat.png", "--driver", "webdav", cwd=tmp_path, fails=True)
    assert "QQMEDIA_WEBDAV_URL" in printed
    assert "Traceback" not in printed


@pytest.mark.timeout(120)  # 60 promises, some of which are about slowness
def test_it_passes_the_kit_as_it_is_installed(environment: Environment, tmp_path: Path) -> None:
    """Its own tests, run by its own settings, strictly."""
    shutil.copytree(WEBDAV / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(WEBDAV / "pyproject.toml", tmp_path)
    printed = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", cwd=tmp_path)
    passed = re.search(r"(\d+) passed(?:, (\d+) skipped)?", printed)
    assert passed, printed
    assert int(passed[1]) > 55, printed
    assert int(passed[2] or 0) <= 1, printed  # it does not know who can reach its server


def test_its_driver_is_small() -> None:
    """What knows WebDAV has less than 60 lines."""
    source = (WEBDAV / "src" / "qqmedia_webdav" / "_driver.py").read_text("utf-8")
    lines = [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) < 60


@pytest.mark.asyncio
async def test_a_bot_sends_a_picture_through_it(environment: Environment, server: Any, tmp_path: Path) -> None:
    """By ``default_chain_builder="webdav"``, with settings from the environment, and the platform fetches it there."""
    (tmp_path / "cat.png").write_bytes(PNG)
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    async with Sandbox.open() as sandbox:
        variables = environment.variables(dict(sandbox.environment)) | {
            "QQMEDIA_WEBDAV_URL": server.url,
            "QQMEDIA_WEBDAV_USER": server.user,
            "QQMEDIA_WEBDAV_PASSWORD": server.password,
            "QQMEDIA_WEBDAV_PUBLIC_URL": server.public_url,
        }
        bot = await asyncio.create_subprocess_exec(environment.python, "bot.py", cwd=tmp_path, env=variables)
        try:
            await sandbox.connected(timeout=20)
            (arrived,) = await sandbox.replies(await sandbox.say("picture"))
        finally:
            if bot.returncode is None:
                bot.terminate()
            await bot.wait()
    assert "look" in arrived.content
    assert arrived.media is not None
    assert (arrived.media.way, arrived.media.sha256) == ("url", hashlib.sha256(PNG).hexdigest())
    (stored,) = await asyncio.to_thread(lambda: list(Path(server.folder).iterdir()))
    assert arrived.media.url == f"{server.public_url}/{stored.name}"


def test_it_can_be_chosen_again_in_one_process(environment: Environment, tmp_path: Path) -> None:
    """Discovery asks the plugin anew, when its modules are loaded already."""
    program = (
        "import asyncio, qqmedia\n"
        "async def use():\n"
        "    for _ in range(2):\n"
        "        async with qqmedia.open_host('webdav', url='http://127.0.0.1:9/dav', check=False) as host:\n"
        "            print(host.names)\n"
        "asyncio.run(use())\n"
    )
    variables = {"QQMEDIA_STATE": str(tmp_path)}
    assert environment.run("-c", program, variables=variables) == "('webdav',)\n('webdav',)\n"

"""For the tests of bots: the fixture `qq`, a QQ open platform on loopback that the bot under test talks to.

Name this module in the `conftest.py` at the root of your tests (it needs ``pip install "qqmedia[testing]"``)::

    pytest_plugins = ["bot_core.testing"]

and write::

    @pytest.mark.asyncio
    async def test_it_shows_a_picture(qq):
        task = asyncio.create_task(bot.start())
        said = await qq.say("picture", group="friends")
        [answer] = await qq.replies(said)
        assert answer.media.content_type == "image/png"
        await bot.close()
        await task

Make the bot inside the test, or in a fixture that asks for `qq`: it reads where the platform is when it is made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot_core.sandbox import (
    Arrived,
    ArrivedMedia,
    Fault,
    FaultMode,
    Refused,
    Said,
    Sandbox,
    SandboxAccount,
    SandboxOptions,
)

__all__ = (
    "Arrived",
    "ArrivedMedia",
    "Fault",
    "FaultMode",
    "Refused",
    "Said",
    "Sandbox",
    "SandboxAccount",
    "SandboxOptions",
    "qq",
    "qq_options",
)


@pytest.fixture
def qq_options() -> SandboxOptions:
    """How `qq` behaves; override this fixture to change it."""
    return SandboxOptions()


@pytest_asyncio.fixture(loop_scope="function")
async def qq(qq_options: SandboxOptions, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Run a QQ open platform on loopback for one test, and let `QQ_API_BASE` and `QQ_TOKEN_URL` point at it."""
    async with Sandbox.open(qq_options) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield sandbox

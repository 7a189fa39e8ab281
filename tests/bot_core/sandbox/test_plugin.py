"""`bot_core.testing`: the fixture for authors of bots."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = 'pytest_plugins = ["bot_core.testing"]\n'

TEST = """
import os
import aiohttp
import pytest
from bot_core.sandbox import SandboxOptions


@pytest.fixture
def qq_options():
    return SandboxOptions(bot_name="mine")


@pytest.mark.asyncio
async def test_it(qq):
    assert os.environ["QQ_API_BASE"] == qq.api_base
    assert os.environ["QQ_TOKEN_URL"] == qq.token_url
    async with aiohttp.ClientSession() as http:
        pair = {"appId": "1", "clientSecret": "x"}
        async with http.post(qq.token_url, json=pair) as response:
            token = (await response.json())["access_token"]
        headers = {"Authorization": "QQBot " + token}
        async with http.get(qq.api_base + "/users/@me", headers=headers) as response:
            assert (await response.json())["username"] == "mine"


def test_nothing_is_left():
    assert "QQ_API_BASE" not in os.environ
"""


def test_the_fixture_in_the_tests_of_a_bot(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_bot.py").write_text(TEST)
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-W",
        "error",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["bot_core", "bot_core.sandbox"])
def test_nothing_else_imports_pytest(module: str) -> None:
    code = f"import sys, {module}; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "False"

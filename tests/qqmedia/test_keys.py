"""Names of objects: unguessable, stable, and the same for every process of this user."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qqmedia import ConfigurationError, MediaKind, open_host
from qqmedia.testing import MemoryDriver

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
WRITE_A_KEY = """
import asyncio, qqmedia, qqmedia.testing, sys

async def main():
    sys.stdin.readline()
    plugins = [qqmedia.testing.MemoryDriver()]
    async with qqmedia.open_host("memory", plugins=plugins, state_dir=sys.argv[1]) as host:
        async with host.prepare("image", bytes.fromhex(sys.argv[2])) as upload:
            print(upload.key)

asyncio.run(main())
"""


async def _key(state: Path, kind: MediaKind = MediaKind.IMAGE, content: bytes = PNG) -> str:
    host = open_host("memory", plugins=[MemoryDriver()], state_dir=state)
    async with host, host.prepare(kind, content) as upload:
        return upload.key


@pytest.mark.asyncio
async def test_a_key_is_the_same_across_runs_and_another_for_others(tmp_path: Path) -> None:
    key = await _key(tmp_path / "a")
    assert re.fullmatch(r"[0-9a-f]{64}\.png", key)
    assert await _key(tmp_path / "a") == key
    assert await _key(tmp_path / "b") != key, "another user's secret"
    assert await _key(tmp_path / "a", MediaKind.FILE) != key
    assert await _key(tmp_path / "a", content=PNG + b"x") != key


@pytest.mark.asyncio
@pytest.mark.skipif(os.name != "posix", reason="modes mean something on POSIX only")
async def test_the_secret_is_readable_by_its_user_only(tmp_path: Path) -> None:
    await _key(tmp_path / "state")
    (name,) = await asyncio.to_thread(os.listdir, tmp_path / "state")
    for path, mode in ((tmp_path / "state" / name, 0o600), (tmp_path / "state", 0o700)):
        assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == mode


def test_processes_that_begin_at_the_same_moment_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_A_KEY, str(tmp_path / "state"), PNG.hex()]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    keys = {child.communicate(timeout=30)[0] for child in children}
    assert len(keys) == 1
    assert keys.pop().endswith(".png\n")


@pytest.mark.asyncio
async def test_a_damaged_secret_or_an_impossible_folder_says_what_to_do(tmp_path: Path) -> None:
    await _key(tmp_path / "state")
    (name,) = await asyncio.to_thread(os.listdir, tmp_path / "state")
    await asyncio.to_thread((tmp_path / "state" / name).write_bytes, b"short")
    with pytest.raises(ConfigurationError, match=r"is damaged \(5 bytes, not 32\); delete it"):
        await _key(tmp_path / "state")
    with pytest.raises(ConfigurationError, match="set QQMEDIA_STATE to another folder"):
        await _key(tmp_path / "state" / name / "below a file")

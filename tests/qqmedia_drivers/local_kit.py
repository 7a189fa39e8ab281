"""How the tests of the driver `local` look at what it serves."""

from __future__ import annotations

import socket
from pathlib import Path

import aiohttp

__all__ = ("files_in", "free_port", "status_of")


async def status_of(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        await answer.read()
        return answer.status


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

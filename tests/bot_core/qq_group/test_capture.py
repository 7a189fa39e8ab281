"""Every request of a chunked upload, as the servers see it: the token stays with the platform.

The listing in ``docs/media-ways.md`` is this capture.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from bot_core.chain import Chain
from tests.bot_core.qq_group.conftest import mp4
from tests.bot_core.qq_group.uploading import KIB, outbox, web_server

pytestmark = pytest.mark.asyncio

TOKEN: Final = "4CC355_T0KEN_0F_THE_B0T"
SECRET: Final = "secret"  # of `outbox`
OF_THE_LIBRARY: Final = {"Host", "User-Agent", "Accept", "Accept-Encoding"}
VIDEO: Final = mp4(150 * KIB)
BLOCK: Final = 64 * KIB
PAGE: Final = Path(__file__).parents[3] / "docs" / "media-ways.md"


@dataclass
class Captured:
    """One request, as it came."""

    server: str
    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def __contains__(self, words: str) -> bool:
        everything = [self.line, *(f"{name}: {value}" for name, value in self.headers), self.body.decode("latin-1")]
        return any(words.lower() in one.lower() for one in everything)


@dataclass
class Servers:
    """The platform and a storage of somebody else, each at its own port."""

    storage: str = ""
    api_base: str = ""
    requests: list[Captured] = field(default_factory=list)

    async def _note(self, server: str, request: web.BaseRequest) -> bytes:
        body = await request.read()
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        self.requests.append(Captured(server, f"{request.method} {request.raw_path}", headers, body))
        return body

    async def store(self, request: web.BaseRequest) -> web.Response:
        await self._note("storage", request)
        return web.Response(headers={"ETag": '"x"'})

    async def platform(self, request: web.BaseRequest) -> web.Response:
        body = await self._note("platform", request)
        match request.path.rpartition("/")[2]:
            case "getAppAccessToken":
                return web.json_response({"access_token": TOKEN, "expires_in": "7200"})
            case "upload_prepare":
                size = int(json.loads(body)["file_size"])
                parts = [
                    {
                        "index": number,
                        "presigned_url": f"{self.storage}/robot_upload/1020/U/part_{number}?q-signature=S",
                        "block_size": str(min(BLOCK, size - (number - 1) * BLOCK)),
                    }
                    for number in range(1, -(-size // BLOCK) + 1)
                ]
                return web.json_response({"upload_id": "U", "block_size": BLOCK, "parts": parts})
            case "files":
                return web.json_response({"file_info": "INFO", "file_uuid": "F", "ttl": 300})
            case _:
                return web.json_response({"id": "M"})


def listing(servers: Servers) -> str:
    """Return the capture as people read it, without what the HTTP library says of itself."""
    lines = []
    for one in servers.requests:
        own = sorted((name, value) for name, value in one.headers if name not in OF_THE_LIBRARY)
        body = f"({len(one.body)} bytes)" if one.server == "storage" else one.body.decode()
        lines += [f"to the {one.server}: {one.line}", *(f"    {name}: {value}" for name, value in own), f"    {body}"]
    return "\n".join(lines).replace(TOKEN, "TOKEN").replace(f'"{SECRET}"', '"SECRET"')


async def captured() -> Servers:
    servers = Servers()
    async with (
        web_server(servers.store) as servers.storage,
        web_server(servers.platform) as servers.api_base,
        outbox(servers, inline_limit=KIB) as out,
    ):
        await out.send(Chain().video(VIDEO))
    return servers


async def test_no_token_goes_to_a_third_party() -> None:
    servers = await captured()
    to_storage = [one for one in servers.requests if one.server == "storage"]
    to_platform = [one for one in servers.requests if one.server == "platform"]
    assert b"".join(one.body for one in to_storage) == VIDEO
    for one in to_storage:
        for secret in (TOKEN, SECRET, "QQBot", "Authorization", "X-Union-Appid", "Cookie"):
            assert secret not in one, one
        assert {name for name, _ in one.headers} == {
            "Host",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Content-Length",
        }
    assert [SECRET in one for one in to_platform] == [True] + [False] * (len(to_platform) - 1)
    for one in to_platform[1:]:
        assert [value for name, value in one.headers if name == "Authorization"] == [f"QQBot {TOKEN}"]
        assert TOKEN not in one.line
        assert TOKEN not in one.body.decode()


async def test_the_listing_in_the_documentation_is_what_is_sent() -> None:
    page = await asyncio.to_thread(PAGE.read_text, encoding="utf-8")
    assert f"```\n{listing(await captured())}\n```" in page

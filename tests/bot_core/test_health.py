"""Where `/healthz` is answered."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from bot_core.health import health_listener, parse_address
from bot_core.status import BotStatus, ShardStatus
from qqmedia.errors import ConfigurationError


@pytest.mark.parametrize(
    ("address", "parsed"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8080", ("::1", 8080)), ("h:0", ("h", 0))]
)
def test_an_address(address: str, parsed: tuple[str, int]) -> None:
    assert parse_address(address) == parsed


@pytest.mark.parametrize("address", ["8087", ":8087", "h:", "h:x", "h:65536", "h:-1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigurationError, match='must be "host:port"'):
        parse_address(address)


@pytest.mark.asyncio
async def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(ConfigurationError, match=f"health='127.0.0.1:{port}' cannot be listened on"):
            async with health_listener(f"127.0.0.1:{port}", lambda: BotStatus(appid="1")):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("states", "status"), [((), 503), (("live",), 200), (("live", "resuming"), 503), (("live", "live"), 200)]
)
async def test_all_shards_must_be_live(states: tuple[str, ...], status: int, unused_tcp_port: int) -> None:
    shards = tuple(ShardStatus(index=index, count=len(states), state=state) for index, state in enumerate(states))
    async with health_listener(f"127.0.0.1:{unused_tcp_port}", lambda: BotStatus(appid="1", shards=shards)):
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{unused_tcp_port}/healthz") as answer:
            assert answer.status == status
            told = await answer.json()
        assert [shard["state"] for shard in told["shards"]] == list(states)
        assert told["healthy"] is (status == 200)


@pytest.mark.asyncio
async def test_nothing_listens_where_nothing_was_asked_for() -> None:
    async with health_listener(None, lambda: BotStatus(appid="1")):
        pass

"""Where `/healthz` is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from bot_core.errors import GatewayError
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


async def _ask(port: int) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/healthz") as answer:
        return answer.status, await answer.json()


def _bot(appid: str, state: str = "live") -> Callable[[], BotStatus]:
    return lambda: BotStatus(appid=appid, shards=(ShardStatus(index=0, count=1, state=state),))


@pytest.mark.asyncio
async def test_bots_of_one_process_share_an_address_and_it_tells_of_all(unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    both_are_in = asyncio.Barrier(3)

    async def live(appid: str, state: str) -> None:
        async with health_listener(address, _bot(appid, state)):
            await both_are_in.wait()
            await both_are_in.wait()

    async with asyncio.TaskGroup() as tasks:  # at the same moment: who comes second waits until it is open
        tasks.create_task(live("1", "live"), name="1")
        tasks.create_task(live("2", "resuming"), name="2")
        await both_are_in.wait()
        status, told = await _ask(unused_tcp_port)
        assert (status, told["healthy"]) == (503, False)
        assert [(one["appid"], one["healthy"]) for one in told["accounts"]] == [("1", True), ("2", False)]
        assert "appid" not in told
        await both_are_in.wait()
    with pytest.raises(aiohttp.ClientConnectionError):
        await _ask(unused_tcp_port)


@pytest.mark.asyncio
async def test_an_account_that_died_is_not_well_until_it_is_given_up_or_comes_back(unused_tcp_port: int) -> None:
    address, given_up = f"127.0.0.1:{unused_tcp_port}", False
    async with health_listener(address, _bot("1")):
        with pytest.raises(GatewayError):
            async with health_listener(address, _bot("2"), lambda: given_up):
                raise GatewayError("banned")
        status, told = await _ask(unused_tcp_port)
        assert status == 503
        assert [one["healthy"] for one in told["accounts"]] == [True, False]
        assert [one["ended"] for one in told["accounts"]] == ["", "GatewayError: banned"]
        given_up = True
        assert (await _ask(unused_tcp_port))[0] == 200
        given_up = False
        async with health_listener(address, _bot("2")):
            status, told = await _ask(unused_tcp_port)
            assert (status, len(told["accounts"])) == (200, 2)
        status, told = await _ask(unused_tcp_port)
        assert (status, told["appid"]) == (200, "1")


@pytest.mark.asyncio
async def test_any_free_port_is_another_one_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bot_core.health")
    async with health_listener("127.0.0.1:0", _bot("1")), health_listener("127.0.0.1:0", _bot("2")):
        assert len({record.getMessage() for record in caplog.records}) == 2


@pytest.mark.asyncio
async def test_one_address_that_is_written_in_two_ways_is_told(unused_tcp_port: int) -> None:
    async with health_listener(f"127.0.0.1:{unused_tcp_port}", _bot("1")):
        with pytest.raises(ConfigurationError, match=f"write '127.0.0.1:{unused_tcp_port}', as another bot"):
            async with health_listener(f"0.0.0.0:{unused_tcp_port}", _bot("2")):
                pass
        assert (await _ask(unused_tcp_port))[0] == 200

"""The control API, and where the sandbox listens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from bot_core.sandbox import ChunkOptions, Sandbox, SandboxAccount, SandboxOptions
from bot_core.sandbox._option_texts import with_texts
from qqmedia import ConfigurationError


@pytest.mark.asyncio
async def test_say_and_what_arrived_over_http(play: Any, png: Any) -> None:
    async with play() as (sandbox, bot):
        async with bot.http.post(f"{sandbox.api_base}/sandbox/say", json={"text": "hi", "group": "cats"}) as response:
            answer = await response.json()
        d = await bot.heard()
        assert answer["said"]["id"] == d["id"]
        target = f"groups/{d['group_openid']}"
        await bot.post(target, msg_type=0, content="unasked")
        waiting = asyncio.create_task(
            bot.http.get(f"{sandbox.api_base}/sandbox/arrived", params={"after": "1", "msg_id": d["id"], "wait": "5"})
        )
        _, file = await bot.upload(target, png(0))
        await bot.post(target, msg_type=7, content="look", media={"file_info": file["file_info"]}, msg_id=d["id"])
        async with await waiting as response:
            [arrived] = (await response.json())["arrived"]
        assert (arrived["content"], arrived["chat"], arrived["number"]) == ("look", "cats", 2)
        assert arrived["media"]["content_type"] == "image/png"
        async with bot.http.get(sandbox.api_base + arrived["media"]["download"]) as response:
            assert (await response.read(), response.content_type) == (png(0), "image/png")
        async with bot.http.get(f"{sandbox.api_base}/sandbox/state") as response:
            state = await response.json()
        assert state["bots"][0]["connected"] is True
        assert state["calls"]["messages"] == 2


@pytest.mark.asyncio
async def test_connections_tokens_and_faults_over_http(play: Any) -> None:
    async with play() as (sandbox, bot):

        async def ask(path: str, body: object = None, method: str = "POST") -> dict[str, object]:
            async with bot.http.request(method, f"{sandbox.api_base}/sandbox/{path}", json=body or {}) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        assert await ask("emit", {"event_name": "FRIEND_ADD", "data": {"openid": "A"}})
        assert (await bot.frame())["t"] == "FRIEND_ADD"
        assert await ask("connections", {"action": "reconnect"}) == {"connections": 1}
        assert await bot.frame() == {"op": 7}
        assert await ask("connections", {"action": "invalid_session"}) == {"connections": 1}
        assert await bot.frame() == {"op": 9, "d": False}
        assert await ask("connections", {"action": "close", "code": 4900}) == {"connections": 1}
        assert await bot.frame() == {"close": 4900}
        assert await ask("tokens/revoke") == {"tokens": 1}
        assert await ask("faults", {"kind": "files", "mode": "cut", "times": 3}) == {"left": 3}
        assert sandbox.faults.left("files") == 3
        async with bot.http.get(f"{sandbox.api_base}/sandbox/state") as response:
            assert (await response.json())["faults"] == {"files": 3}
        await ask("faults", method="DELETE")
        assert sandbox.faults.left("files") == 0


@pytest.mark.asyncio
async def test_buttons_recalls_and_expired_files_over_http(play: Any, png: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.connect(intents=(1 << 25) | (1 << 26))

        async def ask(method: str, path: str, body: object = None) -> Any:
            async with bot.http.request(method, f"{sandbox.api_base}/sandbox/{path}", json=body or {}) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        pressed = await ask("POST", "press", {"data": "yes", "button": "7", "user": "Bob", "group": "cats"})
        d = await bot.heard()
        assert (d["id"], d["data"]["resolved"]["button_data"]) == (pressed["said"]["id"], "yes")
        assert await bot.call("PUT", f"/interactions/{d['id']}", json={"code": 0}) == (200, {})
        target = f"groups/{d['group_openid']}"
        _, file = await bot.upload(target, png(0))
        await ask("POST", "files/expire")
        status, refused = await bot.post(target, msg_type=7, media={"file_info": file["file_info"]})
        assert (status, refused["code"]) == (400, 304080)
        _, sent = await bot.post(target, msg_type=0, content="oops")
        await bot.call("DELETE", f"/v2/{target}/messages/{sent['id']}")
        state = await ask("GET", "state")
        assert [(one["id"], one["code"], one["in_time"]) for one in state["acknowledged"]] == [(d["id"], 0, True)]
        assert [(one["id"], one["openid"]) for one in state["recalled"]] == [(sent["id"], d["group_openid"])]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("say", {}, 400, "`text` is missing; it must be a string"),
        ("say", {"text": 5}, 400, "`text` must be a string, got 5"),
        ("say", {"text": "x", "grup": "y"}, 400, "unknown: grup; there are appid, at,"),
        ("say", {"text": "x", "group": 5}, 400, "`group` must be a string, got 5"),
        ("say", {"text": "x", "at": "no"}, 400, "`at` must be true or false, got 'no'"),
        ("say", {"text": "x", "role": "king"}, 400, "`role` must be member, admin or owner, got 'king'"),
        ("say", {"text": "x", "attachments": [5]}, 400, "`attachments` must be a list of objects, got [5]"),
        ("say", {"text": "x", "shard": "x"}, 400, "`shard` must be a whole number from 0 on, got 'x'"),
        ("say", {"text": "x", "connect_timeout": -1}, 400, "`connect_timeout` must be a number from 0 on, got -1"),
        ("say", {"text": "x", "group": "y", "private": True}, 400, "in a group or in private"),
        ("say", {"text": "x"}, 409, "no bot connected to the sandbox within 0.02 s"),
        ("press", {"button": "1"}, 400, "`data` is missing"),
        ("press", {"data": "x", "text": "y"}, 400, "unknown: text"),
        ("press", {"data": "x", "group": "y", "private": True}, 400, "in a group or in private"),
        ("emit", {"event_name": 1, "data": {}}, 400, "`event_name` must be a string, got 1"),
        ("emit", {"event_name": "X"}, 400, "`data` is missing"),
        ("emit", {"event_name": "X", "data": {}, "to": "Ann"}, 400, "unknown: to"),
        ("connections", {}, 400, "`action` is missing; it must be one of close, drop"),
        ("connections", {"action": "explode"}, 400, "`action` must be one of close, drop"),
        ("connections", {"action": "close", "code": 99999}, 400, "got 99999"),
        ("connections", {"action": "close", "code": "x"}, 400, "`code` must be a whole number from 0 on, got 'x'"),
        ("connections", {"action": "drop", "code": 4009}, 400, "unknown: code; there are appid, shard"),
        ("connections", {"action": "invalid_session", "resumable": "yes"}, 400, "`resumable` must be true or false"),
        ("tokens/revoke", {"app": "1"}, 400, "unknown: app; there are appid"),
        ("files/expire", {"now": True}, 400, "unknown: now, there are no fields"),
        ("faults", {}, 400, "`kind` is missing; it must be one of token, me"),
        ("faults", {"kind": "files", "mode": "explode"}, 400, "`mode` must be one of answer, stall, cut"),
        ("faults", {"kind": "files", "mode": "late"}, 400, "late is not something that can happen to files"),
        ("faults", {"kind": "files", "mode": "cut", "colour": "red"}, 400, "unknown: colour; there are code, html"),
        ("faults", {"kind": "files", "mode": "cut", "times": "3"}, 400, "`times` must be a whole number from 1 on"),
        ("faults", {"kind": "files", "mode": "answer", "status": "x"}, 400, "`status` must be a whole number"),
        ("faults", {"kind": "resume", "mode": "close"}, 400, "code must be a close code"),
        ("nothing", {}, 404, "no POST /sandbox/nothing; there are GET /sandbox/state"),
    ],
)
async def test_what_cannot_be_done_says_why(play: Any, path: str, body: Any, status: int, why: str) -> None:
    async with (
        play(connect=False, connect_timeout_seconds=0.02) as (sandbox, bot),
        bot.http.post(f"{sandbox.api_base}/sandbox/{path}", json=body) as response,
    ):
        assert response.status == status
        assert why in (await response.json())["error"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("after=x", "`after` must be a whole number from 0 on, got 'x'"),
        ("after=-1", "`after` must be"),
        ("wait=nan", "`wait` must be a number from 0 on, got 'nan'"),
        ("wait=1e999", "`wait` must be a number"),
        ("since=1", "unknown: since; there are after, msg_id, wait"),
    ],
)
async def test_a_query_that_makes_no_sense_says_why(play: Any, query: str, why: str) -> None:
    async with (
        play(connect=False) as (sandbox, bot),
        bot.http.get(f"{sandbox.api_base}/sandbox/arrived?{query}") as response,
    ):
        assert response.status == 400
        assert why in (await response.json())["error"]


@pytest.mark.asyncio
async def test_events_of_any_name_and_with_any_data(play: Any) -> None:
    async with play() as (sandbox, bot):
        for name, data in (("NEW_THING", "text"), ("NEW_THING", [1, None]), ('odd "name"\n', {}), ("NEW_THING", None)):
            async with bot.http.post(
                f"{sandbox.api_base}/sandbox/emit", json={"event_name": name, "data": data}
            ) as response:
                said = (await response.json())["said"]
            frame = await bot.frame()
            assert (frame["t"], frame["d"], frame["id"]) == (name, data, said["event_id"])


@pytest.mark.asyncio
async def test_a_web_page_cannot_use_it(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        say = f"{sandbox.api_base}/sandbox/say"
        async with bot.http.post(say, data='{"text":"x"}', headers={"Content-Type": "text/plain"}) as response:
            assert response.status == 415
        async with bot.http.post(say, json={"text": "x"}, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403


@pytest.mark.asyncio
async def test_unknown_calls_of_the_platform_are_404(play: Any) -> None:
    async with play() as (_, bot):
        for method, path in (("GET", "/v2/groups/G/messages"), ("POST", "/v2/rooms/G/messages"), ("GET", "/")):
            status, body = await bot.call(method, path)
            assert status == 404
            assert path in body["message"]


@pytest.mark.asyncio
async def test_it_opens_only_on_loopback_unless_told_otherwise() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "example.com"):
        with pytest.raises(ConfigurationError, match="other machines"):
            async with Sandbox.open(host=host):
                pass
    async with Sandbox.open(SandboxOptions(allow_remote=True), host="0.0.0.0") as sandbox:
        assert sandbox.api_base.startswith("http://127.0.0.1:")


@pytest.mark.asyncio
async def test_a_port_that_is_taken_is_named() -> None:
    async with Sandbox.open() as sandbox:
        port = int(sandbox.api_base.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=f"port {port} is taken"):
            async with Sandbox.open(port=port):
                pass
        assert sandbox.environment == {
            "QQ_API_BASE": f"http://127.0.0.1:{port}",
            "QQ_TOKEN_URL": f"http://127.0.0.1:{port}/app/getAppAccessToken",
        }


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"inline_body_bytes": 0}, "inline_body_bytes"),
        ({"kept": -1}, "kept"),
        ({"max_concurrency": 0}, "max_concurrency must be more than 0, got 0"),
        ({"max_concurrency": "3"}, "max_concurrency must be more than 0, got '3'"),
        ({"identify_window_seconds": "3"}, "identify_window_seconds must be 0 or more, got '3'"),
        ({"connection_lifetime_seconds": -1}, "connection_lifetime_seconds must be 0 or more, got -1"),
        ({"identify_window_seconds": float("nan")}, "identify_window_seconds must be 0 or more, got nan"),
        ({"accounts": (SandboxAccount(appid="1"), SandboxAccount(appid="1"))}, "accounts"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        SandboxOptions(**options)


def test_any_option_can_be_said_as_a_text() -> None:
    options = with_texts(
        SandboxOptions(bot_name="b"),
        ["max_concurrency=2", "full_receive=true", "group_window_seconds=0.5", "chunks.busy_finishes=1", "audit=pass",
         "allowed_addresses=203.0.113.5, 203.0.113.6", "fetch_ports=80"],
    )  # fmt: skip
    assert options == SandboxOptions(
        bot_name="b",
        max_concurrency=2,
        full_receive=True,
        group_window_seconds=0.5,
        chunks=ChunkOptions(busy_finishes=1),
        audit="pass",
        allowed_addresses=("203.0.113.5", "203.0.113.6"),
        fetch_ports=(80,),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_concurency=2", "no option 'max_concurency'; do you mean max_concurrency?"),
        ("qqqq=1", "no option 'qqqq'; there are allow_remote, allowed_addresses, audit, "),
        ("clock=1", "no option 'clock'"),
        ("max_concurrency=1.5", "max_concurrency takes a whole number, got '1.5'"),
        ("group_window_seconds=x", "group_window_seconds takes a number, got 'x'"),
        ("proactive=maybe", "proactive is true or false, got 'maybe'"),
        ("proactive", "options are like session_start_total=3, got 'proactive'"),
        ("audit=x", "audit must be one of"),
        ("fetch_ports=80,x", "fetch_ports takes a whole number, got 'x'"),
        ("chunks.upload_config=x", "chunks: upload_config must be one of nested, top_level, absent, got 'x'"),
    ],
)
def test_a_text_that_is_no_option_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        with_texts(SandboxOptions(), [text])
    assert why in str(refused.value)


@pytest.mark.asyncio
async def test_closing_says_goodbye_to_the_bots(play: Any) -> None:
    async with play() as (_, bot):
        pass
    assert bot.ws.closed


@pytest.mark.asyncio
async def test_a_connected_bot_sees_the_sandbox_end_with_1001(another_bot: Any) -> None:
    async with Sandbox.open() as sandbox:
        bot_context = another_bot(sandbox, "1")
        bot = await bot_context.__aenter__()
        await bot.connect()
        reading = asyncio.create_task(bot.frame())
        await asyncio.sleep(0)
    assert await reading == {"close": 1001}
    await bot_context.__aexit__(None, None, None)


@pytest.mark.asyncio
async def test_pictures_and_uploads_over_http_without_a_token(play: Any, png: Any, serve: Any) -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=png(0))

    url = f"{await serve(handler)}/cat.png"
    async with play() as (sandbox, bot):
        await bot.upload("groups/G", png(0))
        await bot.post("groups/G", msg_type=2, markdown={"content": f"![cat]({url})"})
        async with bot.http.get(f"{sandbox.api_base}/sandbox/uploads") as response:
            text = await response.text()
            [upload] = (await response.json())["uploads"]
        assert (upload["kind"], upload["status"], upload["headers"]["Authorization"]) == ("files", 200, "***")
        assert bot.headers["Authorization"].partition(" ")[2] not in text
        async with bot.http.get(f"{sandbox.api_base}/sandbox/arrived") as response:
            [picture] = (await response.json())["arrived"][0]["pictures"]
        assert (picture["text"], picture["url"]) == ("cat", url)
        async with bot.http.get(sandbox.api_base + picture["download"]) as response:
            assert await response.read() == png(0)

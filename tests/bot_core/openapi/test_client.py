from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bot_core.errors import (
    AuthenticationError,
    MediaRefusedError,
    OpenAPIError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    TargetError,
)
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import BotUser, FileType, Scene, Target
from bot_core.qq_group.posting import Post, Poster
from bot_core.qq_group.reply import ReplyBook, ReplyContext
from bot_core.qq_group.timing import Timing
from tests.fakes.gateway import APPID, SECRET, FakePlatform, Reply

GROUP = Target(Scene.GROUP, "GROUP")
USER = Target(Scene.USER, "a/b ?é")


@pytest_asyncio.fixture
async def api(platform: FakePlatform) -> AsyncIterator[OpenAPIClient]:
    async with aiohttp.ClientSession() as http:
        tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
        yield OpenAPIClient(http, api_base=platform.base, tokens=tokens, timeout=2)


async def refusal(api: OpenAPIClient) -> OpenAPIError:
    with pytest.raises(OpenAPIError) as caught:
        await api.post_message(GROUP, {"content": "x"})
    return caught.value


@pytest.mark.asyncio
async def test_a_message(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies.append(Reply(body={"id": "ROBOT1.0_x", "timestamp": 1}))
    sent = await api.post_message(GROUP, {"msg_type": 0, "content": "你好"})
    assert (sent.id, sent.raw["timestamp"]) == ("ROBOT1.0_x", 1)
    call = platform.calls[0]
    assert (call.method, call.path) == ("POST", "/v2/groups/GROUP/messages")
    assert call.headers["Authorization"] == "QQBot token-1"
    assert call.headers["Content-Type"] == "application/json; charset=utf-8"
    assert call.body == '{"msg_type":0,"content":"你好"}'.encode()


@pytest.mark.asyncio
async def test_ids_are_quoted_in_paths(api: OpenAPIClient, platform: FakePlatform) -> None:
    await api.delete_message(USER, "ROBOT1.0_a/b")
    await api.put_interaction("x/y")
    assert [(call.method, call.path) for call in platform.calls] == [
        ("DELETE", "/v2/users/a%2Fb%20%3F%C3%A9/messages/ROBOT1.0_a%2Fb"),
        ("PUT", "/interactions/x%2Fy"),
    ]
    assert platform.calls[1].json == {"code": 0}


@pytest.mark.asyncio
@pytest.mark.parametrize(("ttl", "seconds"), [(300, 300), ("3600", 3600), (0, None), (None, None)])
async def test_a_file_by_url(api: OpenAPIClient, platform: FakePlatform, ttl: Any, seconds: int | None) -> None:
    platform.replies.append(Reply(body={"file_uuid": "u", "file_info": "F", "ttl": ttl}))
    info = await api.post_file(GROUP, file_type=FileType.IMAGE, url="https://example.com/a.png")
    assert (info.file_info, info.file_uuid, info.ttl_seconds) == ("F", "u", seconds)
    assert platform.calls[0].path == "/v2/groups/GROUP/files"
    assert platform.calls[0].json == {"file_type": 1, "srv_send_msg": False, "url": "https://example.com/a.png"}


@pytest.mark.asyncio
async def test_five_megabytes_inline_do_not_stall_the_loop(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies.append(Reply(body={"file_info": "F"}))
    data = base64.b64encode(bytes(range(256)) * 15_000).decode()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)

    async with asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(watch())
        await api.post_file(GROUP, file_type=FileType.FILE, file_data=data, file_name='a "b".zip')
        watcher.cancel()
    assert platform.calls[0].json == {
        "file_type": 4,
        "srv_send_msg": False,
        "file_name": 'a "b".zip',
        "file_data": data,
    }
    assert longest < 0.2


@pytest.mark.asyncio
@pytest.mark.parametrize("data", ['a"b', "é", "a\\b"], ids=["quote", "letter", "backslash"])
async def test_what_is_no_base64_is_refused_at_once(api: OpenAPIClient, platform: FakePlatform, data: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        await api.post_file(GROUP, file_type=FileType.IMAGE, file_data=data)
    assert platform.calls == []


@pytest.mark.asyncio
async def test_an_empty_answer_of_files_passes(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies.append(Reply(200, ""))
    with pytest.raises(OpenAPIError, match="no file_info") as caught:
        await api.post_file(GROUP, file_type=FileType.IMAGE, upload_id="u")
    assert kind_of(caught.value) is CodeKind.RETRY_LATER


@pytest.mark.asyncio
async def test_who_am_i_and_where_is_the_gateway(api: OpenAPIClient, platform: FakePlatform) -> None:
    limit = {"total": 1500, "remaining": "1499", "reset_after": 86400000, "max_concurrency": 1}
    platform.replies += [
        Reply(body={"id": "1", "username": "bot"}),
        Reply(body={"url": "wss://example.com/websocket"}),
        Reply(body={"url": "wss://example.com/websocket", "shards": 2, "session_start_limit": limit}),
        Reply(body={}),
    ]
    assert await api.get_me() == BotUser(id="1", username="bot")
    assert await api.get_gateway() == "wss://example.com/websocket"
    info = await api.get_gateway_bot()
    assert (info.shards, info.total, info.remaining, info.reset_after_seconds) == (2, 1500, 1499, 86400)
    with pytest.raises(OpenAPIError, match="no address"):
        await api.get_gateway()


@pytest.mark.asyncio
async def test_calls_without_a_method_of_their_own(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies += [Reply(body=[1, 2]), Reply(body={"a": 1}), Reply(204, ""), Reply(body={"id": "1"})]
    assert await api.get("/guilds/1/channels", {"limit": 2}) == [1, 2]
    assert await api.post("/v2/generate_url_link", {"callback_data": "x"}) == {"a": 1}
    assert await api.request("delete", "/x") == {}
    me = await api.request("/users/@me", "get")  # as AmiyaBot has them
    assert me == me.json == {"id": "1"}
    called = [(call.method, call.path) for call in platform.calls]
    assert called == [
        ("GET", "/guilds/1/channels?limit=2"),
        ("POST", "/v2/generate_url_link"),
        ("DELETE", "/x"),
        ("GET", "/users/@me"),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_message_that_is_audited_is_accepted(api: OpenAPIClient, platform: FakePlatform, status: int) -> None:
    body = {
        "code": 304023,
        "message": "push message is waiting for audit",
        "data": {"message_audit": {"audit_id": "a"}},
    }
    platform.replies.append(Reply(status, body))
    sent = await api.post_message(GROUP, {"content": "x"})
    assert (sent.id, sent.raw) == ("", body)


@pytest.mark.asyncio
async def test_an_error_says_everything_on_one_line(api: OpenAPIClient, platform: FakePlatform) -> None:
    body = {"message": "url not\nallowed", "code": 40054010, "err_code": 40054999}
    platform.replies.append(Reply(400, body, {"x-tps-TRACE-id": "trace-7"}))
    error = await refusal(api)
    assert type(error) is PayloadError
    assert (error.code, error.err_code, error.trace_id, error.status) == (40054010, 40054999, "trace-7", 400)
    assert error.path == "/v2/groups/GROUP/messages"
    for part in ("POST /v2/groups/GROUP/messages", "40054010", "40054999", "HTTP 400", "url not allowed", "trace-7"):
        assert part in str(error)
    assert "links are not allowed" in str(error)
    assert "\n" not in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(Reply(200, {"code": 40054003, "message": ""}), TargetError, id="code under HTTP 200"),
        pytest.param(Reply(200, {"err_code": "40034100"}), RateLimitedError, id="err_code as a string"),
        pytest.param(Reply(400, {"code": 1, "err_code": 40034001}), MediaRefusedError, id="only err_code is known"),
        pytest.param(Reply(400, {"code": 987654, "trace_id": "body"}), OpenAPIError, id="unknown code"),
        pytest.param(Reply(413, "<html>too large</html>"), PayloadError, id="413 html"),
        pytest.param(Reply(429, "<html>slow down</html>"), RateLimitedError, id="429 html"),
        pytest.param(Reply(502, "<html>stgw</html>"), OpenAPIError, id="502 html"),
        pytest.param(Reply(200, "<html>hotel</html>"), OpenAPIError, id="200 html"),
        pytest.param(Reply(302, "", {"Location": "/elsewhere"}), OpenAPIError, id="redirect"),
        pytest.param(Reply(500, [1]), OpenAPIError, id="a list"),
        pytest.param(Reply(400, {"code": {}, "message": 7}), OpenAPIError, id="wrong types"),
    ],
)
async def test_odd_refusals(api: OpenAPIClient, platform: FakePlatform, reply: Reply, kind: type[OpenAPIError]) -> None:
    platform.replies.append(reply)
    error = await refusal(api)
    assert type(error) is kind
    assert error.status == reply.status
    assert len(platform.calls) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body", [{"code": 11244}, {"code": 11241}, {"code": 11242}, {"code": 1, "err_code": 11243}, "<html>401</html>"]
)
async def test_a_refused_token_is_replaced_and_the_call_repeated(
    api: OpenAPIClient, platform: FakePlatform, body: Any
) -> None:
    platform.replies += [Reply(401, body), Reply(body={"id": "1"})]
    sent = await api.post_message(GROUP, {"content": "x"})
    assert sent.id == "1"
    assert [call.headers["Authorization"] for call in platform.calls] == ["QQBot token-1", "QQBot token-2"]
    assert platform.calls[0].body == platform.calls[1].body


@pytest.mark.asyncio
async def test_it_is_repeated_once_only(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies += [Reply(401, {"code": 11244}), Reply(401, {"code": 11244, "message": "token expired"})]
    assert type(await refusal(api)) is AuthenticationError
    assert len(platform.calls) == 2


@pytest.mark.asyncio
async def test_fifty_refused_calls_fetch_one_token(api: OpenAPIClient, platform: FakePlatform) -> None:
    await api.get_me()
    platform.replies += [Reply(401, {"code": 11244})] * 50
    await asyncio.gather(*(api.post_message(GROUP, {"content": "x"}) for _ in range(50)))
    assert platform.tokens == 2


@pytest.mark.asyncio
async def test_an_address_that_is_not_allowed_is_no_matter_of_the_token(
    api: OpenAPIClient, platform: FakePlatform
) -> None:
    platform.replies.append(Reply(401, {"code": 11298, "err_code": 40023002, "message": "接口访问源IP不在白名单"}))
    error = await refusal(api)
    assert type(error) is PermissionDeniedError
    assert "allow-list in the console" in str(error)
    assert (len(platform.calls), platform.tokens) == (1, 1)


@pytest.mark.asyncio
async def test_no_answer_in_time_is_ambiguous(api: OpenAPIClient, platform: FakePlatform) -> None:
    platform.replies.append(Reply(delay=0.3))
    with pytest.raises(OpenAPIError, match=r"no answer within 0\.05 s") as caught:
        await api.request("POST", "/x", json={}, timeout=0.05)
    assert caught.value.ambiguous


@pytest.mark.asyncio
async def test_the_token_is_never_shown(
    api: OpenAPIClient, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    platform.replies.append(Reply(400, {"code": 50035, "message": "bad header QQBot token-1"}))
    error = await refusal(api)
    assert "bad header" in str(error)
    assert "token-1" not in f"{error} {error!r} {api!r} {caplog.text}"


@pytest.mark.asyncio
async def test_an_answer_that_is_no_http_does_not_show_the_token_either(platform: FakePlatform) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"EHLO\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as http:
        tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(OpenAPIError, match="GET /users/@me failed") as caught:
            await OpenAPIClient(http, api_base=base, tokens=tokens).get_me()
    assert caught.value.status is None
    assert "token-1" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.asyncio
async def test_calls_above_the_limit_wait_for_a_place_and_not_longer_than_they_may(platform: FakePlatform) -> None:
    async with aiohttp.ClientSession() as http:
        tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=platform.token_url)
        api = OpenAPIClient(http, api_base=platform.base, tokens=tokens, at_once=1)
        platform.replies += [Reply(delay=0.3), Reply(), Reply()]
        slow = asyncio.create_task(api.get("/slow"), name="slow")
        while not platform.calls:  # noqa: ASYNC110 - what is awaited is a list that grows
            await asyncio.sleep(0.005)
        with pytest.raises(OpenAPIError, match=r"GET /quick was not sent: too many other calls .* for 0\.02 s"):
            await api.request("GET", "/quick", timeout=0.02)
        timing = Timing()
        post = Post({"content": "hi"}, GROUP, ReplyContext(GROUP, "m1"), until=timing.clock() + 0.02)
        with pytest.raises(OpenAPIError, match="was not sent"):
            await Poster(api, ReplyBook(), timing).post(post)
        assert not post.unclear  # nothing can have arrived, and its place is another's
        await asyncio.gather(slow, api.get("/patient"))
        assert [call.path for call in platform.calls] == ["/slow", "/patient"]
        await api.get("/later")  # every place was given back

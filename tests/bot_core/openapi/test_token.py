from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from bot_core.errors import AuthenticationError, OpenAPIError, RateLimitedError
from bot_core.openapi.token import AccessTokenSource
from tests.fakes.gateway import APPID, SECRET, FakePlatform, Reply


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(platform: FakePlatform, http: aiohttp.ClientSession, clock: Clock) -> AccessTokenSource:
    return AccessTokenSource(
        http, appid=APPID, client_secret=SECRET, token_url=platform.token_url, timeout=0.3, clock=clock
    )


@pytest.mark.asyncio
async def test_many_who_ask_at_once_share_one_request(tokens: AccessTokenSource, platform: FakePlatform) -> None:
    assert set(await asyncio.gather(*(tokens.get() for _ in range(50)))) == {"token-1"}
    assert len(platform.token_calls) == 1


@pytest.mark.asyncio
async def test_a_cancelled_waiter_does_not_take_the_others_along(
    tokens: AccessTokenSource, platform: FakePlatform
) -> None:
    platform.token_replies.append(Reply(body={"access_token": "slow", "expires_in": 7200}, delay=0.05))
    first, second = asyncio.create_task(tokens.get()), asyncio.create_task(tokens.get())
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == "slow"
    assert first.cancelled()


@pytest.mark.asyncio
async def test_the_request_ends_with_its_last_waiter_and_the_next_one_begins_anew(
    tokens: AccessTokenSource, platform: FakePlatform
) -> None:
    platform.token_replies.append(Reply(body={"access_token": "never seen"}, delay=0.2))
    waiter = asyncio.create_task(tokens.get())
    await asyncio.sleep(0.02)
    waiter.cancel()
    await asyncio.wait([waiter])
    assert await tokens.get() == "token-1"
    assert [task for task in asyncio.all_tasks() if "access token" in task.get_name()] == []


@pytest.mark.asyncio
@pytest.mark.parametrize("lifetime", [7200, "7200"], ids=["number", "string"])
async def test_is_renewed_when_a_minute_remains(
    tokens: AccessTokenSource, platform: FakePlatform, clock: Clock, lifetime: object
) -> None:
    platform.token_replies.append(Reply(body={"access_token": "old", "expires_in": lifetime}))
    assert await tokens.get() == "old"
    clock.now += 7139
    assert await tokens.get() == "old"
    clock.now += 1
    assert await tokens.get() == "token-1"


@pytest.mark.asyncio
async def test_the_old_token_serves_while_it_lives_and_renewal_fails(
    tokens: AccessTokenSource, platform: FakePlatform, clock: Clock
) -> None:
    platform.token_replies.append(Reply(body={"access_token": "old", "expires_in": 7200}))
    await tokens.get()
    clock.now += 7150
    platform.token_replies.append(Reply(503, "<html>busy</html>"))
    assert await tokens.get() == "old"
    assert await tokens.get() == "old"
    assert len(platform.token_calls) == 2
    clock.now += 50
    platform.token_replies.append(Reply(503, "<html>busy</html>"))
    with pytest.raises(OpenAPIError):
        await tokens.get()


@pytest.mark.asyncio
async def test_an_old_token_that_is_in_doubt_is_asked_for_anew_and_serves_on_where_none_comes(
    tokens: AccessTokenSource, platform: FakePlatform, clock: Clock
) -> None:
    assert await tokens.get() == "token-1"
    tokens.doubt(older_than=4)
    assert await tokens.get() == "token-1"
    clock.now += 4
    platform.token_replies.append(Reply(503))
    tokens.doubt(older_than=4)
    assert await tokens.get() == "token-1"
    tokens.doubt(older_than=4)
    assert await tokens.get() == "token-2"
    assert await tokens.get() == "token-2"
    assert len(platform.token_calls) == 3


@pytest.mark.asyncio
async def test_invalidate_drops_only_the_token_that_is_meant(tokens: AccessTokenSource) -> None:
    assert await tokens.get() == "token-1"
    tokens.invalidate("another")
    assert await tokens.get() == "token-1"
    tokens.invalidate("token-1")
    assert await tokens.get() == "token-2"


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [100007, 100016, 10004])
async def test_a_wrong_account_is_told_in_the_platforms_words(
    tokens: AccessTokenSource, platform: FakePlatform, code: int
) -> None:
    platform.token_replies.append(Reply(body={"code": code, "message": "appid invalid"}))
    with pytest.raises(AuthenticationError, match=r"appid invalid.*check appid and client_secret") as caught:
        await tokens.get()
    assert caught.value.code == code


@pytest.mark.asyncio
async def test_too_many_requests_pass(tokens: AccessTokenSource, platform: FakePlatform) -> None:
    platform.token_replies.append(Reply(body={"code": "100001", "message": "too many requests"}))
    with pytest.raises(RateLimitedError):
        await tokens.get()
    assert await tokens.get() == "token-1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, "<html>busy</html>"),
        Reply(200, "<html>log in to the hotel</html>"),
        Reply(200, []),
        Reply(200, {"access_token": 7}),
        Reply(302, "", {"Location": "http://127.0.0.1:1/"}),
        Reply(200, {"access_token": "late"}, delay=0.5),
    ],
)
async def test_an_unusable_answer_is_a_passing_fault(
    tokens: AccessTokenSource, platform: FakePlatform, reply: Reply
) -> None:
    platform.token_replies.append(reply)
    with pytest.raises(OpenAPIError) as caught:
        await tokens.get()
    assert not isinstance(caught.value, AuthenticationError)


@pytest.mark.asyncio
async def test_a_refused_connection_is_a_passing_fault(http: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/app/getAppAccessToken"
    tokens = AccessTokenSource(http, appid=APPID, client_secret=SECRET, token_url=url)
    with pytest.raises(OpenAPIError, match="ClientConnect") as caught:
        await tokens.get()
    assert caught.value.status is None


@pytest.mark.asyncio
async def test_the_secret_is_never_shown(
    tokens: AccessTokenSource, platform: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    platform.token_replies.append(Reply(body={"code": 100016, "message": f"wrong secret {SECRET}"}))
    with pytest.raises(AuthenticationError) as caught:
        await tokens.get()
    await tokens.get()
    shown = [str(caught.value), repr(caught.value), repr(tokens), caplog.text]
    assert not [text for text in shown if SECRET in text or "token-1" in text]


@pytest.mark.asyncio
@pytest.mark.parametrize("as_page", [False, True])
async def test_no_part_of_the_secret_is_shown_where_the_words_are_cut(
    tokens: AccessTokenSource, platform: FakePlatform, *, as_page: bool
) -> None:
    words = f"{'x' * (170 if as_page else 195)}{SECRET}{'y' * 500}"
    platform.token_replies.append(Reply(status=401, body=words if as_page else {"code": 100016, "message": words}))
    with pytest.raises(OpenAPIError) as caught:
        await tokens.get()
    assert SECRET[:4] not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.asyncio
@pytest.mark.parametrize("secret", ["s", "wrong", "secret"])
async def test_a_made_up_secret_does_not_blot_out_the_platforms_words(
    http: aiohttp.ClientSession, platform: FakePlatform, secret: str
) -> None:
    platform.token_replies.append(Reply(body={"code": 100016, "message": "appid or secret wrong"}))
    tokens = AccessTokenSource(http, appid=APPID, client_secret=secret, token_url=platform.token_url)
    with pytest.raises(AuthenticationError, match="appid or secret wrong"):
        await tokens.get()


@pytest.mark.asyncio
async def test_an_address_that_is_not_there_is_told_with_where_it_is_set(
    tokens: AccessTokenSource, platform: FakePlatform
) -> None:
    platform.token_replies.append(Reply(404, "<html>not found</html>"))
    with pytest.raises(OpenAPIError, match=r"QQ_TOKEN_URL .* is the whole address, /app/getAppAccessToken included"):
        await tokens.get()
    platform.token_replies.append(Reply(503, "<html>busy</html>"))
    with pytest.raises(OpenAPIError) as caught:
        await tokens.get()
    assert "QQ_TOKEN_URL" not in str(caught.value)

"""Access tokens (PLATFORM 1.2, 1.3)."""

from __future__ import annotations

from typing import Any

import pytest

from bot_core.sandbox import SandboxAccount


@pytest.mark.asyncio
async def test_the_same_token_comes_until_its_last_minute_and_both_work_then(play: Any, clock: Any) -> None:
    async with play(connect=False, clock=clock) as (_, bot):
        first = await bot.ask_token()
        assert first["expires_in"] == "7200"
        clock.now += 7130
        again = await bot.ask_token()
        assert again == {"access_token": first["access_token"], "expires_in": "70"}
        clock.now += 11
        new = await bot.ask_token()
        assert new["access_token"] != first["access_token"]
        assert new["expires_in"] == "7200"
        for token in (first, new):
            status, _ = await bot.call("GET", "/users/@me", headers={"Authorization": f"QQBot {token['access_token']}"})
            assert status == 200
        clock.now += 60
        status, body = await bot.call("GET", "/users/@me", headers={"Authorization": f"QQBot {first['access_token']}"})
        assert (status, body["code"]) == (401, 11244)


@pytest.mark.asyncio
async def test_with_named_accounts_a_wrong_pair_is_refused_under_http_200(play: Any) -> None:
    account = SandboxAccount(appid="7", secret="right")
    async with play(connect=False, accounts=(account,)) as (sandbox, bot):
        assert (await bot.ask_token("right", "7"))["access_token"]
        assert await bot.ask_token("wrong", "7") == {"code": 100016, "message": "appid or secret wrong"}
        assert (await bot.ask_token("right", "8"))["code"] == 100007
        assert [entry.code for entry in sandbox.refused] == [100016, 100007]
        assert "right" not in repr(sandbox.options)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"appId": 7, "clientSecret": "s"}', b'{"appId": ""}', b"\xff", b"[" * 100_000]
)
async def test_a_request_that_makes_no_sense_is_an_invalid_appid(play: Any, body: Any) -> None:
    async with play(connect=False) as (sandbox, bot), bot.http.post(sandbox.token_url, data=body) as response:
        assert (response.status, (await response.json())["code"]) == (200, 100007)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("authorization", "code"), [(None, 11241), ("Bot 1.2", 11245), ("QQBot nonsense", 11243), ("Bearer x", 11243)]
)
async def test_a_call_without_a_good_token_is_401_with_the_platforms_code(
    play: Any, authorization: str | None, code: int
) -> None:
    async with play(connect=False) as (_, bot):
        headers = {"Authorization": authorization} if authorization else {}
        status, body = await bot.call("GET", "/gateway", headers=headers)
        assert (status, body["code"], body["err_code"]) == (401, code, code)
        assert body["trace_id"]
        assert body["message"]


@pytest.mark.asyncio
async def test_revoked_tokens_are_expired_and_the_next_one_is_new(play: Any) -> None:
    async with play(connect=False) as (sandbox, bot):
        await bot.login()
        assert sandbox.revoke_tokens() == 1
        status, body = await bot.call("GET", "/users/@me")
        assert (status, body["code"]) == (401, 11244)
        await bot.login()
        status, body = await bot.call("GET", "/users/@me")
        assert status == 200
        assert body["username"] == "sandbox-bot"


@pytest.mark.asyncio
async def test_an_address_that_is_not_in_the_bots_list_is_refused(play: Any) -> None:
    async with play(connect=False, allowed_addresses=("192.0.2.7",)) as (_, bot):
        await bot.login()
        for path in ("/users/@me", "/gateway", "/gateway/bot"):
            status, body = await bot.call("GET", path)
            assert (status, body["code"], body["err_code"]) == (401, 11298, 40023002)
    async with play(connect=False, allowed_addresses=("192.0.2.7", "127.0.0.1")) as (_, bot):
        await bot.login()
        assert (await bot.call("GET", "/users/@me"))[0] == 200

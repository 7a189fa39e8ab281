"""Two things go wrong at once, or one in the middle of something: everything arrives once, and what did not is told."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from bot_core.chain import Chain
from bot_core.errors import OpenAPIError, PartlySentError
from bot_core.sandbox import Fault, FaultMode, Sandbox, SandboxOptions
from bot_core.sandbox._option_groups import ChunkOptions
from qqmedia import HostPolicy, MediaHost, StorageUnavailableError
from qqmedia.testing import MemoryDriver
from tests.bot_core.qq_group.conftest import mp4, png
from tests.bot_core.qq_group.sending_kit import Kit, arrived, many, send, text
from tests.bot_core.qq_group.uploading import KIB, Outbox, outbox, sha256, web_server
from tests.waiting import until

pytestmark = pytest.mark.asyncio

VIDEO: Final = mp4(600 * KIB)


@pytest.fixture
def kit(sandbox: Sandbox, tmp_path: Path) -> Kit:
    return Kit(sandbox, tmp_path)


def let_pass(sandbox: Sandbox, kind: str, times: int) -> None:
    """Let so many calls through before the next fault."""
    sandbox.faults.add(kind, Fault(mode=FaultMode.STALL, seconds=0, times=times))


# --- messages

PASSING: Final[dict[str, dict[str, Any]]] = {
    "cut": {"mode": FaultMode.CUT},
    "answer lost": {"mode": FaultMode.LOSE_ANSWER},
    "busy": {"mode": FaultMode.ANSWER, "status": 500, "code": 50055001},
    "too fast": {"mode": FaultMode.ANSWER, "status": 429, "code": 40023001},
    "a proxy's page": {"mode": FaultMode.ANSWER, "status": 502, "html": True},
    "done, and refused": {"mode": FaultMode.FAIL_AFTER, "status": 504, "html": True},
    "token": {"mode": FaultMode.ANSWER, "status": 401, "code": 11244},
}


async def test_two_faults_in_a_row_do_not_lose_or_double_a_reply(kit: Kit) -> None:
    async with kit.start() as bot:
        for first, second in itertools.product(PASSING, repeat=2):
            if (first, second) == ("token", "token"):
                continue  # a token is replaced once
            said, data = await kit.hear(bot)
            for name in (first, second):
                kit.sandbox.faults.add("messages", Fault(**PASSING[name]))
            [handle] = await send(bot, text(data, f"{first}, {second}"))
            assert [one.content for one in kit.sandbox.arrived if one.msg_id == said.id] == [f"{first}, {second}"]
            assert data.replies_left == 4, (first, second)
            assert not handle.proactive
            kit.sandbox.faults.clear()


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_in_the_second_of_three_messages_disturbs_no_other(kit: Kit, name: str) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        let_pass(kit.sandbox, "messages", 1)
        kit.sandbox.faults.add("messages", Fault(**PASSING[name]))
        handles = await send(bot, many(data, 3))
        assert [one.body["markdown"]["content"] for one in kit.sandbox.arrived] == ["part 1", "part 2", "part 3"]
        assert {one.msg_id for one in kit.sandbox.arrived} == {said.id}
        assert [handle.attempts for handle in handles][::2] == [1, 1]
        assert data.replies_left == 2


async def test_a_deadline_that_passes_in_the_middle_of_a_chain_is_that_messages_own(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        let_pass(kit.sandbox, "messages", 1)
        kit.sandbox.faults.answer("messages", status=500, code=50055001, times=4)
        with pytest.raises(PartlySentError, match=r"2 of 3 messages were sent - 1: sent; 2: .*tried 4 times; 3: sent"):
            await send(bot, many(data, 3), timeout=3)
        kit.sandbox.faults.clear()
        assert data.replies_left == 3


async def test_an_upload_whose_deadline_passes_in_the_middle_of_a_chain_is_told_and_swallows_nothing(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.stall("files", seconds=3)
        chain = Chain(data, at=False).markdown_content("before").image(png()).markdown_content("after")
        with pytest.raises(
            PartlySentError, match=r"2 of 3.*2: the image was not at the platform within 0\.3 s.*3: sent"
        ):
            await send(bot, chain, timeout=0.3)
        assert data.replies_left == 3


@pytest.mark.parametrize("fallback", [False, True])
async def test_replies_that_are_used_up_in_the_middle_of_a_chain_with_a_picture(
    tmp_path: Path, *, fallback: bool
) -> None:
    async with Sandbox.open(SandboxOptions(group_replies=2)) as sandbox:
        kit = Kit(sandbox, tmp_path)
        async with kit.start(proactive_fallback=fallback) as bot:
            said, data = await kit.hear(bot)
            chain = many(data, 2).image(png()).markdown_content("after")
            if fallback:
                handles = await send(bot, chain)
                assert [handle.proactive for handle in handles] == [False, False, True, True]
            else:
                with pytest.raises(PartlySentError, match=r"2 of 4 .*3: .*40034128.*4: not tried"):
                    await send(bot, chain)
        assert [one.msg_id for one in sandbox.arrived] == [said.id] * 2 + [None] * 2 * fallback
        assert sandbox.calls["files"] == 1


async def test_a_number_that_is_taken_at_the_first_try_costs_no_second_upload(kit: Kit) -> None:
    async with kit.start() as bot:
        said, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=40054005)
        [handle] = await send(bot, Chain(data, at=False).text("look").image(png()))
        assert (handle.attempts, bool(handle.message_id), data.replies_left) == (2, True, 4)
    assert arrived(kit.sandbox) == [(said.id, 2)]
    assert kit.sandbox.calls["files"] == 1


async def test_a_number_that_is_always_taken_is_given_up(kit: Kit) -> None:
    async with kit.start() as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.answer("messages", status=400, code=40054005, times=1000)
        with pytest.raises(OpenAPIError, match=r"40054005.*tried 5 times"):
            await send(bot, text(data))
    assert not kit.sandbox.arrived


# --- uploads

UPLOAD: Final[dict[str, dict[str, Any]]] = {
    "cut": {"mode": FaultMode.CUT},
    "answer lost": {"mode": FaultMode.LOSE_ANSWER},
    "busy": {"mode": FaultMode.ANSWER, "status": 500},
    "too fast": {"mode": FaultMode.ANSWER, "status": 429},
    "token": {"mode": FaultMode.ANSWER, "status": 401, "code": 11243},
    "too large": {"mode": FaultMode.ANSWER, "status": 413, "html": True},
    "format": {"mode": FaultMode.ANSWER, "status": 400, "code": 850019},
}


async def test_two_faults_in_a_row_do_not_keep_a_picture_from_arriving(sandbox: Sandbox) -> None:
    for number, (first, second) in enumerate(itertools.permutations(UPLOAD, 2), 1):
        async with outbox(sandbox) as out:  # a new one, as a 413 is remembered
            for name in (first, second):
                sandbox.faults.add("files", Fault(**UPLOAD[name]))
            await out.image(png(number))
        assert len(sandbox.arrived) == number, (first, second)
        assert sandbox.faults.left("files") == 0, (first, second)


async def test_one_driver_is_down_and_the_url_of_the_other_cannot_be_fetched(sandbox: Sandbox) -> None:
    down, up = MemoryDriver(name="down"), MemoryDriver(name="up")
    policy = HostPolicy(retry_wait=0.0, retries=0)
    async with (
        MediaHost(["down", "up", "direct"], plugins=[down, up], platform_on_loopback=True, policy=policy) as host,
        outbox(sandbox, host) as out,
    ):
        down.fail(StorageUnavailableError("the store is down"))
        sandbox.faults.answer("files", status=400, code=850026, times=2)
        assert (await out.image(png(1))).way == "bytes"
        assert (len(down.puts), len(up.puts), sandbox.calls["files"]) == (1, 1, 3)
        assert (await out.image(png(2))).way == "bytes"  # both are passed over
        assert (len(down.puts), sandbox.calls["files"]) == (1, 4)


# --- uploads in parts


@asynccontextmanager
async def in_parts(**chunks: Any) -> AsyncIterator[tuple[Sandbox, Outbox]]:
    chunks = {"block_bytes": 64 * KIB, "retry_delay_seconds": 0.01, "concurrency": 3, **chunks}
    async with (
        Sandbox.open(SandboxOptions(chunks=ChunkOptions(**chunks))) as sandbox,
        outbox(sandbox, inline_limit=100 * KIB) as out,
    ):
        yield sandbox, out


async def begun(sandbox: Sandbox, kind: str) -> None:
    await until(lambda: sandbox.calls[kind])


async def test_who_gives_up_in_the_middle_of_an_upload_leaves_it_to_who_waits_for_it() -> None:
    async with in_parts() as (sandbox, out):
        sandbox.faults.stall("upload_part", seconds=0.2, times=3)
        first = asyncio.create_task(out.video(VIDEO))
        await begun(sandbox, "upload_part")
        second = asyncio.create_task(out.video(VIDEO, "G2"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).way == "chunks"
        with pytest.raises(asyncio.CancelledError):
            await first
        [arrived_] = sandbox.arrived
        assert (arrived_.target.openid, sandbox.calls["messages"]) == ("G2", 1)


async def test_a_handler_that_is_cancelled_in_the_middle_of_an_upload_gives_its_replies_back(kit: Kit) -> None:
    async with kit.start(builder="direct", inline_limit=100 * KIB) as bot:
        _, data = await kit.hear(bot)
        kit.sandbox.faults.stall("upload_prepare", seconds=5)
        handler = asyncio.create_task(send(bot, Chain(data, at=False).markdown_content("now").video(VIDEO)))
        await begun(kit.sandbox, "upload_prepare")
        handler.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handler
        assert data.replies_left == 4  # the first message was sent
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("upload")]


@pytest.mark.parametrize("kind", ["upload_prepare", "upload_part_finish", "files"])
async def test_a_token_that_is_refused_in_the_middle_of_an_upload_is_replaced_and_nothing_begins_anew(
    kind: str,
) -> None:
    async with in_parts() as (sandbox, out):
        sandbox.faults.answer(kind, status=401, code=11244)
        await out.video(VIDEO)
        calls = Counter({"upload_prepare": 1, "upload_part": 10, "upload_part_finish": 10, "files": 1, "messages": 1})
        assert sandbox.calls == calls + Counter({kind: 1, "token": 2})
        assert sandbox.arrived[0].media is not None
        assert sandbox.arrived[0].media.sha256 == sha256(VIDEO)


async def test_tokens_that_are_revoked_in_the_middle_of_an_upload_are_replaced_by_one_call() -> None:
    async with in_parts() as (sandbox, out):
        sandbox.faults.stall("upload_part", seconds=0.05, times=3)
        upload = asyncio.create_task(out.video(VIDEO))
        await begun(sandbox, "upload_part")
        sandbox.revoke_tokens()
        texts = [out.send(Chain().text(f"{number}"), f"G{number}") for number in range(50)]
        await asyncio.gather(*texts, out.image(png(1)), upload)
        assert len(sandbox.arrived) == 52
        assert sandbox.calls["token"] == 2


async def test_two_steps_in_a_row_fail_and_the_rest_is_not_done_again() -> None:
    faults = [("upload_prepare", "upload_part"), ("upload_part", "upload_part_finish"), ("upload_part_finish", "files")]
    async with in_parts() as (sandbox, out):
        for number, kinds in enumerate(faults, 1):
            for kind in kinds:
                sandbox.faults.answer(kind, status=503, html=True)
            await out.video(mp4((600 + number) * KIB))
            assert [sandbox.faults.left(kind) for kind in kinds] == [0, 0]
            assert (sandbox.calls["upload_prepare"], len(sandbox.arrived)) == (number + 1, number)


async def test_a_report_that_fails_does_not_let_the_part_travel_again() -> None:
    async with in_parts() as (sandbox, out):
        sandbox.faults.answer("upload_part_finish", status=503, times=2)
        await out.video(VIDEO)
        assert (sandbox.calls["upload_part"], sandbox.calls["upload_part_finish"]) == (10, 12)


async def test_a_large_file_arrives_though_one_step_in_ten_fails() -> None:
    async with in_parts() as (sandbox, out):
        for kind in ("upload_prepare", "upload_part", "upload_part_finish", "files"):
            for mode in (FaultMode.LOSE_ANSWER, FaultMode.ANSWER):
                sandbox.faults.add(kind, Fault(mode=mode, status=503, probability=0.05, seed=5))
        await asyncio.gather(*(out.video(mp4((300 + number) * KIB), f"G{number}") for number in range(20)))
        assert len({one.target.openid for one in sandbox.arrived}) == len(sandbox.arrived) == 20


# --- too fast


class Platform:
    """Says at every path's first call when to come again."""

    def __init__(self, wait: str, status: int = 429) -> None:
        self.wait = wait
        self.status = status
        self.calls: list[str] = []
        self.api_base = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        what = request.path.rpartition("/")[2]
        await request.read()
        if what == "getAppAccessToken":
            return web.json_response({"access_token": "T", "expires_in": "7200"})
        self.calls.append(what)
        if self.calls.count(what) == 1:
            return web.Response(status=self.status, headers={"Retry-After": self.wait})
        return web.json_response({"id": "M", "file_info": "INFO", "ttl": 300})


@pytest.mark.parametrize(("wait", "pause"), [("7", 7.0), ("0", 0.6), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.6)])
@pytest.mark.parametrize("status", [429, 503])
async def test_when_to_come_again_is_believed(wait: str, pause: float, status: int) -> None:
    platform = Platform(wait, status)
    async with web_server(platform.answer) as platform.api_base, outbox(platform) as out:
        assert (await out.send(Chain().text("x"))).attempts == 2
        assert sum(out.pauses.taken) == pytest.approx(pause, abs=0.41)
        del out.pauses.taken[:]
        assert (await out.image(png(1))).tries == 2
        assert sum(out.pauses.taken) == pytest.approx(pause, abs=0.41)
    assert platform.calls == ["messages"] * 2 + ["files"] * 2 + ["messages"]


async def test_others_on_that_route_wait_as_long() -> None:
    platform = Platform("30")
    async with web_server(platform.answer) as platform.api_base, outbox(platform) as out:
        first = asyncio.create_task(out.send(Chain().text("x")))
        await until(lambda: out.pauses.taken)
        await out.send(Chain().text("y"), "G2")
        assert out.pauses.now >= 1030
        await first
        assert platform.calls == ["messages"] * 3

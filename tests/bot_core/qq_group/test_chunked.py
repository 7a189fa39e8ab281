"""Chunked upload, the whole of it against the sandbox."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot_core.chain import Chain
from bot_core.errors import OpenAPIError, QuotaError
from bot_core.openapi.client import OpenAPIClient
from bot_core.openapi.part_store import PartStore
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import FileType, Scene, Target
from bot_core.qq_group.bytes_way import BytesWay
from bot_core.qq_group.chunked import ChunkedUploads
from bot_core.qq_group.trying import Trail
from bot_core.sandbox import Sandbox, SandboxOptions
from bot_core.sandbox._option_groups import ChunkOptions
from qqmedia import MediaKind
from qqmedia.guard import GuardedSession
from qqmedia.testing import Resolved, memory_host
from tests.bot_core.qq_group.conftest import mp4, png
from tests.bot_core.qq_group.uploading import KIB, MIB, outbox, platform_that_forgets, sha256, web_server
from tests.waiting import until


def options(**chunks: Any) -> SandboxOptions:
    given = {"block_bytes": 64 * KIB, "concurrency": 3} | chunks
    return SandboxOptions(chunks=ChunkOptions(**given), inline_body_bytes=MIB)


VIDEO = mp4(300 * KIB)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "chunks",
    [
        {},
        {"index_base": 0},
        {"block_size_form": "string"},
        {"block_size_form": "number"},
        {"full_last_block": True},
        {"upload_config": "top_level"},
        {"upload_config": "absent"},
        {"finish_block_size": "number"},
        {"finish_block_size": "string"},
        {"block_bytes": 10 * MIB},
    ],
    ids=str,
)
async def test_a_video_above_the_limit_goes_up_in_parts(chunks: dict[str, Any]) -> None:
    async with Sandbox.open(options(**chunks)) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        delivery = await out.video(VIDEO)
        arrived = await sandbox.next_arrival()
        assert arrived.media is not None
        assert (arrived.media.way, arrived.media.sha256) == ("upload_id", sha256(VIDEO))
        assert arrived.media.file_type is FileType.VIDEO
        assert (delivery.way, delivery.size, delivery.cached) == ("chunks", len(VIDEO), False)
        assert delivery.tries == sum(
            sandbox.calls[kind] for kind in sandbox.calls if "upload" in kind or kind == "files"
        )
        again = await out.video(VIDEO, "G2")
        assert (again.way, again.cached, again.tries) == ("cache", True, 0)


@pytest.mark.asyncio
async def test_the_other_form_of_block_size_is_tried_once_and_remembered() -> None:
    async with Sandbox.open(options(finish_block_size="string", concurrency=1)) as sandbox:
        async with outbox(sandbox, inline_limit=100 * KIB) as out:
            await out.video(VIDEO)
            await out.video(mp4(200 * KIB))
        wrong = [one for one in sandbox.refused if one.kind == "upload_part_finish"]
        assert len(wrong) == 1


@pytest.mark.asyncio
async def test_no_token_goes_to_the_storage() -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        await out.video(VIDEO)
        calls = list(sandbox.upload_calls)
    puts = [call for call in calls if call.kind == "upload_part"]
    assert len(puts) == -(-len(VIDEO) // (64 * KIB))
    for call in puts:
        names = {name.lower() for name in call.headers}
        assert not names & {"authorization", "content-type", "transfer-encoding", "cookie", "x-union-appid"}
        assert call.headers["Content-Length"] == str(call.size)
    assert all("Authorization" in call.headers for call in calls if call.kind != "upload_part")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://cos.example/part", "without TLS"),
        ("ftp://cos.example/part", "without TLS"),
        ("https://10.0.0.1/part", "private network"),
        ("https://[::1]/part", "private network"),
        ("https://169.254.169.254/part", "private network"),
        ("https://inside.example/part", "private network"),
    ],
)
async def test_parts_go_over_tls_to_public_addresses_only(url: str, says: str) -> None:
    class Inside:
        async def resolve(self, _: str) -> list[Resolved]:
            return [Resolved("127.0.0.1")]

    async def body() -> Any:
        raise AssertionError("nothing is sent")
        yield b""

    session = GuardedSession(resolver=Inside())
    with pytest.raises(OpenAPIError, match=says) as caught:
        await PartStore(session).put(f"{url}?sign=secret", body, 1)
    await session.aclose()
    assert "secret" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[fd00::1]", "0.0.0.0"])
async def test_a_platform_on_loopback_cannot_name_a_storage_in_a_private_network(host: str) -> None:
    class Platform:
        api_base = ""

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.json()
        if "file_size" not in body:
            return web.json_response({"access_token": "T", "expires_in": "7200"})
        part = {"index": 1, "presigned_url": f"http://{host}/part", "block_size": body["file_size"]}
        return web.json_response({"upload_id": "U", "parts": [part]})

    platform = Platform()
    async with web_server(answer) as platform.api_base, outbox(platform, inline_limit=KIB) as out:
        with pytest.raises(OpenAPIError, match=r"nothing is fetched from .*private network"):
            await out.video(VIDEO)
        assert not out.pauses.taken


@pytest.mark.asyncio
async def test_a_storage_that_redirects_is_not_followed() -> None:
    asked: list[str] = []

    async def storage(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def body() -> Any:
        yield b"x"

    async with web_server(storage) as base:
        session = GuardedSession(everything=True)
        with pytest.raises(OpenAPIError, match="HTTP 307"):
            await PartStore(session, plain_http=True).put(f"{base}/part?sign=secret", body, 1)
        await session.aclose()
    assert asked == ["/part"]


@pytest.mark.asyncio
async def test_a_storage_that_takes_nothing_is_given_up() -> None:
    async def storage(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def body() -> Any:
        yield b"x"

    async with web_server(storage) as base:
        session = GuardedSession(everything=True)
        with pytest.raises(OpenAPIError, match=r"nothing moved for 0.05 s"):
            await PartStore(session, plain_http=True, idle_seconds=0.05).put(f"{base}/part?sign=secret", body, 1)
        await session.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("upload_prepare", {"status": 500, "code": 850012}),
        ("upload_prepare", {"status": 503, "html": True}),
        ("upload_part", {"status": 500}),
        ("upload_part", {"status": 503, "times": 2}),
        ("upload_part_finish", {"status": 500}),
        ("upload_part_finish", {"status": 429, "code": 40023001}),
        ("files", {"status": 502, "html": True}),
    ],
)
async def test_a_step_that_fails_is_done_again_alone(kind: str, fault: dict[str, Any]) -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        sandbox.faults.answer(kind, **fault)
        delivery = await out.video(VIDEO)
        arrived = await sandbox.next_arrival()
        assert arrived.media is not None
        assert arrived.media.sha256 == sha256(VIDEO)
        parts = -(-len(VIDEO) // (64 * KIB))
        repeated = fault.get("times", 1)
        assert sandbox.calls["upload_prepare"] == 1 + (kind == "upload_prepare") * repeated
        assert sandbox.calls["upload_part"] <= parts + repeated
        assert delivery.tries > 2 * parts + 2
        assert delivery.trace_ids


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["upload_prepare", "upload_part", "upload_part_finish", "files"])
@pytest.mark.parametrize("how", ["cut", "lose_answer"])
async def test_a_step_whose_answer_is_lost_is_done_again(kind: str, how: str) -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        getattr(sandbox.faults, how)(kind)
        await out.video(VIDEO)
        arrived = await sandbox.next_arrival()
        assert arrived.media is not None
        assert arrived.media.sha256 == sha256(VIDEO)


@pytest.mark.asyncio
async def test_a_part_that_cannot_be_put_ends_the_upload_with_the_storages_words() -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        sandbox.faults.answer("upload_part", status=500, times=1000)
        with pytest.raises(OpenAPIError, match=r"PUT http.* failed: HTTP 500") as caught:
            await out.video(VIDEO)
    assert "security-token" not in str(caught.value)


@pytest.mark.asyncio
async def test_not_now_is_asked_again_until_its_time_is_over() -> None:
    chunks = {"busy_finishes": 4, "retry_delay_seconds": 0.5, "retry_timeout_seconds": 30, "concurrency": 1}
    async with Sandbox.open(options(**chunks)) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        await out.video(VIDEO)
        assert out.pauses.taken == [0.5] * 4 * -(-len(VIDEO) // (64 * KIB))
        sandbox.faults.answer("files", status=400, code=40093001, times=2)
        await out.video(mp4(150 * KIB))
        sandbox.faults.answer("upload_part_finish", status=400, code=40093001, times=1000)
        before = out.pauses.now
        with pytest.raises(OpenAPIError, match="40093001"):
            await out.video(mp4(200 * KIB))
        assert 30 <= out.pauses.now - before <= 31


@pytest.mark.asyncio
async def test_a_volume_that_is_used_up_is_an_error_of_its_own() -> None:
    async with Sandbox.open(options(daily_bytes=400 * KIB)) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        await out.video(VIDEO)
        calls = sandbox.calls["upload_prepare"]
        with pytest.raises(QuotaError, match=r"was not sent: the volume that this bot may upload in a day") as caught:
            await out.video(mp4(301 * KIB))
        assert sandbox.calls["upload_prepare"] == calls + 1
    assert caught.value.codes == {40093002}
    assert caught.value.trace_id


@pytest.mark.asyncio
async def test_what_the_platform_has_already_is_not_uploaded() -> None:
    async with Sandbox.open(options(reuse_file_info=True)) as sandbox:
        for _ in range(2):  # another process: it has no cache
            async with outbox(sandbox, inline_limit=100 * KIB) as out:
                await out.video(VIDEO)
        assert sandbox.calls["upload_prepare"] == 2
        assert sandbox.calls["files"] == 1


@pytest.mark.asyncio
async def test_413_sends_in_parts_and_lowers_the_limit_for_this_adapter(caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox) as out:
        content = mp4(2 * MIB)
        assert (await out.video(content)).way == "chunks"
        assert sandbox.calls["files"] == 2  # the refused one, and the merge
        assert (await out.video(mp4(len(content) - 100 * KIB))).way == "chunks"
        assert sandbox.calls["files"] == 3  # the merge alone
        assert (await out.video(mp4(600 * KIB))).way == "bytes"
        [line] = [one.getMessage() for one in caplog.records if "HTTP 413" in one.getMessage()]
        assert f"inline_limit={len(content) * 3 // 4}" in line


@pytest.mark.asyncio
async def test_a_large_body_that_is_cut_goes_up_in_parts() -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox) as out:
        sandbox.faults.cut("files")
        assert (await out.video(VIDEO)).way == "chunks"


@pytest.mark.asyncio
async def test_a_large_body_of_which_nothing_moves_any_more_is_given_up() -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        Sandbox.open(options()) as sandbox,
        web_server(hang) as base,
        outbox(sandbox) as out,
        aiohttp.ClientSession() as http,
        memory_host() as host,
        host.prepare(MediaKind.VIDEO, mp4(24 * MIB)) as upload,
    ):
        await out.video(mp4())
        tokens = AccessTokenSource(
            http, appid="1020", client_secret="secret", token_url=f"{sandbox.api_base}/app/getAppAccessToken"
        )
        session = GuardedSession(everything=True)
        chunked = ChunkedUploads(out.adapter.api, PartStore(session, plain_http=True), in_thread=asyncio.to_thread)
        way = BytesWay(
            OpenAPIClient(http, api_base=base, tokens=tokens),
            chunked,
            in_thread=asyncio.to_thread,
            inline_limit=30 * MIB,
            idle_seconds=0.1,
        )
        target = Target(Scene.GROUP, "G1")
        _, how = await way.upload(upload, target, file_type=FileType.VIDEO, file_name=None, trail=Trail())
        await session.aclose()
    assert how == "chunks"


@pytest.mark.asyncio
async def test_a_file_that_changes_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    await asyncio.to_thread(path.write_bytes, VIDEO)
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        sandbox.faults.stall("upload_prepare", seconds=0.2)
        task = asyncio.create_task(out.video(path))
        await until(lambda: sandbox.calls["upload_prepare"])
        await asyncio.to_thread(path.write_bytes, bytes(100))
        with pytest.raises(ValueError, match=r"clip\.mp4 changed while it was being sent"):
            await task
    assert not sandbox.arrived


@pytest.mark.asyncio
async def test_a_cancelled_upload_leaves_nothing_running() -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=100 * KIB) as out:
        sandbox.faults.stall("upload_part", seconds=30, times=3)
        task = asyncio.create_task(out.video(VIDEO))
        await until(lambda: sandbox.calls["upload_part"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("upload of parts")]


@pytest.mark.asyncio
async def test_a_file_card_keeps_its_name() -> None:
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=KIB) as out:
        await out.send(Chain().file(b"%PDF-1.7" + bytes(5000), "paper.pdf"))
        arrived = await sandbox.next_arrival()
    assert arrived.media is not None
    assert (arrived.media.file_name, arrived.media.way) == ("paper.pdf", "upload_id")


@pytest.mark.asyncio
async def test_bytes_in_memory_go_up_in_parts_too() -> None:
    picture = png(side=600) + bytes(90 * KIB)
    async with Sandbox.open(options()) as sandbox, outbox(sandbox, inline_limit=KIB) as out:
        await out.image(picture)
        arrived = await sandbox.next_arrival()
    assert arrived.media is not None
    assert arrived.media.sha256 == sha256(picture)


MEMORY = """
import asyncio, sys
from pathlib import Path
from tests.bot_core.qq_group.uploading import outbox, MIB
from bot_core.sandbox import Sandbox

class Away:  # the sandbox runs in the parent: only the sender is measured
    api_base = sys.argv[1]

def peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    async with outbox(Away(), inline_limit=int(sys.argv[3])) as out:
        await out.video(Path(sys.argv[4]))  # everything is imported and open
        before = peak()
        delivery = await out.video(Path(sys.argv[2]))
        print(delivery.way, delivery.size, peak() - before)

asyncio.run(main())
"""


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read from getrusage")
@pytest.mark.parametrize(("inline_limit", "way"), [(3_670_016, "chunks"), (300 * MIB, "bytes")])
async def test_200_mb_cost_less_than_40_mb_of_memory_at_any_threshold(
    tmp_path: Path, inline_limit: int, way: str
) -> None:
    large, small = tmp_path / "large.mp4", tmp_path / "small.mp4"

    def write() -> None:
        small.write_bytes(mp4(400 * KIB))
        with large.open("wb") as file:
            file.write(mp4(0))
            file.truncate(200 * MIB)

    await asyncio.to_thread(write)
    async with platform_that_forgets() as base:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MEMORY, base, str(large), str(inline_limit), str(small),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    went, size, grown = out.split()
    assert (went.decode(), int(size)) == (way, 200 * MIB)
    assert int(grown) <= 40, f"{grown!r} MiB"

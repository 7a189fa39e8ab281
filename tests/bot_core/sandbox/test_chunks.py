"""Chunked upload (PLATFORM 2.5), spoken by a bot that was written from the documents."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from typing import Any

import aiohttp
import pytest

from bot_core.sandbox import ChunkOptions
from qqmedia import ConfigurationError

MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
MD5_10M_BYTES = 10_002_432


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def video(size: int) -> bytes:
    return MP4 + os.urandom(size - len(MP4))


def declaration(content: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "file_type": 2,
        "file_size": str(len(content)),
        "file_name": "a.mp4",
        "md5": md5(content),
        "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "md5_10m": md5(content[:MD5_10M_BYTES]),
        **changes,
    }


class Uploader:
    """The four steps, one method each; keeps nothing but the bot and the chat."""

    def __init__(self, sandbox: Any, bot: Any, chat: str = "") -> None:
        self.sandbox = sandbox
        self.bot = bot
        self.chat = chat or f"groups/{sandbox.group_openid()}"

    async def prepare(self, content: bytes, **changes: Any) -> tuple[int, Any]:
        return await self.bot.call("POST", f"/v2/{self.chat}/upload_prepare", json=declaration(content, **changes))

    async def put(self, url: str, piece: bytes, **headers: str) -> tuple[int, str]:
        async with self.bot.http.put(url, data=io.BytesIO(piece), headers=headers) as response:
            return response.status, await response.text()

    async def finish(self, upload: str, index: int, piece: bytes, **changes: Any) -> tuple[int, Any]:
        body = {"upload_id": upload, "part_index": index, "block_size": len(piece), "md5": md5(piece), **changes}
        return await self.bot.call("POST", f"/v2/{self.chat}/upload_part_finish", json=body)

    async def merge(self, upload_id: str, **more: Any) -> tuple[int, Any]:
        return await self.bot.call("POST", f"/v2/{self.chat}/files", json={"upload_id": upload_id, **more})

    async def parts(self, content: bytes, prepared: dict[str, Any]) -> None:
        """Upload every part, last one first, since they may come in any order."""
        offset, pieces = 0, []
        for part in prepared["parts"]:
            size = int(part["block_size"])
            pieces.append((part, content[offset : offset + size]))
            offset += size
        for part, piece in reversed(pieces):
            assert (await self.put(part["presigned_url"], piece))[0] == 200
            assert await self.finish(prepared["upload_id"], part["index"], piece) == (200, {})

    async def whole(self, content: bytes, **changes: Any) -> dict[str, Any]:
        status, prepared = await self.prepare(content, **changes)
        assert status == 200, prepared
        await self.parts(content, prepared)
        status, file = await self.merge(prepared["upload_id"])
        assert status == 200, file
        return file


@pytest.mark.asyncio
async def test_a_video_in_three_parts_arrives(play: Any) -> None:
    content = video(250_000)
    async with play(chunks=ChunkOptions(block_bytes=100_000)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        status, prepared = await up.prepare(content)
        assert status == 200
        assert prepared["block_size"] == 100_000
        assert [part["index"] for part in prepared["parts"]] == [1, 2, 3]
        assert [part["block_size"] for part in prepared["parts"]] == ["100000", "100000", "50000"]
        assert prepared["upload_config"] == {"concurrency": 1, "retry_timeout": 300, "retry_delay": 1}
        await up.parts(content, prepared)
        status, file = await up.merge(prepared["upload_id"])
        assert status == 200
        assert (await bot.post(up.chat, msg_type=7, media={"file_info": file["file_info"]}))[0] == 200
        media = sandbox.arrived[0].media
        assert (media.way, media.url, media.file_type, media.file_name) == ("upload_id", None, 2, "a.mp4")
        assert (media.size, media.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert await media.read() == content


@pytest.mark.asyncio
async def test_md5_10m_covers_the_first_10_002_432_bytes(play: Any) -> None:
    content = video(MD5_10M_BYTES + 200_000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        await up.whole(content)
        _, prepared = await up.prepare(content, md5_10m=md5(content[: 10 * 1024 * 1024]))
        await up.parts(content, prepared)
        status, answer = await up.merge(prepared["upload_id"])
        assert (status, answer["code"]) == (400, 12002)
        assert "md5_10m" in answer["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"file_size": 100}, 850012),
        ({"file_size": "0"}, 850012),
        ({"file_size": "many"}, 850012),
        ({"file_size": str(200 * 1024 * 1024 + 1)}, 850031),
        ({"sha1": ""}, 850012),
        ({"sha1": None}, 850012),
        ({"md5": "A" * 32}, 850012),
        ({"md5_10m": "0" * 31}, 850012),
        ({"file_name": ""}, 12002),
        ({"file_type": 5}, 12002),
    ],
)
async def test_what_is_declared_must_be_well_formed(play: Any, changes: dict[str, Any], code: int) -> None:
    async with play() as (sandbox, bot):
        status, answer = await Uploader(sandbox, bot).prepare(b"x" * 100, **changes)
        assert (status, answer["code"]) == (500 if code == 850012 else 400, code)


@pytest.mark.asyncio
async def test_switches_of_how_numbers_look(play: Any) -> None:
    content = video(1500)
    options = ChunkOptions(
        block_bytes=1000, index_base=0, block_size_form="number", full_last_block=True, upload_config="top_level",
        concurrency=3, retry_delay_seconds=0.5, take_int_size=True, finish_block_size="string",
    )  # fmt: skip
    async with play(chunks=options) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        status, prepared = await up.prepare(content, file_size=len(content))
        assert status == 200
        assert [(part["index"], part["block_size"]) for part in prepared["parts"]] == [(0, 1000), (1, 1000)]
        assert (prepared["concurrency"], prepared["retry_timeout"], prepared["retry_delay"]) == (3, 300, 0.5)
        assert "upload_config" not in prepared
        piece = content[:1000]
        await up.put(prepared["parts"][0]["presigned_url"], piece)
        status, answer = await up.finish(prepared["upload_id"], 0, piece)
        assert (status, answer["code"]) == (500, 850012)
        assert (await up.finish(prepared["upload_id"], 0, piece, block_size="1000"))[0] == 200
    async with play(chunks=ChunkOptions(block_size_form="string", upload_config="absent")) as (sandbox, bot):
        _, prepared = await Uploader(sandbox, bot).prepare(content)
        assert set(prepared) == {"upload_id", "block_size", "parts"}
        assert prepared["block_size"] == prepared["parts"][0]["block_size"] == "1500"


@pytest.mark.asyncio
async def test_a_token_must_not_come_to_a_presigned_address(play: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        url = prepared["parts"][0]["presigned_url"]
        status, text = await up.put(url, content, **bot.headers)
        assert status == 403
        assert "<Code>AccessDenied</Code>" in text
        status, answer = await up.finish(prepared["upload_id"], 1, content)
        assert (status, answer["message"]) == (400, "part 1 has not arrived")
        assert (await up.put(url, content))[0] == 200
        assert [call.status for call in sandbox.upload_calls if call.kind == "upload_part"] == [403, 200]


@pytest.mark.asyncio
async def test_a_presigned_address_is_good_for_its_part_and_its_time(play: Any, clock: Any) -> None:
    content = video(2000)
    async with play(clock=clock, chunks=ChunkOptions(block_bytes=1000, url_lifetime_seconds=60)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        first, second = (part["presigned_url"] for part in prepared["parts"])
        swapped = first.partition("?")[0] + "?" + second.partition("?")[2]
        assert "SignatureDoesNotMatch" in (await up.put(swapped, content[:1000]))[1]
        assert "NoSuchUpload" in (await up.put(first.replace("part_1", "part_3"), content[:1000]))[1]
        assert (await up.put(first, content[:1001]))[0] == 400
        clock.now += 60
        assert (await up.put(first, content[:1000]))[0] == 403


@pytest.mark.asyncio
async def test_a_part_needs_a_content_length(play: Any) -> None:
    async def pieces() -> Any:
        yield b"x" * 100

    async with play() as (sandbox, bot):
        _, prepared = await Uploader(sandbox, bot).prepare(video(100))
        async with bot.http.put(prepared["parts"][0]["presigned_url"], data=pieces()) as response:
            assert response.status == 411


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"md5": "0" * 32}, "md5 of part 1"),
        ({"block_size": 999}, "block_size says 999"),
        ({"part_index": 9}, "part_index 9"),
        ({"upload_id": "upload_1"}, "upload_id is not known"),
    ],
)
async def test_what_is_said_of_a_part_must_be_so(play: Any, changes: dict[str, Any], text: str) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        await up.put(prepared["parts"][0]["presigned_url"], content)
        status, answer = await up.finish(prepared["upload_id"], 1, content, **changes)
        assert (status, answer["code"]) == (400, 12002)
        assert text in answer["message"]


@pytest.mark.asyncio
async def test_a_merge_wants_every_part_and_the_declared_hashes(play: Any) -> None:
    content, other = video(1000), video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        status, answer = await up.merge(prepared["upload_id"])
        assert (status, answer["message"]) == (400, "parts are not finished: 1")
        await up.parts(other, prepared)
        status, answer = await up.merge(prepared["upload_id"])
        assert status == 400
        assert "declared was" in answer["message"]
        await up.parts(content, prepared)
        assert (await up.merge(prepared["upload_id"]))[0] == 200


@pytest.mark.asyncio
async def test_an_upload_belongs_to_one_bot_and_chat(play: Any, another_bot: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot), another_bot(sandbox, "1020000002") as thief:
        await thief.login()
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        await up.parts(content, prepared)
        for other, chat in ((bot, "groups/ELSEWHERE"), (bot, "users/SOMEBODY"), (thief, "groups/ELSEWHERE")):
            status, _ = await Uploader(sandbox, other, chat).merge(prepared["upload_id"])
            assert status == 400


@pytest.mark.asyncio
async def test_a_merge_is_answered_again_and_its_type_is_known(play: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        await up.parts(content, prepared)
        answers = await asyncio.gather(*(up.merge(prepared["upload_id"], file_type=2) for _ in range(3)))
        assert [status for status, _ in answers] == [200] * 3
        status, answer = await up.merge(prepared["upload_id"], file_type=1)
        assert (status, answer["code"]) == (400, 12002)


@pytest.mark.asyncio
async def test_raw_url_gives_the_bytes_of_all_but_files(play: Any) -> None:
    content = video(3_000_000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        file = await up.whole(content)
        async with bot.http.get(file["raw_url"]) as response:
            assert (response.status, response.content_type) == (200, "video/mp4")
            assert await response.read() == content
        async with bot.http.get(file["raw_url"], headers=bot.headers) as response:
            assert response.status == 403
        assert "raw_url" not in await up.whole(b"anything", file_type=4)
    async with play(chunks=ChunkOptions(raw_url=False)) as (sandbox, bot):
        assert "raw_url" not in await Uploader(sandbox, bot).whole(content)


@pytest.mark.asyncio
async def test_40093001_so_often_as_asked(play: Any) -> None:
    content = video(1000)
    async with play(chunks=ChunkOptions(busy_finishes=2)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        await up.put(prepared["parts"][0]["presigned_url"], content)
        codes = [(await up.finish(prepared["upload_id"], 1, content))[1].get("code") for _ in range(3)]
        assert codes == [40093001, 40093001, None]


@pytest.mark.asyncio
async def test_40093002_when_todays_volume_is_used_up(play: Any, clock: Any) -> None:
    content = video(1000)
    async with play(clock=clock, chunks=ChunkOptions(daily_bytes=1500)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        await up.whole(content)
        status, answer = await up.prepare(content)
        assert (status, answer["code"]) == (400, 40093002)
        clock.now += 86_400
        await bot.login()
        assert (await up.prepare(content))[0] == 200


@pytest.mark.asyncio
async def test_the_same_file_again_needs_no_upload_where_that_is_switched_on(play: Any, clock: Any) -> None:
    content = video(1000)
    async with play(clock=clock, chunks=ChunkOptions(reuse_file_info=True)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        first = await up.whole(content)
        status, again = await up.prepare(content)
        assert (status, again["file_info"], again["ttl"], again["parts"]) == (200, first["file_info"], 3600, [])
        assert "file_info" not in (await up.prepare(content, file_type=4))[1]
        assert "file_info" not in (await Uploader(sandbox, bot, "users/SOMEBODY").prepare(content))[1]
        clock.now += 3600
        assert "file_info" not in (await up.prepare(content))[1]


@pytest.mark.asyncio
async def test_every_request_of_an_upload_is_kept_with_its_headers(play: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        await Uploader(sandbox, bot).whole(content)
        calls = list(sandbox.upload_calls)
        assert [call.kind for call in calls] == ["upload_prepare", "upload_part", "upload_part_finish", "files"]
        assert ["Authorization" in call.headers for call in calls] == [True, False, True, True]
        part = calls[1]
        assert (part.method, part.size, part.status) == ("PUT", 1000, 200)
        assert part.url.startswith(f"/storage/robot_upload/{bot.appid}/upload_")
        assert bot.headers["Authorization"] not in repr(calls)


@pytest.mark.asyncio
async def test_a_part_that_was_cut_can_come_again(play: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        url = prepared["parts"][0]["presigned_url"]
        sandbox.faults.cut("upload_part", times=2)  # aiohttp repeats a PUT once by itself
        with pytest.raises(aiohttp.ClientError):
            await up.put(url, content)
        sandbox.faults.lose_answer("upload_part", times=2)
        with pytest.raises(aiohttp.ClientError):
            await up.put(url, content)
        assert (await up.finish(prepared["upload_id"], 1, content))[0] == 200
        assert (await up.put(url, content))[0] == 200
        assert [call.status for call in sandbox.upload_calls if call.kind == "upload_part"] == [0, 0, 0, 0, 200]


@pytest.mark.asyncio
async def test_a_part_that_is_begun_again_ends_the_one_that_hangs(play: Any, until: Any) -> None:
    content = video(4_000_000)

    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        url, go_on = prepared["parts"][0]["presigned_url"], asyncio.Event()

        async def slowly() -> Any:
            yield content[:1_500_000]
            await go_on.wait()
            yield content[1_500_000:]

        async def hang() -> int:
            headers = {"Content-Length": str(len(content))}
            async with bot.http.put(url, data=slowly(), headers=headers) as response:
                return response.status

        async with asyncio.TaskGroup() as tasks:
            hanging = tasks.create_task(hang())
            await until(lambda: sandbox.calls["upload_part"] == 1)
            assert (await up.put(url, content))[0] == 200
            go_on.set()
        assert hanging.result() == 409
        assert (await up.finish(prepared["upload_id"], 1, content))[0] == 200


@pytest.mark.parametrize(
    "changes",
    [{"block_bytes": 0}, {"block_size_form": "roman"}, {"upload_config": "x"}, {"finish_block_size": "x"}],
)
def test_options_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        ChunkOptions(**changes)


@pytest.mark.asyncio
async def test_how_many_parts_come_at_once_is_told(play: Any) -> None:
    content = video(3000)
    async with play(chunks=ChunkOptions(block_bytes=1000, concurrency=3)) as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        sandbox.faults.stall("upload_part", seconds=0.05, times=3)
        urls = [part["presigned_url"] for part in prepared["parts"]]
        await asyncio.gather(*(up.put(url, content[n * 1000 : n * 1000 + 1000]) for n, url in enumerate(urls)))
        await up.put(urls[0], content[:1000])
        told = [call.parallel for call in sandbox.upload_calls if call.kind == "upload_part"]
        assert (sorted(told[:3]), told[3]) == ([1, 2, 3], 1)


@pytest.mark.asyncio
async def test_a_fault_of_the_storage_speaks_its_language(play: Any) -> None:
    content = video(1000)
    async with play() as (sandbox, bot):
        up = Uploader(sandbox, bot)
        _, prepared = await up.prepare(content)
        sandbox.faults.answer("upload_part", status=503, message="slow down")
        status, text = await up.put(prepared["parts"][0]["presigned_url"], content)
        assert (status, "<Code>InternalError</Code>" in text, "slow down" in text) == (503, True, True)

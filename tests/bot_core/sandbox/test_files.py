"""Media in: by URL and as bytes (PLATFORM 2)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot_core.errors import SandboxError
from bot_core.openapi.values import FileType

SILK = b"\x02#!SILK_V3" + b"\x05\x00hello" * 4
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + b"\0" * 64
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\0" * 64


@pytest.mark.asyncio
async def test_a_picture_as_bytes_travels_with_its_text(play: Any, png: Any) -> None:
    async with play() as (sandbox, bot):
        content = png(0)
        said = await sandbox.say("picture")
        target = f"groups/{said.target.openid}"
        status, file = await bot.upload(target, content, file_name="cat.png")
        assert status == 200
        assert (set(file), file["ttl"]) == ({"file_uuid", "file_info", "ttl"}, 3600)
        status, _ = await bot.post(
            target, msg_type=7, content="look", media={"file_info": file["file_info"]}, msg_id=said.id
        )
        assert status == 200
        [answer] = await sandbox.replies(said)
        media = answer.media
        assert (answer.content, media.way, media.url, media.file_name) == ("look", "file_data", None, "cat.png")
        assert (media.size, media.content_type) == (len(content), "image/png")
        assert media.sha256 == hashlib.sha256(content).hexdigest()
        assert await media.read() == content
        assert media.raw_request["file_data"] == f"<{len(base64.b64encode(content))} characters of base64>"
        assert not media.as_card


@pytest.mark.asyncio
async def test_a_url_is_fetched_once_and_followed(play: Any, serve: Any, png: Any) -> None:
    content, asked = png(0), []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/a":
            return web.Response(status=302, headers={"Location": "/b.png"})
        return web.Response(body=content, content_type="image/png")

    async with play() as (sandbox, bot):
        url = f"{await serve(handler)}/a"
        target = f"groups/{sandbox.group_openid()}"
        _, file = await bot.call("POST", f"/v2/{target}/files", json={"file_type": 1, "url": url})
        await bot.post(target, msg_type=7, media={"file_info": file["file_info"]})
        media = sandbox.arrived[0].media
        assert (media.way, media.url, await media.read()) == ("url", url, content)
        assert asked == ["/a", "/b.png"]
        assert sandbox.calls["files"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("case", ["404", "slow", "loop", "empty", "cut"])
async def test_a_url_that_cannot_be_fetched_is_850026(play: Any, serve: Any, case: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if case == "slow":
            await asyncio.sleep(5)
        if case == "loop":
            return web.Response(status=302, headers={"Location": "/again"})
        if case == "cut":
            request.transport.abort()
        return web.Response(status=404 if case == "404" else 200)

    async with play(fetch_timeout_seconds=0.2) as (sandbox, bot):
        body = {"file_type": 1, "url": await serve(handler)}
        status, answer = await bot.call("POST", f"/v2/groups/{sandbox.group_openid()}/files", json=body)
        assert (status, answer["code"], answer["err_code"]) == (400, 850026, 40034001)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "url", ["ftp://example.com/a", "/etc/passwd", "cat.png", "http://", "http://[", "http://127.0.0.1:1"]
)
async def test_an_address_that_is_none_is_850026(play: Any, url: str) -> None:
    async with play() as (sandbox, bot):
        body = {"file_type": 1, "url": url}
        status, answer = await bot.call("POST", f"/v2/groups/{sandbox.group_openid()}/files", json=body)
        assert (status, answer["code"]) == (400, 850026)


@pytest.mark.asyncio
async def test_private_addresses_and_odd_ports_are_refused_by_a_switch(play: Any, serve: Any) -> None:
    asked = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=b"x")

    base = await serve(handler)
    for options in ({"refuse_private": True}, {"fetch_ports": (80, 443)}):
        async with play(**options) as (sandbox, bot):
            for url in (base, base.replace("127.0.0.1", "localhost")):
                body = {"file_type": 4, "url": url}
                _, answer = await bot.call("POST", f"/v2/groups/{sandbox.group_openid()}/files", json=body)
                assert answer["code"] == 850026
                assert "private" in answer["message"] or "port" in answer["message"]
    assert asked == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("file_type", "content", "code"),
    [
        (1, b"plain text", 850019),
        (1, MP4, 850019),
        (2, MP4, 0),
        (2, SILK, 850019),
        (3, SILK, 0),
        (3, MP3, 850019),
        (3, b"#!SILK_V3 standard", 850019),
        (4, b"plain text", 0),
        (1, b"GIF89a......", 0),
        (1, b"RIFF\0\0\0\0WEBPVP8 ", 0),
        (1, b"\xff\xd8\xff\xe0", 0),
        (1, b"BM......", 0),
        (9, b"x", 12002),
    ],
)
async def test_the_type_is_what_the_bytes_say(play: Any, file_type: int, content: bytes, code: int) -> None:
    async with play() as (_, bot):
        status, answer = await bot.upload("groups/G", content, file_type)
        assert (status, answer.get("code", 0)) == (400 if code else 200, code)
        if code == 850019:
            assert answer["err_code"] == 40034002


@pytest.mark.asyncio
async def test_a_lenient_platform_takes_mp3_as_voice(play: Any) -> None:
    async with play(lenient_voice=True) as (_, bot):
        assert (await bot.upload("groups/G", MP3, 3))[0] == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"file_type": 1}, 12002),
        ({"file_type": 1, "url": "http://a/", "file_data": "eA=="}, 12002),
        ({"file_type": 1, "file_data": "data:image/png;base64,eA=="}, 12002),
        ({"file_type": 1, "file_data": 5}, 12002),
        ({"file_type": 1, "upload_id": "x"}, 12002),
    ],
)
async def test_exactly_one_source(play: Any, body: Any, code: int) -> None:
    async with play() as (_, bot):
        status, answer = await bot.call("POST", "/v2/groups/G/files", json=body)
        assert (status, answer["code"]) == (400, code)


@pytest.mark.asyncio
async def test_a_body_over_the_limit_gets_the_proxys_page(play: Any, png: Any) -> None:
    async with play(inline_body_bytes=10_000) as (sandbox, bot):
        assert (await bot.upload("groups/G", png(1000)))[0] == 200
        status, page = await bot.upload("groups/G", png(20_000))
        assert status == 413
        assert page.startswith("<html>")

        async def in_pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * 1000

        status, _ = await bot.call("POST", "/v2/groups/G/files", data=in_pieces())
        assert status == 413
        assert sandbox.refused[-1].status == 413


@pytest.mark.asyncio
async def test_file_info_is_good_for_one_scene_one_bot_and_its_time(
    play: Any, clock: Any, png: Any, another_bot: Any
) -> None:
    async with play(clock=clock, file_ttl_seconds=300) as (sandbox, bot), another_bot(sandbox, "2") as other:
        await other.login()
        _, file = await bot.upload(f"groups/{sandbox.group_openid(appid=bot.appid)}", png(0))
        media = {"file_info": file["file_info"]}
        user = sandbox.user_openid(appid=bot.appid)

        async def codes() -> list[int]:
            answers = [
                await bot.post(f"groups/{sandbox.group_openid('another', appid=bot.appid)}", msg_type=7, media=media),
                await bot.post(f"users/{user}", msg_type=7, media=media),
                await other.post("groups/G", msg_type=7, media=media),
            ]
            return [body.get("code", 0) for _, body in answers]

        assert await codes() == [0, 304080, 304080]
        clock.now += 300
        assert await codes() == [304080, 304080, 304080]


@pytest.mark.asyncio
async def test_a_refused_file_info_uses_up_no_answer(play: Any, png: Any) -> None:
    async with play() as (sandbox, bot):
        said = await sandbox.say("picture")
        target = f"groups/{said.target.openid}"
        sandbox.expire_files()
        body = {"msg_type": 7, "media": {"file_info": "old"}, "msg_id": said.id, "msg_seq": 1}
        assert (await bot.post(target, **body))[1]["code"] == 304080
        _, file = await bot.upload(target, png(0))
        body["media"] = {"file_info": file["file_info"]}
        assert (await bot.post(target, **body))[0] == 200


@pytest.mark.asyncio
async def test_text_beside_a_voice_is_not_shown(play: Any) -> None:
    async with play() as (sandbox, bot):
        target = f"users/{sandbox.user_openid()}"
        _, file = await bot.upload(target, SILK, 3)
        await bot.post(target, msg_type=7, content="lost", media={"file_info": file["file_info"]})
        [arrived] = sandbox.arrived
        assert (arrived.content, arrived.body["content"]) == ("", "lost")
        assert arrived.media.content_type == "audio/silk"


@pytest.mark.asyncio
async def test_srv_send_msg_sends_at_once(play: Any, png: Any) -> None:
    async with play() as (sandbox, bot):
        _, answer = await bot.upload(f"groups/{sandbox.group_openid()}", png(0), srv_send_msg=True)
        [arrived] = sandbox.arrived
        assert (answer["id"], arrived.msg_id) == (arrived.id, None)


@pytest.mark.asyncio
async def test_a_large_video_goes_to_disk_and_leaves_nothing_behind(
    play: Any, serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    piece = b"\0" * (1 << 20)

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        await response.write(MP4)
        for _ in range(32):
            await response.write(piece)
        return response

    async with play() as (sandbox, bot):
        target = f"groups/{sandbox.group_openid()}"
        _, file = await bot.call("POST", f"/v2/{target}/files", json={"file_type": 2, "url": await serve(handler)})
        await bot.post(target, msg_type=7, media={"file_info": file["file_info"]})
        media = sandbox.arrived[0].media
        assert media.size == len(MP4) + 32 * len(piece)
        assert media.as_card  # over the soft limit of 30 MB
        content = await media.read()
        assert hashlib.sha256(content).hexdigest() == media.sha256
        assert content.startswith(MP4)
        assert await asyncio.to_thread(lambda: len(list(tmp_path.rglob("*.bin")))) == 1
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


@pytest.mark.asyncio
async def test_the_oldest_media_are_dropped_first(play: Any, png: Any) -> None:
    async with play(media_total_bytes=3000) as (sandbox, bot):
        target = f"groups/{sandbox.group_openid()}"
        for _ in range(3):
            _, file = await bot.upload(target, png(1200))
            await bot.post(target, msg_type=7, media={"file_info": file["file_info"]})
        first, second, third = (entry.media for entry in sandbox.arrived)
        with pytest.raises(SandboxError, match="media_total_bytes"):
            await first.read()
        assert len(await second.read()) == len(await third.read()) == first.size


@pytest.mark.asyncio
async def test_a_certificate_that_nobody_signed_is_850026(play: Any, serve: Any) -> None:
    async with play() as (sandbox, bot):

        async def handler(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=b"x")

        plain = await serve(handler)
        body = {"file_type": 4, "url": plain.replace("http://", "https://")}
        _, answer = await bot.call("POST", f"/v2/groups/{sandbox.group_openid()}/files", json=body)
        assert answer["code"] == 850026
        assert ssl.__name__ in answer["message"].lower() or "tls" in answer["message"].lower()


@pytest.mark.asyncio
async def test_a_name_can_count_as_public_while_private_addresses_are_refused(play: Any, serve: Any, png: Any) -> None:
    async def handler(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=png(0))

    port = (await serve(handler)).rpartition(":")[2]
    names = {"pics.example.com": "127.0.0.1", "gone.example.com": ""}
    async with play(refuse_private=True, public_names=names) as (_, bot):
        found = {}
        for host in ("pics.example.com", "127.0.0.1", "localhost", "gone.example.com"):
            body = {"file_type": 1, "url": f"http://{host}:{port}/cat.png"}
            status, answer = await bot.call("POST", "/v2/groups/G/files", json=body)
            found[host] = answer.get("code", status)
    assert found == {"pics.example.com": 200, "127.0.0.1": 850026, "localhost": 850026, "gone.example.com": 850026}


@pytest.mark.asyncio
async def test_sizes_at_which_a_file_becomes_a_card_or_is_refused(play: Any, png: Any) -> None:
    async with play(soft_bytes={FileType.IMAGE: 1000}, hard_bytes=2000) as (sandbox, bot):
        for size in (500, 1500):
            _, file = await bot.upload("groups/G", png(size))
            await bot.post("groups/G", msg_type=7, media={"file_info": file["file_info"]})
        assert [arrived.media.as_card for arrived in sandbox.arrived] == [False, True]
        status, answer = await bot.upload("groups/G", png(2500))
        assert (status, answer["code"]) == (400, 850031)


@pytest.mark.asyncio
async def test_strict_images_are_png_jpg_and_gif(play: Any) -> None:
    webp = b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"\0" * 16
    async with play(strict_images=True) as (_, bot):
        status, answer = await bot.upload("groups/G", webp)
        assert (status, answer["code"]) == (400, 850019)
        assert (await bot.upload("groups/G", b"GIF89a" + b"\0" * 16))[0] == 200
    async with play() as (_, bot):
        assert (await bot.upload("groups/G", webp))[0] == 200

"""The image store for markdown, and the pictures of a markdown message (PLATFORM 2.7, 3.10)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from bot_core.sandbox import ImageStoreOptions
from qqmedia import ConfigurationError

MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"


def announcement(content: bytes, **changes: Any) -> dict[str, Any]:
    return {
        "file_name": "cat.png",
        "file_size": len(content),
        "content_type": "image/png",
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        **changes,
    }


async def put(bot: Any, url: str, content: bytes, content_type: str = "image/png", **headers: str) -> tuple[int, str]:
    async with bot.http.put(url, data=content, headers={"Content-Type": content_type, **headers}) as response:
        return response.status, await response.text()


async def prepare(bot: Any, content: bytes, **changes: Any) -> tuple[int, Any]:
    return await bot.call("POST", "/v2/media-images/prepare", json=announcement(content, **changes))


async def complete(bot: Any, prepared: Any, content: bytes, **changes: Any) -> tuple[int, Any]:
    body = {"upload_id": prepared["upload_id"], "md5": announcement(content)["md5"], **changes}
    return await bot.call("POST", "/v2/media-images/complete", json=body)


async def store(bot: Any, content: bytes) -> Any:
    status, prepared = await prepare(bot, content)
    assert status == 200, prepared
    assert (await put(bot, prepared["presigned_url"], content))[0] == 200
    status, image = await complete(bot, prepared, content)
    assert status == 200, image
    return image


async def show(bot: Any, sandbox: Any, url: str) -> tuple[int, Any]:
    group = f"groups/{sandbox.group_openid()}"
    return await bot.post(group, msg_type=2, markdown={"content": f"look ![cat #20px #10px]({url}) there"})


@pytest.mark.asyncio
async def test_an_image_goes_into_the_store_and_into_markdown(play: Any, png: Any) -> None:
    content = png(100)
    async with play() as (sandbox, bot):
        image = await store(bot, content)
        assert image["url"].startswith("qqbot-media://image/v1/")
        assert image["ttl"] == 7_776_000
        assert (await show(bot, sandbox, image["url"]))[0] == 200
        [picture] = sandbox.arrived[0].pictures
        assert (picture.text, picture.url, picture.content_type) == ("cat #20px #10px", image["url"], "image/png")
        assert await picture.read() == content
        async with bot.http.get(image["preview_url"]) as response:
            assert await response.read() == content
        kinds = [(call.kind, "Authorization" in call.headers) for call in sandbox.upload_calls]
        assert kinds[:3] == [("image_prepare", True), ("image_put", False), ("image_complete", True)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"file_name": "cat.gif"}, 850019),
        ({"file_name": "cat"}, 850019),
        ({"file_name": None}, 12002),
        ({"content_type": "image/bmp", "file_name": "a.bmp"}, 850019),
        ({"file_size": 0}, 12002),
        ({"file_size": 10 * 1024 * 1024 + 1}, 850031),
        ({"md5": ""}, 12002),
        ({"sha1": ""}, 12002),
    ],
)
async def test_what_is_announced_must_make_sense(play: Any, changes: dict[str, Any], code: int) -> None:
    async with play() as (_, bot):
        status, answer = await prepare(bot, b"x", **changes)
        assert (status, answer["code"]) == (400, code)


@pytest.mark.asyncio
async def test_the_put_wants_the_declared_type_and_no_token(play: Any, png: Any) -> None:
    content = png(0)
    async with play() as (_, bot):
        _, prepared = await prepare(bot, content)
        url = prepared["presigned_url"]
        assert (await put(bot, url, content, "image/jpeg"))[0] == 403
        assert (await put(bot, url, content, **bot.headers))[0] == 403
        assert (await put(bot, url.replace("token=", "token=x"), content))[0] == 403
        assert (await put(bot, url, content + b"x"))[0] == 400
        assert (await put(bot, url.replace("upload_", "download_"), content))[0] == 404
        status, answer = await complete(bot, prepared, content)
        assert (status, answer["message"]) == (400, "the image has not arrived")


@pytest.mark.asyncio
async def test_what_comes_must_be_what_was_announced(play: Any, png: Any, clock: Any) -> None:
    content = png(10)
    async with play(clock=clock) as (_, bot):
        _, prepared = await prepare(bot, content)
        await put(bot, prepared["presigned_url"], png(9) + b"x")
        assert (await complete(bot, prepared, content))[1]["code"] == 12002
        await put(bot, prepared["presigned_url"], content)
        assert (await complete(bot, prepared, content, md5="0" * 32))[1]["code"] == 12002
        clock.now += 4 * 3600
        await bot.login()
        assert (await complete(bot, prepared, content))[1]["code"] == 12002
        _, prepared = await prepare(bot, MP4)
        await put(bot, prepared["presigned_url"], MP4)
        assert (await complete(bot, prepared, MP4))[1]["code"] == 850019


@pytest.mark.asyncio
async def test_list_delete_and_a_full_store(play: Any, png: Any, another_bot: Any) -> None:
    options = ImageStoreOptions(capacity=3, page=2)
    async with play(images=options) as (sandbox, bot), another_bot(sandbox, "1020000002") as stranger:
        await stranger.login()
        _, late = await prepare(bot, png(9))
        await put(bot, late["presigned_url"], png(9))
        images = [await store(bot, png(number)) for number in range(3)]
        assert (await prepare(bot, png(4)))[1]["code"] == 40035007
        assert (await complete(bot, late, png(9)))[1]["code"] == 40035007
        _, first = await bot.call("GET", "/v2/media-images")
        _, second = await bot.call("GET", f"/v2/media-images?cursor={first['next_cursor']}")
        listed = [image["image_id"] for image in first["images"] + second["images"]]
        assert listed == [image["image_id"] for image in reversed(images)]
        assert (first["total"], second["next_cursor"]) == (3, "")
        assert (await bot.call("GET", "/v2/media-images?cursor=x"))[1]["code"] == 12002
        assert (await stranger.call("GET", "/v2/media-images"))[1]["images"] == []
        path = f"/v2/media-images/{images[0]['image_id']}"
        assert (await stranger.call("DELETE", path))[1]["code"] == 40035008
        assert (await bot.call("DELETE", path))[0] == 200
        assert (await bot.call("DELETE", path))[1]["code"] == 40035008
        assert (await bot.call("DELETE", f"/v2/media-images/{images[1]['image_id']}/delete"))[0] == 200
        assert (await show(bot, sandbox, images[0]["url"]))[1]["code"] == 40034141
        assert (await show(stranger, sandbox, images[2]["url"]))[1]["code"] in {40034141, 11255}


@pytest.mark.asyncio
async def test_an_image_lives_on_with_each_use(play: Any, png: Any, clock: Any) -> None:
    options = ImageStoreOptions(lifetime_seconds=100)
    async with play(clock=clock, images=options) as (sandbox, bot):
        image = await store(bot, png(0))
        for _ in range(2):
            clock.now += 99
            assert (await show(bot, sandbox, image["url"]))[0] == 200
        clock.now += 100
        assert (await show(bot, sandbox, image["url"]))[1]["code"] == 40034141
        assert (await bot.call("GET", "/v2/media-images"))[1]["total"] == 0


@pytest.mark.asyncio
async def test_a_store_that_is_not_for_this_bot(play: Any, png: Any) -> None:
    async with play(images=ImageStoreOptions(available=False)) as (_, bot):
        assert (await prepare(bot, png(0)))[1]["code"] == 11253
        assert (await bot.call("GET", "/v2/media-images"))[1]["code"] == 11253


@pytest.mark.asyncio
async def test_other_pictures_in_markdown_are_fetched_refused_or_ignored(
    play: Any, png: Any, serve: Callable[..., Any]
) -> None:
    content, asked = png(5), []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(body=MP4 if request.path == "/v" else content, status=404 if request.path == "/no" else 200)

    base = await serve(handler)
    async with play() as (sandbox, bot):
        assert (await show(bot, sandbox, f"{base}/cat"))[0] == 200
        assert await sandbox.arrived[0].pictures[0].read() == content
        for path in ("/no", "/v"):
            assert (await show(bot, sandbox, base + path))[1]["code"] == 40034141
    async with play(markdown_pictures="refuse") as (sandbox, bot):
        assert (await show(bot, sandbox, f"{base}/cat"))[1]["code"] == 40034141
    async with play(markdown_pictures="ignore") as (sandbox, bot):
        assert (await show(bot, sandbox, f"{base}/cat"))[0] == 200
        assert sandbox.arrived[0].pictures == ()
    async with play(refuse_private=True) as (sandbox, bot):
        assert (await show(bot, sandbox, f"{base}/cat"))[1]["code"] == 40034141
    assert asked == ["/cat", "/no", "/v"]


@pytest.mark.parametrize("option", ["markdown_pictures", "audit"])
def test_an_option_that_is_none_of_its_words(option: str) -> None:
    from bot_core.sandbox import SandboxOptions

    with pytest.raises(ConfigurationError, match=option):
        SandboxOptions(**{option: "perhaps"})

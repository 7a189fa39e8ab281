"""A NoneBot whose plugin sends pictures and voices by a media host of qqmedia.

pip install "nonebot2[aiohttp]" nonebot-adapter-qq qqmedia
Settings: QQ_BOTS as NoneBot has them; QQMEDIA_DRIVER and QQMEDIA_<DRIVER>_* as qqmedia has them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import nonebot
from nonebot import on_fullmatch
from nonebot.adapters.qq import Adapter, MessageSegment

import qqmedia
from qqmedia import MediaKind, Reach

nonebot.init(driver="~aiohttp")
nonebot.get_driver().register_adapter(Adapter)

host = qqmedia.open_host()  # a driver's name may stand here: "s3"


@nonebot.get_driver().on_startup
async def open_host() -> None:
    await host.__aenter__()  # a setting that is wrong is told now, not at the first picture


@nonebot.get_driver().on_shutdown
async def close_host() -> None:
    await host.aclose()


async def sendable(kind: MediaKind, file: Path) -> str | bytes:
    """Return a URL that the platform can fetch; where there is none (a laptop, a taken port), the bytes."""
    async with host.prepare(kind, file) as upload:
        hosted = await host.publish(upload)
        if hosted.url and hosted.reach is not Reach.PRIVATE:
            return hosted.url
        return await asyncio.to_thread(hosted.upload.read)


picture = on_fullmatch("picture")
song = on_fullmatch("song")


@picture.handle()
async def send_picture() -> None:
    image = await sendable(MediaKind.IMAGE, Path("cat.png"))
    await picture.finish(MessageSegment.image(image) if isinstance(image, str) else MessageSegment.file_image(image))


@song.handle()
async def send_song() -> None:
    voice = await sendable(MediaKind.VOICE, Path("song.wav"))  # any audio: it becomes silk
    await song.finish(MessageSegment.audio(voice) if isinstance(voice, str) else MessageSegment.file_audio(voice))


if __name__ == "__main__":
    nonebot.run()

"""A NoneBot whose plugin sends pictures and voices by a media host of qqmedia.

pip install "nonebot2[aiohttp]" nonebot-adapter-qq qqmedia
Settings: QQ_BOTS as NoneBot has them; QQMEDIA_DRIVER and QQMEDIA_<DRIVER>_* as qqmedia has them.
"""

from __future__ import annotations

from pathlib import Path

import nonebot
from nonebot import on_fullmatch
from nonebot.adapters.qq import Adapter, MessageSegment

import qqmedia

nonebot.init(driver="~aiohttp")
nonebot.get_driver().register_adapter(Adapter)

host = qqmedia.open_host()  # a driver's name may stand here: "s3"


@nonebot.get_driver().on_startup
async def open_host() -> None:
    await host.__aenter__()  # a setting that is wrong is told now, not at the first picture


@nonebot.get_driver().on_shutdown
async def close_host() -> None:
    await host.aclose()


picture = on_fullmatch("picture")
song = on_fullmatch("song")


@picture.handle()
async def send_picture() -> None:
    await picture.finish(MessageSegment.image(str(await host.get_image(Path("cat.png")))))


@song.handle()
async def send_song() -> None:
    await song.finish(MessageSegment.audio(str(await host.get_voice(Path("song.wav")))))  # any audio: it becomes silk


if __name__ == "__main__":
    nonebot.run()

"""The product's bot for the benchmark, written as its users write one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from benchmarks.media import picture
from bot_core import AmiyaBot, Chain, Message, QQGroupChainBuilderOptions, qq_group

folder = Path(sys.argv[1])
options = QQGroupChainBuilderOptions(port=int(sys.argv[2]), resource_path=str(folder / "resource"))
adapter = qq_group("benchmark", default_chain_builder_options=options)
bot = AmiyaBot(appid="1020000001", token="", adapter=adapter)


@bot.on_message(keywords="text")
async def text(data: Message) -> Chain:
    """Answer with text."""
    return Chain(data, at=False).text("echo " + data.text.partition(" ")[2])


@bot.on_message(keywords="same")
async def same(data: Message) -> Chain:
    """Answer with one picture, always the same."""
    return Chain(data, at=False).image(picture(0))


@bot.on_message(keywords="distinct")
async def distinct(data: Message) -> Chain:
    """Answer with a picture that nobody has seen."""
    return Chain(data, at=False).image(picture(int(data.text.partition(" ")[2])))


@bot.on_message(keywords="voice")
async def voice(data: Message) -> Chain:
    """Answer with 5 s of voice, from an mp3."""
    return Chain(data, at=False).voice(str(folder / f"voice-{data.text.partition(' ')[2]}.mp3"))


@bot.on_message(keywords="video")
async def video(data: Message) -> Chain:
    """Answer with a video of 20 MB."""
    return Chain(data, at=False).video(str(folder / "video.mp4"))


asyncio.run(bot.start())

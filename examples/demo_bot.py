"""A bot that answers with text, pictures, voice and video. Copy it and make it yours.

It sends files from the folder that it is started in; ``qqbot demo`` leaves those named below in ``demo-output/sent``.
To try it without an account, in three terminals::

    qqbot sandbox              # a QQ platform on this machine; it prints the two variables that point a bot at it
    python demo_bot.py         # in that folder, with these two variables set
    qqbot say "picture"

On the real platform: set QQ_APPID and QQ_SECRET to what https://q.qq.com shows for your bot, and start it.
"""

from __future__ import annotations

import asyncio
import os

from bot_core import AmiyaBot, Chain, Message, qq_group

bot = AmiyaBot(
    appid=os.environ.get("QQ_APPID", "102000001"),
    token="",  # QQ retired it; kept so that older bots start unchanged
    adapter=qq_group(client_secret=os.environ.get("QQ_SECRET", "any secret will do for the sandbox")),
)


# A handler runs when a message contains one of its keywords; `allow_direct` lets it answer in private chats too.
@bot.on_message(keywords=["hello", "你好"], allow_direct=True)
async def hello(data: Message) -> Chain:
    """Answer with text: `Chain(data)` is a reply, and mentions in a group whom it replies to."""
    words = "picture 图片, album 相册, sticker 贴纸, song 歌, voice 语音, video 视频, movie 电影, quiz 猜谜"
    return Chain(data).text("Hello! 你好！ Say: " + words)


@bot.on_message(keywords=["picture", "图片"], allow_direct=True)
async def picture(data: Message) -> Chain:
    """Send text and a picture: together they are one message. A path will do, bytes or a URL as well."""
    return Chain(data).text("Look, a cat! 看，一只猫！").image("cat.png")


@bot.on_message(keywords=["album", "相册"], allow_direct=True)
async def album(data: Message) -> Chain:
    """Send several pictures: QQ takes one a message, so this becomes three."""
    return Chain(data).text("Three pictures. 三张图片。").image(["dusk.jpg", "night.png", "chart.png"])


@bot.on_message(keywords=["sticker", "贴纸"], allow_direct=True)
async def sticker(data: Message) -> Chain:
    """Send a picture in a format that QQ may refuse: it is turned into one that QQ takes."""
    return Chain(data).text("A sticker. 一张贴纸。").image("sticker.webp")


@bot.on_message(keywords=["song", "歌"], allow_direct=True)
async def song(data: Message) -> Chain:
    """Send a voice: any audio will do, it is turned into the silk that QQ wants.

    A voice carries no text, so `at=False` leaves the mention out, which would be a message of its own.
    """
    return Chain(data, at=False).voice("song.mp3")


@bot.on_message(keywords=["voice", "语音"], allow_direct=True)
async def voice(data: Message) -> Chain:
    """Send another one."""
    return Chain(data, at=False).voice("speech.wav")


@bot.on_message(keywords=["video", "视频"], allow_direct=True)
async def video(data: Message) -> Chain:
    """Send a video: an mp4, which travels alone like a voice."""
    return Chain(data, at=False).video("film.mp4")


@bot.on_message(keywords=["movie", "电影"], allow_direct=True)
async def movie(data: Message) -> Chain:
    """Send a large one: where the platform cannot fetch it from here, it goes up in parts."""
    return Chain(data, at=False).video("movie.mp4")


@bot.on_message(keywords=["quiz", "猜谜"], allow_direct=True)
async def quiz(data: Message) -> Chain:
    """Ask, and wait for what the same person says next; `wait` gives `None` when nothing comes in time."""
    answer = await data.wait(Chain(data).text("Which animal says meow? 什么动物喵喵叫？"), max_time=60)
    if answer is None:
        return Chain(data).text("Too late: it was the cat. 时间到了，是猫。")
    if "cat" in answer.text.lower() or "猫" in answer.text:
        return Chain(answer).text("Right! 答对了！")
    return Chain(answer).text("No, it was the cat. 不对，是猫。")


if __name__ == "__main__":
    asyncio.run(bot.start())  # Ctrl-C ends it

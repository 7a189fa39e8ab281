"""A bot on botpy that sends pictures and voices by a media host of qqmedia.

pip install qq-botpy qqmedia
Settings: QQ_APPID and QQ_SECRET; QQMEDIA_DRIVER and QQMEDIA_<DRIVER>_* as qqmedia has them.
"""

from __future__ import annotations

import os
from pathlib import Path

import botpy
from botpy.message import GroupMessage

import qqmedia

IMAGE, VOICE = 1, 3


class MyClient(botpy.Client):
    host = qqmedia.open_host()  # a driver's name may stand here: "s3". It opens when it is first used

    async def on_group_at_message_create(self, message: GroupMessage) -> None:
        if "picture" in message.content:
            await self.send(message, IMAGE, await self.host.get_image(Path("cat.png")))
        elif "song" in message.content:
            await self.send(message, VOICE, await self.host.get_voice(Path("song.wav")))  # any audio: it becomes silk

    async def send(self, message: GroupMessage, file_type: int, url: str | bytes) -> None:
        if isinstance(url, bytes):
            raise TypeError("botpy sends URLs only, and nothing is hosted here; set QQMEDIA_DRIVER, or a free port")
        media = await self.api.post_group_file(group_openid=message.group_openid, file_type=file_type, url=url)
        await self.api.post_group_message(group_openid=message.group_openid, msg_type=7, msg_id=message.id, media=media)


if __name__ == "__main__":
    client = MyClient(intents=botpy.Intents(public_messages=True))
    client.run(appid=os.environ["QQ_APPID"], secret=os.environ["QQ_SECRET"])

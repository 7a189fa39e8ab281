"""What a type checker must accept of a bot's program: ``mypy --strict`` runs over this file, nothing executes it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, assert_type

from bot_core import (
    AmiyaBot,
    Chain,
    ChainBuilder,
    Equal,
    Event,
    GroupConfig,
    InlineKeyboard,
    Message,
    MultipleAccounts,
    QQGroupChainBuilderOptions,
    WaitEventCancel,
    WaitEventOutOfFocus,
    qq_group,
)
from bot_core.adapter import Adapter, MessageHandle
from bot_core.errors import AuthenticationError, OpenAPIError


class MyBuilder(ChainBuilder):
    @classmethod
    async def get_image(cls, image: str | bytes) -> str | bytes:
        return image

    async def get_voice(self, voice_file: str) -> str:
        return voice_file

    async def on_page_rendered(self, page: object) -> None: ...


options = QQGroupChainBuilderOptions("0.0.0.0", 8086, "./resource")
bot = AmiyaBot(appid="1001", token="t", adapter=qq_group(client_secret="s", default_chain_builder_options=options))
other = AmiyaBot("1002", "t", False, qq_group("s", default_chain_builder=MyBuilder()))
accounts = MultipleAccounts(bot, other)
accounts_of_a_list = MultipleAccounts([bot, other])

bot.set_prefix_keywords(["amiya"])
bot.set_group_config(GroupConfig("games", check_prefix=False))


async def is_short(data: Message) -> tuple[bool, int, str]:
    return len(data.text) < 5, 2, "short"


async def is_number(data: Message) -> bool:
    return data.text.isdecimal()


@bot.on_message(keywords=["picture", Equal("pic"), re.compile(r"pic (\d+)")], level=3)
async def show(data: Message) -> Chain:
    return Chain(data).text("look").image([Path("a.png"), b"png", "https://a/b.png"]).voice("a.mp3").video("a.mp4")


@bot.on_message(group_id="games", verify=is_short, allow_direct=True)
async def play(data: Message) -> str | None:
    answer = await data.wait(Chain(data).text("number?"), force=True, max_time=10, data_filter=is_number)
    assert_type(answer, Message | None)
    try:
        event = await data.wait_channel("anybody?")
    except (WaitEventCancel, WaitEventOutOfFocus):
        return None
    if event is None:
        return None
    assert_type(event.message, Message)
    event.close_event()
    sent = await data.send(Chain(data).text("sent"))
    assert_type(sent, MessageHandle | list[MessageHandle] | None)
    if isinstance(sent, MessageHandle):
        await sent.recall()
    await data.recall()
    return answer.text if answer else "too slow"


@accounts.on_event(["GROUP_ADD_ROBOT", "FRIEND_ADD"])
async def joined(event: Event, instance: Adapter) -> None:
    assert_type(event.data, dict[str, Any])
    assert_type(instance.appid, str)


@bot.on_exception([OpenAPIError, ValueError])
async def failed(error: Exception, instance: Adapter, data: Message | Event) -> None: ...


@bot.timed_task(each=60, sub_tag="news")
async def news(running: AmiyaBot) -> None:
    handles = await running.send_message(Chain().text("news"), channel_id="G1")
    assert_type(handles, list[MessageHandle])


@bot.timed_task(trigger="cron", hour=0)
async def nightly(running: AmiyaBot) -> None: ...


@bot.message_created
async def created(data: Message, instance: Adapter) -> Message | bool | None:
    return data.copy()


@bot.message_before_send
async def before_send(chain: Chain, factory_name: str, instance: Adapter) -> Chain | None:
    return chain.text("signed")


@bot.message_after_handle
async def after_handle(chain: Chain | None, factory_name: str, instance: Adapter) -> None: ...


@bot.on_message(keywords=5)  # type: ignore[arg-type]  # no keyword
async def no_keyword(data: Message) -> None: ...


@bot.on_message(keywords="a")  # type: ignore[type-var]  # a handler answers with a Chain, a str or None
async def wrong_answer(data: Message) -> int:
    return 5


def keyboard() -> Chain:
    buttons = InlineKeyboard()
    buttons.add_row().add_button("b1", "Yes", render_style=1)
    return Chain().markdown_content("# choose", buttons)


async def main() -> None:
    try:
        await asyncio.gather(bot.start(), other.start(launch_browser=True))
    except AuthenticationError as error:
        assert_type(error.code, int | None)
    await accounts.start()
    assert_type(accounts["1001"], AmiyaBot | None)
    assert_type(accounts.append(bot), AmiyaBot)
    await accounts.close()

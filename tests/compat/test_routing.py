"""COMPAT, "Which handler runs": every sentence of it has a test."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot_core import AmiyaBot, Equal, GroupConfig, Message
from tests.fakes.adapter import FakeAdapter, make_bot, running, settled


async def heard(bot: AmiyaBot, text: str, **where: Any) -> list[str]:
    """Say one thing to the bot, and return what it answered."""
    assert isinstance(bot.instance, FakeAdapter)
    async with running(bot):
        await bot.instance.say(text, **where)
        await settled()
    return bot.instance.texts


def answers(bot: AmiyaBot, answer: str = "yes", **how: Any) -> None:
    @bot.on_message(**how)
    async def handler(data: Message) -> str:
        return answer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keywords", "text", "matches"),
    [
        ("Weather", "the WEATHER today", True),
        ("weather", "wet", False),
        (re.compile(r"(\d+) times"), "say it 3 times", True),
        (re.compile(r"^\d+$"), "say it 3 times", False),
        (Equal("Help"), "Help", True),
        (Equal("Help"), "help", False),
        (Equal("Help"), "Help me", False),
        (["rain", Equal("sun")], "will it rain", True),
        (["rain", Equal("sun")], "sun", True),
        (["rain", Equal("sun")], "sunny", False),
        (("rain", "sun"), "sunny", True),
        ([["rain"], ["sun"]], "sunny", True),
    ],
)
async def test_keywords_match(keywords: Any, text: str, matches: bool) -> None:
    bot, _ = make_bot()
    answers(bot, keywords=keywords)
    assert bool(await heard(bot, text)) is matches


@pytest.mark.parametrize("keywords", [5, [b"bytes"], re.compile(b"bytes"), {"set"}])
def test_a_keyword_that_is_none_is_refused_at_once(keywords: Any) -> None:
    bot, _ = make_bot()
    with pytest.raises(TypeError, match=r"str, re\.Pattern, Equal"):
        bot.on_message(keywords=keywords)


@pytest.mark.asyncio
async def test_a_handler_without_keywords_never_runs_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    bot, _ = make_bot()
    answers(bot)
    assert "never gets a message" in caplog.text
    assert await heard(bot, "anything") == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keywords", "keypoint", "weight"),
    [
        ("Rain", "Rain", 1),
        (Equal("rain in 3 days"), Equal("rain in 3 days"), 1),
        (re.compile(r"rain"), [], 1),
        (re.compile(r"(rain) in (\d+) (days|hours)"), ["rain", "3", "days"], 3),
    ],
)
async def test_the_result_is_in_verify(keywords: Any, keypoint: Any, weight: int) -> None:
    bot, _ = make_bot()
    seen: list[Message] = []

    @bot.on_message(keywords=keywords)
    async def handler(data: Message) -> None:
        seen.append(data)

    await heard(bot, "rain in 3 days")
    verify = seen[0].verify
    assert verify is not None
    assert (verify.result, verify.weight, verify.keypoint) == (True, weight, keypoint)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, (1, None)),
        (False, None),
        (None, None),
        ((True, 7), (7, None)),
        ((True, 7, "key"), (7, "key")),
        ((False, 7), None),
        ([True, 7], None),
        ("yes", None),
        (1, None),
        ((True, "7"), None),
        ((True,), None),
    ],
)
async def test_what_verify_may_return(answer: Any, expected: tuple[Any, ...] | None) -> None:
    bot, _ = make_bot()
    seen: list[Message] = []

    async def verify(data: Message) -> Any:
        return answer

    @bot.on_message(verify=verify, keywords="replaced", level=50)
    async def handler(data: Message) -> None:
        seen.append(data)

    await heard(bot, "replaced")
    found = seen[0].verify if seen else None
    assert ((found.weight, found.keypoint) if found else None) == expected


@pytest.mark.asyncio
async def test_verify_is_asked_for_every_candidate_with_a_copy() -> None:
    bot, _ = make_bot()
    asked: list[Message] = []

    async def verify(data: Message) -> bool:
        asked.append(data)
        data.text = "spoilt"
        data.image.append("spoilt")
        return False

    answers(bot, verify=verify)
    answers(bot, verify=verify)
    seen: list[Message] = []

    @bot.on_message(keywords="text", level=99)
    async def handler(data: Message) -> None:
        seen.append(data)

    await heard(bot, "text")
    assert len(asked) == 2
    assert asked[0] is not asked[1]
    assert (seen[0].text, seen[0].image) == ("text", [])


@pytest.mark.asyncio
async def test_verify_that_raises_is_no_match_is_logged_and_reaches_on_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot, _ = make_bot()
    errors: list[Exception] = []

    async def verify(data: Message) -> bool:
        raise ValueError("bad verify")

    answers(bot, verify=verify)
    answers(bot, keywords="text")

    @bot.on_exception()
    async def told(error: Exception, instance: Any, data: Message) -> None:
        errors.append(error)

    assert await heard(bot, "text") == ["yes"]
    assert [str(error) for error in errors] == ["bad verify"]
    assert "bad verify" in caplog.text


@pytest.mark.asyncio
async def test_the_highest_level_wins_and_the_first_among_equals() -> None:
    bot, _ = make_bot()
    answers(bot, "low", keywords="a", level=1)
    answers(bot, "first high", keywords="a", level=5)
    answers(bot, "second high", keywords="a", level=5)
    assert await heard(bot, "a") == ["first high"]


@pytest.mark.asyncio
async def test_a_pattern_weighs_as_many_as_it_has_groups() -> None:
    bot, _ = make_bot()
    answers(bot, "word", keywords="roll")
    answers(bot, "pattern", keywords=re.compile(r"(roll) (\d+)"))
    assert await heard(bot, "roll 6") == ["pattern"]


@pytest.mark.asyncio
async def test_in_a_list_the_first_keyword_that_matches_counts() -> None:
    bot, _ = make_bot()
    answers(bot, "list", keywords=["roll", re.compile(r"(r)(o)(l)(l)")])
    answers(bot, "pattern", keywords=re.compile(r"(ro)(ll)"))
    assert await heard(bot, "roll") == ["pattern"]


@pytest.mark.asyncio
async def test_the_level_of_verify_counts_and_not_level() -> None:
    bot, _ = make_bot()

    async def verify(data: Message) -> tuple[bool, float]:
        return True, 1.5

    answers(bot, "verify", verify=verify, level=100)
    answers(bot, "two", keywords="a", level=2)
    assert await heard(bot, "a") == ["two"]


@pytest.mark.asyncio
@pytest.mark.parametrize("order", ["verify first", "keywords first"])
async def test_verify_and_keywords_of_one_level_go_by_order(order: str) -> None:
    bot, _ = make_bot()

    async def verify(data: Message) -> bool:
        return True

    if order == "verify first":
        answers(bot, "verify", verify=verify)
    answers(bot, "keywords", keywords="a")
    if order == "keywords first":
        answers(bot, "verify", verify=verify)
    assert await heard(bot, "a") == [order.split(maxsplit=1)[0]]


# Prefixes


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "where", "how", "answered"),
    [
        ("amiya weather", {}, {}, True),
        ("weather", {}, {}, False),
        ("weather", {"at": True}, {}, True),
        ("weather", {}, {"check_prefix": False}, True),
        ("hey weather", {}, {"check_prefix": ["hey"]}, True),
        ("amiya weather", {}, {"check_prefix": ["hey"]}, False),
        ("weather", {"direct": True}, {"allow_direct": True}, True),
    ],
)
async def test_prefix_is_needed_unless(text: str, where: Any, how: Any, answered: bool) -> None:
    bot, _ = make_bot()
    bot.set_prefix_keywords("amiya")
    answers(bot, keywords="weather", **how)
    assert bool(await heard(bot, text, **where)) is answered


@pytest.mark.asyncio
async def test_an_equal_needs_no_prefix_also_in_a_list() -> None:
    bot, _ = make_bot()
    bot.set_prefix_keywords(["amiya"])
    answers(bot, "alone", keywords=Equal("help"))
    answers(bot, "in a list", keywords=["weather", Equal("info")])
    assert await heard(bot, "help") == ["alone"]
    assert [answer async for answer in _again(["info", "weather"], bot)] == [["in a list"], []]


async def _again(texts: list[str], like: AmiyaBot) -> Any:
    for text in texts:
        bot, _ = make_bot()
        bot.set_prefix_keywords(["amiya"])
        bot.message_handlers = like.message_handlers
        yield await heard(bot, text)


@pytest.mark.asyncio
async def test_the_handler_gets_the_text_without_its_prefix() -> None:
    bot, _ = make_bot()
    bot.set_prefix_keywords(["amiya", "amiya, "])
    seen: list[Message] = []

    @bot.on_message(keywords=re.compile(r"^amiya, (\w+)"))
    async def handler(data: Message) -> None:
        seen.append(data)

    await heard(bot, "amiya, weather")
    assert (seen[0].text, seen[0].text_prefix, seen[0].text_original) == ("weather", "amiya, ", "amiya, weather")


@pytest.mark.asyncio
async def test_verify_sees_the_text_without_prefix_and_is_not_asked_without_one() -> None:
    bot, adapter = make_bot()
    bot.set_prefix_keywords("amiya")
    texts: list[str] = []

    async def verify(data: Message) -> bool:
        texts.append(data.text)
        return True

    answers(bot, verify=verify)
    async with running(bot):
        await adapter.say("amiya weather")
        await adapter.say("weather")
        await settled()
    assert texts == ["weather"]


@pytest.mark.asyncio
async def test_prefixes_may_be_set_after_the_handlers() -> None:
    bot, adapter = make_bot()
    answers(bot, keywords="weather")
    async with running(bot):
        await adapter.say("weather")
        await adapter.arrived()
        bot.set_prefix_keywords("amiya")
        await adapter.say("weather")
        await settled()
    assert adapter.texts == ["yes"]
    assert bot.prefix_keywords == ["amiya"]


# Private chats


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("how", "in_group", "in_direct"),
    [({}, True, False), ({"allow_direct": True}, True, True), ({"direct_only": True}, False, True)],
)
async def test_who_serves_private_chats(how: Any, in_group: bool, in_direct: bool) -> None:
    for direct, expected in ((False, in_group), (True, in_direct)):
        bot, _ = make_bot()
        answers(bot, keywords="a", **how)
        assert bool(await heard(bot, "a", direct=direct)) is expected


# GroupConfig


@pytest.mark.asyncio
@pytest.mark.parametrize("config_first", [True, False])
@pytest.mark.parametrize("by_object", [True, False])
async def test_group_config_gives_defaults_whenever_it_comes(config_first: bool, by_object: bool) -> None:
    bot, _ = make_bot()
    bot.set_prefix_keywords("amiya")
    config = GroupConfig("games", check_prefix=False, direct_only=True)
    if config_first:
        bot.set_group_config(config)
    answers(bot, keywords="play", group_id=config if by_object else "games")
    if not config_first:
        bot.set_group_config(config)
    assert await heard(bot, "play") == []
    other, _ = make_bot()
    other.message_handlers, other.group_configs = bot.message_handlers, bot.group_configs
    assert await heard(other, "play", direct=True) == ["yes"]


@pytest.mark.asyncio
async def test_a_handlers_own_word_wins_over_its_group() -> None:
    bot, adapter = make_bot()
    bot.set_prefix_keywords("amiya")
    bot.set_group_config(GroupConfig("games", check_prefix=False, allow_direct=True))
    answers(bot, "play", keywords="play", group_id="games", check_prefix=True, allow_direct=False)
    async with running(bot):
        await adapter.say("play")
        await adapter.say("play", direct=True)
        await adapter.say("amiya play")
        await settled()
    assert adapter.texts == ["play"]


# Answers


@pytest.mark.asyncio
async def test_exactly_one_handler_runs() -> None:
    bot, _ = make_bot()
    for name in ("one", "two", "three"):
        answers(bot, name, keywords="a")
    assert await heard(bot, "a") == ["one"]


@pytest.mark.asyncio
async def test_handlers_registered_while_running_are_asked_too() -> None:
    bot, adapter = make_bot()
    async with running(bot):
        await adapter.say("late")
        await settled()
        answers(bot, keywords="late")
        await adapter.say("late")
        assert await adapter.arrived() == ["yes"]

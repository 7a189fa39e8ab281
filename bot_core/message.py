"""What comes in: messages and events, as handlers see them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import bot_core  # for annotations: the package finds a name when somebody asks for it
from bot_core import texts
from bot_core.adapter import Adapter, MessageHandle, SupportsReplyBudget
from bot_core.arguments import check_function, check_number
from bot_core.conversation import Conversation, WaitOptions
from bot_core.errors import BotError

if TYPE_CHECKING:
    import bot_core.waits

__all__ = ("DataFilter", "Event", "File", "Message", "Verify")


@dataclass(slots=True)
class File:
    """A file that came with a message.

    Attributes:
        url: Where the platform serves it, for a while.
        filename: As the sender named it; never use it as a path.
    """

    url: str
    filename: str = ""


@dataclass(slots=True)
class Verify:
    """Why a handler was chosen.

    Attributes:
        result: Whether it matched.
        weight: The level that it matched with.
        keypoint: List of the groups for a regular expression, the keyword for a `str`, the object for an `Equal`, or
            what the handler's own `verify` returned.
    """

    result: bool
    weight: float = 0
    keypoint: Any = None

    def __bool__(self) -> bool:
        return bool(self.result)


class Event:
    """Something that happened which is no message.

    Attributes:
        instance: The adapter that it came through.
        event_name: The platform's name for it, such as ``GROUP_ADD_ROBOT``.
        data: The platform's raw ``d``.
        event_id: Its id, where the platform gave one.
        user_openid: Who caused it, as far as the platform says: who pressed the button, added the bot, ...
        channel_openid: The group that it happened in; empty in a private chat.
        button_id: Of the button that was pressed.
        button_data: What that button carries.
        time: When it was received, seconds since the epoch.
    """

    def __init__(self, instance: Adapter, event_name: str, data: dict[str, Any], event_id: str = "") -> None:
        self.instance = instance
        self.event_name = event_name
        self.data = data
        self.event_id = event_id
        self.user_openid = ""
        self.channel_openid = ""
        self.button_id = ""
        self.button_data = ""
        self.time = int(time.time())
        self._conversation: Conversation | None = None

    @property
    def appid(self) -> str:
        """The account that it happened to."""
        return self.instance.appid

    @property
    def is_direct(self) -> bool:
        """Whether it happened in a private chat."""
        return bool(self.user_openid) and not self.channel_openid

    @property
    def reply_deadline(self) -> datetime | None:
        """Until when it can be answered, or `None` where it cannot be, or nothing is known about it."""
        return self.instance.reply_deadline(self) if isinstance(self.instance, SupportsReplyBudget) else None

    @property
    def replies_left(self) -> int | None:
        """How many more answers it takes; `None` where nothing is known about it."""
        return self.instance.replies_left(self) if isinstance(self.instance, SupportsReplyBudget) else None

    def __str__(self) -> str:
        return f"Bot:{self.appid} Event:{self.event_name}"

    def bind(self, conversation: Conversation) -> None:
        """Tie the event to the bot that handles it. The bot does this; a handler has no need of it."""
        self._conversation = conversation

    async def reply(
        self, reply: bot_core.Chain | str, *, timeout: float | None = None
    ) -> MessageHandle | list[MessageHandle] | None:
        """Answer this event: a pressed button, a user who added the bot, a group that let it in.

        Returns:
            As `Message.send`.

        Raises:
            ReplyContextError: The platform takes no answer to this event, or no more; nothing was sent.
            MediaError: A medium of it cannot be sent; nothing was sent.
            OpenAPIError: The platform refused.
        """
        if timeout is not None:
            check_number("timeout", timeout)
        if self._conversation is None:
            raise BotError("this event did not come through a running bot, so it cannot be answered")
        return _unpacked(await self._conversation.reply_event(self, reply, timeout=timeout))


class _Derived:
    """An attribute that is worked out of `text` when it is asked for, unless somebody has set it."""

    def __init__(self, derive: Callable[[str], Any]) -> None:
        self._derive = derive

    def __get__(self, message: Message | None, owner: type[Message]) -> Any:
        return self if message is None else self._derive(message.text)


_DERIVED: Final = ("text_digits", "text_unsigned", "text_words")


class Message:
    """A message that came in. The adapter sets the attributes; what the platform did not say keeps its default.

    Attributes:
        instance: The adapter that it came through.
        bot: The bot that handles it.
        message: The platform's raw message.
        message_id: The platform's id of it.
        message_type: The event that brought it.
        event_id: Id of that event.
        factory_name: Of the bot or `MultipleAccounts` that the chosen handler was registered on.
        face: Ids of QQ faces in it.
        image: URLs of pictures.
        files: Files that came with it.
        attachments: Everything that came with it, typed by the adapter.
        voice: URL of a voice, as WAV where the platform has it so.
        audio: URL of another sound.
        video: URL of a video.
        text: Stripped, without the bot's own mention and without the prefix that led to the handler.
        text_prefix: The prefix keyword that was cut off.
        text_original: As it came, without mentions and faces.
        text_digits: `text` with Chinese numerals as digits: ``三十五`` becomes ``35``.
        text_unsigned: `text` without punctuation.
        text_words: The words of `text` and `text_digits`, each once. The first time in a process loads a dictionary;
            a `ConfigurationError` where the extra `words` is not installed.
        at_target: Ids of those it mentions.
        is_at: Whether it mentions the bot.
        is_at_all: Whether it mentions everybody.
        is_admin: Whether the sender is an administrator or owner.
        is_direct: Whether it is a private chat.
        user_id: The sender, as this chat knows him.
        user_openid: The sender's openid.
        channel_id: The group; empty in a private chat.
        channel_openid: The group's openid.
        guild_id: Empty in groups.
        src_guild_id: Empty in groups.
        nickname: Of the sender, where the platform gives it.
        avatar: URL of the sender's picture, empty where the platform gives none.
        verify: Why the handler was chosen.
        time: When it was received, seconds since the epoch.
        reference_message_id: Of the message that it quotes.
    """

    if TYPE_CHECKING:
        text_digits: str
        text_unsigned: str
        text_words: list[str]
    else:
        text_digits = _Derived(texts.digits)
        text_unsigned = _Derived(texts.unsigned)
        text_words = _Derived(texts.words)

    def __init__(self, instance: Adapter, message: dict[str, Any] | None = None) -> None:
        self.instance = instance
        self.bot: bot_core.AmiyaBot | None = None
        self.message = message
        self.message_id = ""
        self.message_type = ""
        self.event_id = ""
        self.factory_name = ""

        self.face: list[str] = []
        self.image: list[str] = []
        self.files: list[File] = []
        self.attachments: list[Any] = []
        self.voice = ""
        self.audio = ""
        self.video = ""

        self.text = ""
        self.text_prefix = ""
        self.text_original = ""

        self.at_target: list[str] = []
        self.is_at = False
        self.is_at_all = False
        self.is_admin = False
        self.is_direct = False

        self.user_id = ""
        self.user_openid = ""
        self.channel_id = ""
        self.channel_openid = ""
        self.guild_id = ""
        self.src_guild_id = ""
        self.nickname = ""
        self.avatar = ""

        self.verify: Verify | None = None
        self.time = int(time.time())
        self.reference_message_id = ""

        self._conversation: Conversation | None = None

    def __str__(self) -> str:
        channel = f" Channel:{self.channel_id}" if self.channel_id else ""
        marks = ("(admin)" if self.is_admin else "") + ("(direct)" if self.is_direct else "")
        nickname = f" {self.nickname}" if self.nickname else ""
        face = "".join(f"[face:{face}]" for face in self.face)
        media = "[image]" * len(self.image) + "[voice]" * bool(self.voice) + "[video]" * bool(self.video)
        text = self.text.replace("\n", " ")
        return f"Bot:{self.instance.appid}{channel} User:{self.user_id}{marks}{nickname}: {text}{face}{media}"

    def set_text(self, text: str, set_original: bool = True) -> None:  # noqa: FBT001, FBT002 - AmiyaBot's signature
        """Set `text`, stripped, and with it everything that is derived from it; by default `text_original` too."""
        if set_original:
            self.text_original = text
        self.text = text.strip()
        for name in _DERIVED:
            self.__dict__.pop(name, None)

    def copy(self) -> Self:
        """Return a copy whose attributes may be changed; bot, adapter and the raw message are shared."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        for name in ("face", "image", "files", "attachments", "at_target"):
            setattr(twin, name, list(getattr(self, name)))
        return twin

    def bind(self, bot: bot_core.AmiyaBot, conversation: Conversation) -> None:
        """Tie the message to the bot that handles it. The bot does this; a handler has no need of it."""
        self.bot = bot
        self._conversation = conversation

    @property
    def reply_deadline(self) -> datetime | None:
        """Until when this message can be answered, in UTC; `None` where nothing is known about it."""
        return self.instance.reply_deadline(self) if isinstance(self.instance, SupportsReplyBudget) else None

    @property
    def replies_left(self) -> int | None:
        """How many more answers this message takes, every message of a chain counted; `None` where nothing is known."""
        return self.instance.replies_left(self) if isinstance(self.instance, SupportsReplyBudget) else None

    async def send(
        self, reply: bot_core.Chain | str, *, timeout: float | None = None
    ) -> MessageHandle | list[MessageHandle] | None:
        """Answer this message at once.

        Args:
            reply: What to say.
            timeout: Seconds that each message of it may take, repeats and pauses included; by default the adapter's
                own limit.

        Returns:
            One handle when one message went out, a list when several did, `None` when nothing was to be sent. A
            handle tells how often it was tried, and for each medium which way it went.

        Raises:
            MediaError: A medium of it cannot be sent; nothing was sent.
            ReplyContextError: The message takes no more answers; nothing was sent.
            OpenAPIError: The platform refused.
            PartlySentError: Some of its messages went out, some did not.
        """
        if timeout is not None:
            check_number("timeout", timeout)
        return _unpacked(await self._bound().reply(self, reply, timeout=timeout))

    async def recall(self) -> None:
        """Recall this message, where the platform allows it.

        Raises:
            OpenAPIError: The platform refused.
        """
        if self.message_id:
            await self.instance.recall_message(self.message_id, self)

    async def wait(
        self,
        reply: bot_core.Chain | str | None = None,
        force: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        max_time: float = 30,
        data_filter: DataFilter | None = None,
        level: float = 0,
    ) -> Message | None:
        """Send `reply`, then return the next message of the same user in this chat; `None` after `max_time` seconds.

        Without `force` it gets the message only if no handler with a higher level takes it. A message that
        `data_filter` refuses is consumed, and the wait goes on. The wait is set when `reply` starts to go out, so that
        the quickest answer finds it; `max_time` counts from when `reply` is out.

        Raises:
            WaitEventCancel: A newer wait, or another handler's answer, ended this one, or the bot is being closed.
                Left alone it ends the handler quietly.
        """
        _check_wait(max_time, data_filter, level)
        options = WaitOptions(force, max_time, level)
        return await self._bound().wait(self, reply, options, data_filter)

    async def wait_channel(  # noqa: PLR0917 - AmiyaBot's signature
        self,
        reply: bot_core.Chain | str | None = None,
        force: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        clean: bool = True,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        max_time: float = 30,
        data_filter: DataFilter | None = None,
        level: float = 0,
    ) -> bot_core.waits.ChannelAnswer | None:
        """Like `wait`, for anybody in the group.

        It stays open: later messages queue up for the next call until ``close_event()`` or `max_time` seconds after
        the latest answer. `clean` empties that queue first.

        Raises:
            WaitEventOutOfFocus: Another conversation in this group took it over.
            WaitEventCancel: It was closed, or the bot is being closed.
            BotError: This is a private chat.
        """
        _check_wait(max_time, data_filter, level)
        if self.is_direct:
            raise BotError("wait_channel listens to a whole group; in a private chat use wait")
        options = WaitOptions(force, max_time, level, clean)
        return await self._bound().wait_channel(self, reply, options, data_filter)

    def _bound(self) -> Conversation:
        if self._conversation is None:
            raise BotError("this message did not come through a running bot, so it cannot be answered")
        return self._conversation


DataFilter: TypeAlias = Callable[[Message], Awaitable[object]]
"""Says whether a message is the awaited one; a message that it refuses is consumed all the same."""


def _check_wait(max_time: float, data_filter: DataFilter | None, level: float) -> None:
    check_number("max_time", max_time)
    check_number("level", level)
    if data_filter is not None:
        check_function("data_filter", data_filter)


def _unpacked(handles: list[MessageHandle]) -> MessageHandle | list[MessageHandle] | None:
    if len(handles) > 1:
        return handles
    return handles[0] if handles else None

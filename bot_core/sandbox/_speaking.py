"""The person who chats with the bot: says things, and sends any other event."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot_core.errors import SandboxError
from bot_core.openapi.values import Scene, Target
from bot_core.sandbox._answers import encode
from bot_core.sandbox._buttons import button_event
from bot_core.sandbox._desks import Face
from bot_core.sandbox._events import C2C, GROUP_ALL, GROUP_AT, Speech, intent_of, message_event, target_of
from bot_core.sandbox._formats import sniff
from bot_core.sandbox._session import Session
from bot_core.sandbox._values import Said
from bot_core.sandbox._webhook import Webhook

__all__ = ("DEFAULT_GROUP", "DEFAULT_USER", "Speaking")

DEFAULT_USER: Final = "Ann"
DEFAULT_GROUP: Final = "friends"


class Speaking(Face):
    """Everything that goes to a bot."""

    async def say(
        self,
        text: str,
        *,
        user: str = DEFAULT_USER,
        group: str | None = None,
        private: bool = False,
        at: bool = True,
        attachments: Sequence[Mapping[str, Any]] = (),
        quote: str = "",
        full: bool = True,
        event_name: str | None = None,
        role: str = "member",
        appid: str | None = None,
        shard: int = 0,
        connect_timeout: float | None = None,
    ) -> Said:
        """Say something to a bot, in a group or in a private chat, and return at once.

        A bot that is away for a moment gets it when it resumes its session; when none is there, this waits for one.

        Args:
            text: What is said, without the mention.
            user: Who says it; any name.
            group: In which group; any name. Without it, and not `private`, a group called `friends`.
            private: In a private chat of this user and the bot.
            at: In a group: mention the bot.
            attachments: Attachment objects as the platform sends them; `attachment` makes them.
            quote: Text of a message that this one quotes.
            full: All fields that are seen in the wild; `False`: only the documented ones.
            event_name: Which event, where the platform has several for this.
            role: Of the user in the group: `member`, `admin` or `owner`.
            appid: Which bot, if several are connected.
            shard: To which of its shards; the platform uses 0.
            connect_timeout: For how many seconds to wait for a bot; by default `connect_timeout_seconds`.

        Raises:
            SandboxError: No bot connected in time, several did, or it did not ask for this
                kind of event.
            ValueError: `private` and a group, or a name that is empty.
        """
        chat = _chat(user, group, private=private)
        session = await self._session(appid, shard, connect_timeout)
        name = event_name or self._event_name(private=private, at=at)
        speech = self._speech(
            session.appid, text, chat,
            user=user, private=private, at=at, attachments=attachments, quote=quote, full=full, role=role,
        )  # fmt: skip
        data = message_event(name, speech)
        return self._dispatch(session, name, data, target=speech.target, chat=chat, user=user, text=text)

    async def press(
        self,
        data: str,
        *,
        button: str = "1",
        message_id: str = "",
        user: str = DEFAULT_USER,
        group: str | None = None,
        private: bool = False,
        appid: str | None = None,
        shard: int = 0,
    ) -> Said:
        """Press a button of a bot's message; the bot acknowledges it (`acknowledged`) and may answer its `event_id`.

        Args:
            data: What the button carries.
            button: Its id.
            message_id: Of the message that it belongs to.
            user: Who presses it.
            group: In which group; without it, and not `private`, a group called `friends`.
            private: In the private chat of this user and the bot.
            appid: Which bot, if several are connected.
            shard: To which of its shards.

        Raises:
            SandboxError: As in `say`; a bot must ask for the intent of interactions.
            ValueError: As in `say`.
        """
        chat = _chat(user, group, private=private)
        session = await self._session(appid, shard)
        desks, appid = self._desks, session.appid
        openid = desks.directory.openid(appid, "user" if private else "group", chat)
        target = Target(Scene.USER if private else Scene.GROUP, openid)
        event = button_event(
            target,
            interaction_id=desks.names.trace(),
            appid=appid,
            member=desks.directory.openid(appid, "member", f"{chat}\0{user}"),
            button=button,
            data=data,
            message_id=message_id,
            at=self.options.clock(),
        )
        return self._dispatch(session, "INTERACTION_CREATE", event, target=target, chat=chat, user=user, text=data)

    async def emit(self, event_name: str, data: object, *, appid: str | None = None, shard: int = 0) -> Said:
        """Send any event with this `d`, well-formed or not: an object as a rule, or whatever else JSON has.

        Raises:
            SandboxError: As in `say`.
            TypeError: JSON cannot say it.
        """
        session = await self._session(appid, shard)
        target = target_of(event_name, data) if isinstance(data, Mapping) else None
        known = self._desks.directory.known(target.openid) if target else None
        chat = known.name if known else target.openid if target else ""
        sent = dict(data) if isinstance(data, Mapping) else data
        return self._dispatch(session, event_name, sent, target=target, chat=chat, user="", text="")

    async def attachment(self, content: bytes, *, filename: str, content_type: str | None = None) -> dict[str, Any]:
        """Return an attachment for `say`, whose URL the bot can download from here."""
        stored = await self._desks.store.keep(content)
        return {
            "url": f"{self.api_base}/sandbox/media/{stored.name}",
            "filename": filename,
            "size": stored.size,
            "content_type": content_type or sniff(stored.head),
        }

    def group_openid(self, group: str = DEFAULT_GROUP, *, appid: str | None = None) -> str:
        """Return what a bot calls this group."""
        return self._desks.directory.openid(appid or self._only_appid(), "group", group)

    def user_openid(self, user: str = DEFAULT_USER, *, appid: str | None = None) -> str:
        """Return what a bot calls this user in private."""
        return self._desks.directory.openid(appid or self._only_appid(), "user", user)

    def member_openid(self, user: str = DEFAULT_USER, group: str = DEFAULT_GROUP, *, appid: str | None = None) -> str:
        """Return what a bot calls this user in this group."""
        return self._desks.directory.openid(appid or self._only_appid(), "member", f"{group}\0{user}")

    def _event_name(self, *, private: bool, at: bool) -> str:
        if private:
            return C2C
        return GROUP_AT if at and not self.options.full_receive else GROUP_ALL

    async def _session(self, appid: str | None, shard: int, timeout: float | None = None) -> Session | Webhook:
        webhook = self._desks.webhooks.get(appid)
        if webhook is not None:
            return webhook
        if timeout is None:
            timeout = self.options.connect_timeout_seconds
        return await self._desks.gateway.sessions.session_for(appid, shard, timeout)

    def _speech(
        self,
        appid: str,
        text: str,
        chat: str,
        *,
        user: str,
        private: bool,
        at: bool,
        attachments: Sequence[Mapping[str, Any]],
        quote: str,
        full: bool,
        role: str,
    ) -> Speech:
        openid = self._desks.directory.openid(appid, "user" if private else "group", chat)
        return Speech(
            id=self._desks.names.message(),
            reference=self._desks.names.reference(),
            target=Target(Scene.USER if private else Scene.GROUP, openid),
            speaker=openid if private else self._desks.directory.openid(appid, "member", f"{chat}\0{user}"),
            name=user,
            role=role,
            text=text,
            quote=quote,
            quoted_reference=self._desks.names.reference() if quote else "",
            at=at,
            bot_openid=self._desks.directory.openid(appid, "member", f"{chat}\0"),
            bot_name=self.options.bot_name,
            attachments=attachments,
            time=self.options.clock(),
            full=full,
        )

    def _dispatch(
        self,
        session: Session | Webhook,
        name: str,
        data: object,
        *,
        target: Target | None,
        chat: str,
        user: str,
        text: str,
    ) -> Said:
        bit = intent_of(name)
        if bit & ~session.intents:
            lacking = f"its intents {session.intents} lack 1 << {bit.bit_length() - 1}"
            raise SandboxError(f"bot {session.appid} did not ask for {name}: {lacking}")
        written = encode(data).decode()
        event_id = self._desks.names.event(name)
        message_id = data.get("id") if isinstance(data, dict) else None
        said = Said(
            id=message_id if isinstance(message_id, str) and message_id else event_id,
            event_id=event_id,
            event_name=name,
            appid=session.appid,
            target=target,
            chat=chat,
            user=user,
            text=text,
            connected=session.connected,
            at=self.options.clock(),
            monotonic=time.perf_counter(),
        )
        self._desks.messages.heard(said)
        self._desks.record.note(said)
        if not name.isidentifier():  # nobody's event, and it must not break out of its quotes
            name, event_id = encode(name).decode()[1:-1], encode(event_id).decode()[1:-1]
        session.dispatch(name, event_id, written)
        return said

    def _only_appid(self) -> str:
        desks = self._desks
        appids = {session.appid for session in desks.gateway.sessions.states()} | desks.webhooks.appids or {
            self.account.appid
        }
        if len(appids) > 1:
            raise SandboxError(f"several bots are connected ({', '.join(sorted(appids))}): name one by its appid")
        return appids.pop()


def _chat(user: str, group: str | None, *, private: bool) -> str:
    """Return the name of the chat in which something is said.

    Raises:
        ValueError: It is said nowhere, or by nobody.
    """
    if (private and group is not None) or not user or group == "":
        raise ValueError(f"say it in a group or in private, as somebody: {group=}, {private=}, {user=}")
    return user if private else group or DEFAULT_GROUP

"""The sandbox: a QQ open platform on loopback, and the person who chats with the bot."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bot_core.errors import SandboxError
from bot_core.openapi.values import Scene, Target
from bot_core.sandbox._answers import encode
from bot_core.sandbox._calls import Calls
from bot_core.sandbox._control import Control
from bot_core.sandbox._events import C2C, GROUP_ALL, GROUP_AT, Speech, intent_of, message_event, target_of
from bot_core.sandbox._faults import Faults
from bot_core.sandbox._fetch import Fetcher
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._formats import sniff
from bot_core.sandbox._gateway import Gateway
from bot_core.sandbox._ids import Directory, Names
from bot_core.sandbox._images import ImageDesk
from bot_core.sandbox._listen import check_host, listening
from bot_core.sandbox._media import MediaStore, StoredMedia
from bot_core.sandbox._messages import MessageDesk
from bot_core.sandbox._options import SandboxAccount, SandboxOptions
from bot_core.sandbox._pictures import PictureDesk
from bot_core.sandbox._record import Record
from bot_core.sandbox._routes import GATEWAY_PATH, STORAGE_PATH, TOKEN_PATH
from bot_core.sandbox._server import PlatformServer
from bot_core.sandbox._session import Session
from bot_core.sandbox._storage import Storage
from bot_core.sandbox._streams import StreamDesk
from bot_core.sandbox._tokens import TokenDesk
from bot_core.sandbox._values import Acknowledged, Arrived, Happening, Recalled, Refused, Said, UploadCall
from bot_core.sandbox._webhook import Webhook, Webhooks

__all__ = ("DEFAULT_GROUP", "DEFAULT_USER", "Sandbox")

DEFAULT_USER: Final = "Ann"
DEFAULT_GROUP: Final = "friends"


class Sandbox:
    """A QQ open platform on loopback; made by `Sandbox.open`.

    Attributes:
        api_base: What a bot takes as `QQ_API_BASE`.
        token_url: What a bot takes as `QQ_TOKEN_URL`.
        options: How it was opened.
        faults: What goes wrong next.
    """

    def __init__(self, options: SandboxOptions, store: MediaStore, fetcher: Fetcher) -> None:
        self.api_base = ""
        self.token_url = ""
        self.options = options
        self.faults = Faults()
        self._store = store
        self._names = Names()
        self._directory = Directory()
        self._record = Record(options.kept)
        self._tokens = TokenDesk(options)
        self._gateway = Gateway(options, self._names, self._tokens, self.faults, self._record)
        self._webhooks = Webhooks(options.clock)
        self._files = FileDesk(options, self._names, store, fetcher)
        self._images = ImageDesk(options, self._names)
        self._messages = MessageDesk(
            options,
            self._names,
            self._directory,
            self._record,
            files=self._files,
            pictures=PictureDesk(options, fetcher, self._images),
        )
        self._calls = Calls(
            options,
            self._directory,
            tokens=self._tokens,
            gateway=self._gateway,
            files=self._files,
            messages=self._messages,
            images=self._images,
            streams=StreamDesk(options, self._names, self._messages),
            storage=Storage(options, store, self._files.chunks, self._images),
        )
        self._server = PlatformServer(
            options,
            self._names,
            self._record,
            self.faults,
            tokens=self._tokens,
            calls=self._calls,
            control=Control(self).handle,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: SandboxOptions | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> AsyncIterator[Sandbox]:
        """Listen on `host` and `port` (0: any free port) until the block ends; then everybody is disconnected.

        Raises:
            ConfigurationError: The port is taken, or `host` is not loopback and `allow_remote` is not set.
        """
        options = options or SandboxOptions()
        check_host(host, allow_remote=options.allow_remote)
        async with (
            MediaStore.open(options.media_memory_bytes, options.media_total_bytes) as store,
            Fetcher.open(options, store) as fetcher,
        ):
            sandbox = cls(options, store, fetcher)
            async with listening(sandbox._server.handle, host, port) as base:
                sandbox._name_addresses(base)
                try:
                    yield sandbox
                finally:
                    await sandbox._webhooks.close()
                    await sandbox._gateway.close()

    @property
    def environment(self) -> dict[str, str]:
        """The two variables that point a bot here."""
        return {"QQ_API_BASE": self.api_base, "QQ_TOKEN_URL": self.token_url}

    @property
    def account(self) -> SandboxAccount:
        """An account that a bot can log in with."""
        return self.options.accounts[0] if self.options.accounts else SandboxAccount()

    # --- speaking to the bot

    async def say(
        self,
        text: str,
        *,
        user: str = DEFAULT_USER,
        group: str | None = None,
        private: bool = False,
        at: bool = True,
        attachments: Sequence[Mapping[str, Any]] = (),
        full: bool = True,
        event_name: str | None = None,
        role: str = "member",
        appid: str | None = None,
        shard: int = 0,
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
            full: All fields that are seen in the wild; `False`: only the documented ones.
            event_name: Which event, where the platform has several for this.
            role: Of the user in the group: `member`, `admin` or `owner`.
            appid: Which bot, if several are connected.
            shard: To which of its shards; the platform uses 0.

        Raises:
            SandboxError: No bot connected within `connect_timeout_seconds`, several did, or it did not ask for this
                kind of event.
            ValueError: `private` and a group, or a name that is empty.
        """
        if (private and group is not None) or not user or group == "":
            raise ValueError(f"say it in a group or in private, as somebody: {group=}, {private=}, {user=}")
        session = await self._session(appid, shard)
        chat = user if private else group or DEFAULT_GROUP
        name = event_name or self._event_name(private=private, at=at)
        speech = self._speech(
            session.appid, text, chat, user=user, private=private, at=at, attachments=attachments, full=full, role=role
        )
        data = message_event(name, speech)
        return self._dispatch(session, name, data, target=speech.target, chat=chat, user=user, text=text)

    async def emit(self, event_name: str, data: Mapping[str, Any], *, appid: str | None = None, shard: int = 0) -> Said:
        """Send any event with this `d`, well-formed or not.

        Raises:
            SandboxError: As in `say`.
        """
        session = await self._session(appid, shard)
        target = target_of(event_name, data)
        known = self._directory.known(target.openid) if target else None
        chat = known.name if known else target.openid if target else ""
        return self._dispatch(session, event_name, dict(data), target=target, chat=chat, user="", text="")

    async def attachment(self, content: bytes, *, filename: str, content_type: str | None = None) -> dict[str, Any]:
        """Return an attachment for `say`, whose URL the bot can download from here."""
        stored = await self._store.keep(content)
        return {
            "url": f"{self.api_base}/sandbox/media/{stored.name}",
            "filename": filename,
            "size": stored.size,
            "content_type": content_type or sniff(stored.head),
        }

    def group_openid(self, group: str = DEFAULT_GROUP, *, appid: str | None = None) -> str:
        """Return what a bot calls this group."""
        return self._directory.openid(appid or self._only_appid(), "group", group)

    def user_openid(self, user: str = DEFAULT_USER, *, appid: str | None = None) -> str:
        """Return what a bot calls this user in private."""
        return self._directory.openid(appid or self._only_appid(), "user", user)

    def member_openid(self, user: str = DEFAULT_USER, group: str = DEFAULT_GROUP, *, appid: str | None = None) -> str:
        """Return what a bot calls this user in this group."""
        return self._directory.openid(appid or self._only_appid(), "member", f"{group}\0{user}")

    # --- what came back

    @property
    def arrived(self) -> Sequence[Arrived]:
        """What bots sent, oldest first; the last `kept` of it."""
        return self._record.arrived

    @property
    def refused(self) -> Sequence[Refused]:
        """Calls that were refused, oldest first."""
        return self._record.refused

    @property
    def upload_calls(self) -> Sequence[UploadCall]:
        """Every request of uploads, those to presigned addresses included, with its headers; oldest first."""
        return self._record.upload_calls

    @property
    def recalled(self) -> Sequence[Recalled]:
        """Messages that bots took back, oldest first."""
        return self._record.recalled

    @property
    def acknowledged(self) -> Sequence[Acknowledged]:
        """Pressed buttons that were acknowledged, oldest first."""
        return self._record.acknowledged

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came, refused ones included."""
        return self._record.calls

    async def replies(self, said: Said, count: int = 1, timeout: float = 10) -> list[Arrived]:
        """Wait until `count` answers to what was said are there; return all that are.

        Raises:
            TimeoutError: They were not there in time; the text tells what was, and what was refused.
            SandboxError: It was said so long ago that its answers are not remembered.
        """
        incoming = self._messages.answers_to(said)
        if incoming is None:
            raise SandboxError(f"{said.text!r} is not remembered any more; raise `remembered_messages`")
        if len(incoming.answers) >= count:
            return list(incoming.answers)
        try:
            async with asyncio.timeout(timeout):
                while len(incoming.answers) < count:
                    await incoming.answered.wait()
        except TimeoutError:
            raise TimeoutError(self._what_is_missing(said, incoming.answers, count, timeout)) from None
        return list(incoming.answers)

    async def next_arrival(self, timeout: float = 10) -> Arrived:
        """Return the first message of any bot that this method has not returned before; wait for it if needed.

        Raises:
            TimeoutError: Nothing came.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._record.next_arrival()
        except TimeoutError:
            raise TimeoutError(f"no bot sent anything within {timeout:g} s{self._last_refusals(None)}") from None

    async def arrived_since(self, number: int, timeout: float = 0) -> Sequence[Arrived]:
        """Return what arrived after the arrival with this number, at the latest after `timeout` seconds."""
        return await self._record.wait_since(number, timeout)

    def subscribe(self, listener: Callable[[Happening], None]) -> Callable[[], None]:
        """Call `listener` with everything that happens, until the returned function is called.

        It runs in the event loop, between two messages: it must be quick and must not raise.
        """
        return self._record.subscribe(listener)

    def media(self, name: str) -> StoredMedia | None:
        """Return a medium by the name that its address has, if it is still kept."""
        return self._store.get(name)

    # --- the connection

    async def connected(self, timeout: float = 10, *, appid: str | None = None, shard: int = 0) -> str:
        """Wait until a bot is connected and ready; return its appid.

        Raises:
            SandboxError: None was in time.
        """
        return (await self._gateway.connected(appid, shard, timeout)).appid

    def bots(self) -> list[dict[str, Any]]:
        """Return the bots that are known: appid, shard, session, whether connected."""
        return [
            {
                "appid": session.appid,
                "shard": list(session.shard),
                "session_id": session.id,
                "seq": session.seq,
                "connected": session.connected,
            }
            for session in self._gateway.states()
        ]

    def close_connections(self, code: int, *, appid: str | None = None) -> int:
        """Close the connections of a bot, or of all, with this code; return how many. Sessions stay resumable."""
        sockets = self._gateway.sockets(appid)
        for socket in sockets:
            socket.close(code, "asked for")
        return len(sockets)

    def drop_connections(self, *, appid: str | None = None) -> int:
        """Cut the connections of a bot, or of all, as a dead network does; return how many."""
        sockets = self._gateway.sockets(appid)
        for socket in sockets:
            socket.drop()
        return len(sockets)

    def hang_connections(self, *, appid: str | None = None) -> int:
        """Let the connections of a bot, or of all, stay open and carry nothing any more; return how many."""
        sockets = self._gateway.sockets(appid)
        for socket in sockets:
            socket.hang()
        return len(sockets)

    def send_frame(self, text: str, *, appid: str | None = None) -> int:
        """Send any text as a frame, well-formed or not; return to how many connections."""
        sockets = self._gateway.sockets(appid)
        for socket in sockets:
            socket.send(text)
        return len(sockets)

    def kill_sessions(self, *, appid: str | None = None) -> int:
        """Let sessions deliver nothing any more, though they can still be resumed; return how many."""
        return self._gateway.kill_sessions(appid)

    def ask_to_reconnect(self, *, appid: str | None = None) -> int:
        """Send op 7; return to how many connections."""
        return self._gateway.ask_to_reconnect(appid)

    def invalidate_sessions(self, *, resumable: bool = False, appid: str | None = None) -> int:
        """Send op 9; return to how many connections. Without `resumable` their sessions end."""
        return self._gateway.invalidate(appid, resumable=resumable)

    def end_sessions(self, *, appid: str | None = None) -> int:
        """Forget sessions without a word, so that the next resume is refused; return how many."""
        return self._gateway.end_sessions(appid)

    def revoke_tokens(self, *, appid: str | None = None) -> int:
        """Let all access tokens of a bot, or of all, expire now; return how many."""
        return self._tokens.revoke(appid)

    def expire_files(self) -> None:
        """Let every `file_info` expire now."""
        self._files.forget_all()

    async def use_webhook(
        self,
        url: str,
        secret: str,
        *,
        appid: str | None = None,
        both: bool = False,
        retries: int = 3,
        timeout: float = 5.0,
        pause: float = 1.0,
        ca_file: str | None = None,
    ) -> Webhook:
        """Validate a bot's address as the console does, and send its events there from now on.

        Args:
            url: The address.
            secret: The bot's secret.
            appid: Which bot; else the account of this sandbox.
            both: Send every event by the gateway as well; the bot must be connected there.
            retries: How often an event is sent again after another answer than 200, ``"d":1``, or none in time.
            timeout: Seconds that an answer may take.
            pause: Seconds before it is sent again.
            ca_file: Certificates to trust besides, as PEM; the real platform takes public ones only.

        Raises:
            SandboxError: The address does not answer, or proves another secret; or no bot is connected for `both`.
        """
        appid = appid or self.account.appid
        wait = self.options.connect_timeout_seconds
        session = await self._gateway.session_for(appid, 0, wait) if both else None
        webhook = await self._webhooks.use(
            appid, url, secret, retries=retries, timeout_seconds=timeout, pause_seconds=pause, ca_file=ca_file
        )
        webhook.gateway = session
        return webhook

    # --- inside

    def _name_addresses(self, base: str) -> None:
        self.api_base = base
        self.token_url = base + TOKEN_PATH
        self._files.chunks.storage_url = self._images.storage_url = base + STORAGE_PATH
        self._calls.gateway_url = f"ws{base.removeprefix('http')}{GATEWAY_PATH}"

    def _event_name(self, *, private: bool, at: bool) -> str:
        if private:
            return C2C
        return GROUP_AT if at and not self.options.full_receive else GROUP_ALL

    async def _session(self, appid: str | None, shard: int) -> Session | Webhook:
        webhook = self._webhooks.get(appid)
        if webhook is not None:
            return webhook
        return await self._gateway.session_for(appid, shard, self.options.connect_timeout_seconds)

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
        full: bool,
        role: str,
    ) -> Speech:
        openid = self._directory.openid(appid, "user" if private else "group", chat)
        return Speech(
            id=self._names.message(),
            reference=self._names.reference(),
            target=Target(Scene.USER if private else Scene.GROUP, openid),
            speaker=openid if private else self._directory.openid(appid, "member", f"{chat}\0{user}"),
            name=user,
            role=role,
            text=text,
            at=at,
            bot_openid=self._directory.openid(appid, "member", f"{chat}\0"),
            bot_name=self.options.bot_name,
            attachments=attachments,
            time=self.options.clock(),
            full=full,
        )

    def _dispatch(
        self,
        session: Session | Webhook,
        name: str,
        data: dict[str, Any],
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
        event_id = self._names.event(name)
        message_id = data.get("id")
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
        self._messages.heard(said)
        self._record.note(said)
        session.dispatch(name, event_id, encode(data).decode())
        return said

    def _only_appid(self) -> str:
        appids = {session.appid for session in self._gateway.states()} | self._webhooks.appids or {self.account.appid}
        if len(appids) > 1:
            raise SandboxError(f"several bots are connected ({', '.join(sorted(appids))}): name one by its appid")
        return appids.pop()

    def _what_is_missing(self, said: Said, answers: Sequence[Arrived], count: int, timeout: float) -> str:
        came = ", ".join(repr(answer.content or "a medium") for answer in answers) or "none"
        away = "" if any(bot["connected"] for bot in self.bots()) else "; the bot is not connected"
        return (
            f"{len(answers)} of {count} answers to {said.text!r} within {timeout:g} s ({came}){away}"
            f"{self._last_refusals(said.appid)}"
        )

    def _last_refusals(self, appid: str | None) -> str:
        entries = [entry for entry in self.refused if appid in (None, entry.appid) or not entry.appid][-3:]
        refusals = "; ".join(f"{entry.kind} {entry.status} {entry.code} {entry.message}" for entry in entries)
        return f"; refused: {refusals}" if refusals else ""

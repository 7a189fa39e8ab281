"""One socket loop around a session: connect, read, beat, and connect again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import aiohttp

from bot_core.errors import AuthenticationError, OpenAPIError
from bot_core.gateway.actions import Action, AskTurn, Deliver, Dispatch, Online, Reconnect, Send, Stop
from bot_core.gateway.discovery import Discovery
from bot_core.gateway.kept import SessionKeeper
from bot_core.gateway.pacing import IdentifyGate
from bot_core.gateway.progress import Progress
from bot_core.gateway.session import GatewaySession, Phase
from bot_core.openapi.answers import in_words
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.token import AccessTokenSource
from bot_core.slots import Delivery, current_delivery
from bot_core.status import ShardStatus

__all__ = ("DeliverCallback", "OnReady", "Shard", "is_fatal")

DeliverCallback: TypeAlias = Callable[[Dispatch], Awaitable[None]]
"""Takes an event. It returns soon; while it does not, nothing more is read, and heartbeats go on."""

OnReady: TypeAlias = Callable[[Dispatch], Awaitable[None]]
"""Is told READY and RESUMED, before they are delivered."""

_CONNECT_SECONDS: Final = 30.0

# Each identify gets a new token (PLATFORM 4.6, rule 5); those of one window may share it.
_NEW_TOKEN_SECONDS: Final = 4.0

# A close of ours that keeps the session: 1000 and 1001 mean "I am done" to gateways of this kind.
_CLOSE_CODE: Final = 4000

# For the other side's close frame. A hung socket sends none; what it held is replayed after Resume.
_CLOSE_SECONDS: Final = 0.5

# A heartbeat that cannot even be written is no reason to wait: whether the socket is dead is the session's to judge.
_WRITE_SECONDS: Final = 10.0

# The largest event seen is some KiB. A frame above aiohttp's 4 MiB would be replayed, and refused, for ever.
_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024

_NO_CLOSE_CODE: Final = 1005

# A tuple: a set would hash an enum's member, in Python, for each frame.
_DATA: Final = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

logger = logging.getLogger("bot_core.gateway")


class Shard:
    """Keeps one session connected.

    Args:
        http: Shared session; not closed here.
        session: The protocol.
        tokens: Where the access token comes from.
        discovery: Where the WebSocket is.
        gate: When it may identify.
        keeper: Remembers the session for the next process.
        clock: Monotonic seconds; the same for the session and for waiting.
        connect_timeout: Seconds that opening the socket may take.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        session: GatewaySession,
        *,
        tokens: AccessTokenSource,
        discovery: Discovery,
        gate: IdentifyGate,
        keeper: SessionKeeper | None = None,
        clock: Callable[[], float] = time.monotonic,
        connect_timeout: float = _CONNECT_SECONDS,
    ) -> None:
        index, count = session.shard
        self.name = session.name = f"shard {index}/{count} of {tokens.appid}"
        self.session = session
        self._http = http
        self._tokens = tokens
        self._discovery = discovery
        self._gate = gate
        self._keeper = keeper
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._token = ""
        self._blocked = False
        self._at_gate = False
        self._catching_up = False  # with what came while no process of this bot ran, or one died
        self._my_turn = asyncio.Event()
        self._progress = Progress()
        self._wanted = session.intents  # before any of them is refused
        self._keeps = False
        self._went_live = False  # on the present socket
        self._connected_at: float | None = None
        self._went_down = ""
        self._identifies = self._resumes = 0
        self._replanned = asyncio.Event()
        self._planned = math.inf

    async def restore(self) -> None:
        """Take up the session of the last process, where one was kept, and keep what comes.

        Another copy of this bot that runs has that session: then this one has its own, and keeps none as long as the
        other runs.
        """
        session = self.session
        if self._keeper is None or not await self._keeper.claim(session.shard):
            return
        kept = await self._keeper.load(session.shard, intents=self._wanted)
        if kept is not None:
            session.take_up(kept.session_id, kept.seq, kept.quiet_restarts)
            self._catching_up = True
        self._keep(self._keeper, kept.seq if kept is not None else 0)

    async def _take_over(self) -> None:
        """Keep the session from the next connection on, if the copy of this bot that kept its own has ended."""
        if self._keeper is not None and not self._keeps and await self._keeper.claim(self.session.shard):
            self._keep(self._keeper, self.session.seq or 0)

    def _keep(self, keeper: SessionKeeper, seq: int) -> None:
        session = self.session
        self._keeps = True
        self._progress = Progress(seq)

        def state() -> tuple[str, int, int, int] | None:
            if session.session_id is None:
                return None
            return session.session_id, self._progress.seq, self._wanted, session.quiet_restarts

        keeper.watch(session.shard, state)

    def status(self) -> ShardStatus:
        """Return how it is doing."""
        session, index, count = self.session, *self.session.shard
        return ShardStatus(
            index=index,
            count=count,
            state=session.phase.value,
            connected_since=self._wall(self._connected_at if session.phase is Phase.LIVE else None),
            last_event=self._wall(session.last_event_at),
            heartbeat_seconds=session.round_trip,
            identifies=self._identifies,
            resumes=self._resumes,
            went_down=self._went_down,
        )

    def _wall(self, moment: float | None) -> datetime | None:
        return None if moment is None else datetime.now(UTC) - timedelta(seconds=self._clock() - moment)

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Hand out events until it is cancelled, which leaves the session resumable; faults that pass are survived.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
        """
        while True:
            ending = await self._connect_in_turn(deliver, on_ready)
            self._note_changed()
            if isinstance(ending, Stop):
                self._went_down = str(ending.error)
                raise ending.error
            self._went_down = ending.reason
            if ending.fresh_token:
                self._tokens.invalidate(self._token)
            what = "resuming" if ending.resume else "starting a new session"
            logger.warning("%s: %s; %s in %.1f s", self.name, ending.reason, what, ending.delay)
            await asyncio.sleep(ending.delay)
            await self._take_over()

    async def _connect_in_turn(self, deliver: DeliverCallback, on_ready: OnReady | None) -> Reconnect | Stop:
        if self.session.session_id is None:
            await self._gate.enter()
            self._at_gate = True
        try:
            return await self._connect(deliver, on_ready)
        finally:
            self._leave_gate()

    def _leave_gate(self) -> None:
        if self._at_gate:
            self._at_gate = False
            self._gate.leave()

    async def _connect(self, deliver: DeliverCallback, on_ready: OnReady | None) -> Reconnect | Stop:
        """Live through one socket, or the vain attempt to open one."""
        if self.session.session_id is None:
            self._tokens.doubt(older_than=_NEW_TOKEN_SECONDS)
        try:
            self._token = await self._tokens.get()
            url = (await self._discovery.get()).url
        except OpenAPIError as error:
            if is_fatal(error):
                return Stop(error)
            return self._unreachable(str(error))
        try:
            async with asyncio.timeout(self._connect_timeout):
                socket = await self._http.ws_connect(
                    url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    autoping=False,  # aiohttp's answer to a ping raises where the socket has just been cut
                    max_msg_size=_MAX_FRAME_BYTES,
                )
        except TimeoutError:
            return self._not_open(f"{url} did not open a WebSocket within {self._connect_timeout:g} s")
        except aiohttp.WSServerHandshakeError as error:
            return self._not_open(f"{url} answered HTTP {error.status} instead of opening a WebSocket")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._not_open(f"{url} cannot be reached: {in_words(error) or type(error).__name__}")
        try:
            return await self._live(socket, deliver, on_ready)
        finally:
            await _leave(socket)

    def _failed(self, error: Exception) -> Reconnect | Stop:
        session, now = self.session, self._clock()
        ending = _ending(session.closed(None, now)) or _ending(session.unreachable("the connection failed", now))
        if ending is None:  # it had been told to stop
            raise error
        return ending

    def _not_open(self, reason: str) -> Reconnect | Stop:
        self._discovery.failed()
        return self._unreachable(reason)

    def _unreachable(self, reason: str) -> Reconnect | Stop:
        ending = _ending(self.session.unreachable(reason, self._clock()))
        assert ending is not None  # noqa: S101 - a session that is not stopped says when to try again
        return ending

    async def _live(
        self, socket: aiohttp.ClientWebSocketResponse, deliver: DeliverCallback, on_ready: OnReady | None
    ) -> Reconnect | Stop:
        self.session.opened(self._token, self._clock())
        self._my_turn.clear()
        self._went_live = False
        try:
            return await self._attend(socket, deliver, on_ready)
        except Exception as error:  # what nobody thought of must not be the end of the bot
            logger.exception("%s: the connection failed for a reason that nobody expected", self.name)
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # a task group tells of the error alone
                raise asyncio.CancelledError from error
            return self._failed(error)

    async def _attend(
        self, socket: aiohttp.ClientWebSocketResponse, deliver: DeliverCallback, on_ready: OnReady | None
    ) -> Reconnect | Stop:
        async with asyncio.TaskGroup() as tasks:
            works = (
                tasks.create_task(self._read(socket, deliver, on_ready), name=f"{self.name}: reader"),
                tasks.create_task(self._beat(socket), name=f"{self.name}: heartbeat"),
                tasks.create_task(self._identify(socket), name=f"{self.name}: identify"),
            )
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in works:
                work.cancel()
        if not self._went_live and works[-1] not in done:
            self._discovery.failed()  # the address is bad, or others have used up the starts of the day
        return next(work for work in works if work in done).result()

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, deliver: DeliverCallback, on_ready: OnReady | None
    ) -> Reconnect | Stop:
        session, clock = self.session, self._clock
        hand_out = self._hand_out_and_watch if self._keeps else self._hand_out
        while True:
            message = await socket.receive()
            if message.type in _DATA:
                actions = session.received(message.data, clock())
            else:
                actions = await self._controlled(socket, message)
            for action in actions:
                match action:
                    case Deliver(dispatch):
                        await hand_out(deliver, dispatch)
                    case Online():
                        await self._announce(action, on_ready)
                    case Send():
                        await _write(socket.send_str(action.text))
                    case AskTurn():
                        self._my_turn.set()
                    case Reconnect() | Stop():
                        return action
            if session.deadline < self._planned:
                self._replanned.set()

    async def _controlled(
        self, socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage
    ) -> Sequence[Action]:
        match message.type:
            case aiohttp.WSMsgType.PING:
                await _write(socket.pong(message.data))
                return ()
            case aiohttp.WSMsgType.PONG:
                return ()
            case aiohttp.WSMsgType.CLOSE:
                return self.session.closed(message.data or _NO_CLOSE_CODE, self._clock(), message.extra or "")
            case _:
                return self.session.closed(None, self._clock())

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> Reconnect | Stop:
        while True:
            self._planned = self.session.deadline
            self._replanned.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._planned - self._clock())):
                    await self._replanned.wait()
            actions = self.session.tick(self._clock(), blocked=self._blocked)
            if ending := _ending(actions):
                return ending
            for action in actions:
                if isinstance(action, Send):
                    await _write(socket.send_str(action.text))
            self._note_changed()  # a quiet session is alive too, and worth resuming

    async def _identify(self, socket: aiohttp.ClientWebSocketResponse) -> Reconnect | Stop:
        """Identify when the session asks for it and its turn has come; a resume never comes here."""
        await self._my_turn.wait()
        wait = await self._gate.turn()
        if wait > 0:
            ending = _ending(self.session.postponed(wait))
            if ending:
                return ending
        for action in self.session.granted(self._clock()):
            if isinstance(action, Send):
                self._identifies += 1
                await _write(socket.send_str(action.text))
        self._leave_gate()
        self._replanned.set()
        await asyncio.Event().wait()  # nothing more to do: reader and heartbeat decide when the socket ends
        raise AssertionError("an event that nobody sets was set")

    async def _announce(self, online: Online, on_ready: OnReady | None) -> None:
        self._connected_at = self._clock()
        self._went_live = True
        self._catching_up = False
        if online.resumed:
            self._resumes += 1
            logger.info("%s: resumed, what was missed has arrived", self.name)
        else:
            self._progress = Progress(online.dispatch.seq or 0)
            logger.info("%s: connected, a new session has begun", self.name)
        self._note_changed()
        if on_ready is not None:
            await self._hand_out(on_ready, online.dispatch)

    async def _hand_out(self, receive: DeliverCallback, dispatch: Dispatch) -> None:
        self._blocked = True
        try:
            await receive(dispatch)
        except Exception:  # one event that nobody can read must not end the connection for all that follow
            logger.exception("%s: event %s %s could not be handled", self.name, dispatch.type, dispatch.id)
        finally:
            self._blocked = False

    async def _hand_out_and_watch(self, receive: DeliverCallback, dispatch: Dispatch) -> None:
        """Hand an event out, and learn when its handlers have finished; at once where nobody takes it up."""
        progress, seq = self._progress, dispatch.seq
        if seq is None or not progress.begin(seq):
            await self._hand_out(receive, dispatch)
            return

        def finished() -> None:
            progress.finish(seq)
            self._note_changed()

        delivery = Delivery(finished, again=self._catching_up)
        token = current_delivery.set(delivery)
        try:
            await self._hand_out(receive, dispatch)
        finally:
            current_delivery.reset(token)
        if not delivery.taken:
            finished()

    def _note_changed(self) -> None:
        if self._keeper is not None and self._keeps:
            self._keeper.changed(self.session.shard)


def is_fatal(error: OpenAPIError) -> bool:
    """Return whether the platform refuses appid and secret for good."""
    return isinstance(error, AuthenticationError) and kind_of(error) is CodeKind.AUTH


def _ending(actions: Sequence[Action]) -> Reconnect | Stop | None:
    return next((action for action in actions if isinstance(action, (Reconnect, Stop))), None)


async def _write(frame: Awaitable[None]) -> None:
    """Write a frame. A socket that does not take it has ended: the reader learns it, or the session judges it dead."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(_WRITE_SECONDS):
            await frame


async def _leave(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Close the socket so that its session can be resumed, and do not wait for a peer that no longer answers."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * _CLOSE_SECONDS):
            await socket.close(code=_CLOSE_CODE)

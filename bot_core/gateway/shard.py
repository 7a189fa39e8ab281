"""One socket loop around a session: connect, read, beat, and connect again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final, TypeAlias

import aiohttp

from bot_core.errors import AuthenticationError, OpenAPIError
from bot_core.gateway.actions import Action, Deliver, Dispatch, Online, Reconnect, Send, Stop
from bot_core.gateway.address import GatewayAddress
from bot_core.gateway.session import GatewaySession
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.token import AccessTokenSource

__all__ = ("DeliverCallback", "OnReady", "Shard")

DeliverCallback: TypeAlias = Callable[[Dispatch], Awaitable[None]]
"""Takes an event. It returns soon; while it does not, nothing more is read, and heartbeats go on."""

OnReady: TypeAlias = Callable[[Dispatch], Awaitable[None]]
"""Is told READY and RESUMED, before they are delivered."""

_CONNECT_SECONDS: Final = 30.0

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
        address: Where the WebSocket is.
        clock: Monotonic seconds; the same for the session and for waiting.
        connect_timeout: Seconds that opening the socket may take.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        session: GatewaySession,
        *,
        tokens: AccessTokenSource,
        address: GatewayAddress,
        clock: Callable[[], float] = time.monotonic,
        connect_timeout: float = _CONNECT_SECONDS,
    ) -> None:
        index, count = session.shard
        self.name = f"shard {index}/{count} of {tokens.appid}"
        self.session = session
        self._http = http
        self._tokens = tokens
        self._address = address
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._token = ""
        self._blocked = False
        self._stopping = asyncio.Event()
        self._replanned = asyncio.Event()
        self._planned = math.inf

    def stop(self) -> None:
        """Make `run` return soon, leaving the session resumable; may be called at any time, and again."""
        self._stopping.set()

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Hand out events until `stop`; faults that pass are survived.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            GatewayError: The platform ended the connection for a reason that does not pass.
        """
        await self._until_stopped(self._keep_connected(deliver, on_ready), name=self.name)

    async def _keep_connected(self, deliver: DeliverCallback, on_ready: OnReady | None) -> None:
        while True:
            ending = await self._connect(deliver, on_ready)
            if isinstance(ending, Stop):
                raise ending.error
            if ending.fresh_token:
                self._tokens.invalidate(self._token)
            what = "resuming" if ending.resume else "starting a new session"
            logger.warning("%s: %s; %s in %.1f s", self.name, ending.reason, what, ending.delay)
            await asyncio.sleep(ending.delay)

    async def _connect(self, deliver: DeliverCallback, on_ready: OnReady | None) -> Reconnect | Stop:
        """Live through one socket, or the vain attempt to open one."""
        try:
            self._token = await self._tokens.get()
            url = await self._address.get()
        except OpenAPIError as error:
            if isinstance(error, AuthenticationError) and kind_of(error) is CodeKind.AUTH:
                return Stop(error)
            return self._unreachable(str(error))
        try:
            async with asyncio.timeout(self._connect_timeout):
                socket = await self._http.ws_connect(
                    url, timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS), max_msg_size=_MAX_FRAME_BYTES
                )
        except TimeoutError:
            return self._not_open(f"{url} did not open a WebSocket within {self._connect_timeout:g} s")
        except aiohttp.WSServerHandshakeError as error:
            return self._not_open(f"{url} answered HTTP {error.status} instead of opening a WebSocket")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._not_open(f"{url} cannot be reached: {' '.join(str(error).split()) or type(error).__name__}")
        try:
            return await self._live(socket, deliver, on_ready)
        finally:
            await _leave(socket)

    def _not_open(self, reason: str) -> Reconnect | Stop:
        self._address.failed()
        return self._unreachable(reason)

    def _unreachable(self, reason: str) -> Reconnect | Stop:
        ending = _ending(self.session.unreachable(reason, self._clock()))
        assert ending is not None  # noqa: S101 - a session that is not stopped says when to try again
        return ending

    async def _live(
        self, socket: aiohttp.ClientWebSocketResponse, deliver: DeliverCallback, on_ready: OnReady | None
    ) -> Reconnect | Stop:
        self.session.opened(self._token, self._clock())
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(socket, deliver, on_ready), name=f"{self.name}: reader")
            beat = tasks.create_task(self._beat(socket), name=f"{self.name}: heartbeat")
            done, _ = await asyncio.wait((reader, beat), return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            beat.cancel()
        return (reader if reader in done else beat).result()

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, deliver: DeliverCallback, on_ready: OnReady | None
    ) -> Reconnect | Stop:
        session, clock = self.session, self._clock
        while True:
            message = await socket.receive()
            if message.type in _DATA:
                actions = session.received(message.data, clock())
            else:
                code = (message.data or _NO_CLOSE_CODE) if message.type == aiohttp.WSMsgType.CLOSE else None
                actions = session.closed(code, clock())
            for action in actions:
                match action:
                    case Deliver(dispatch):
                        await self._hand_out(deliver, dispatch)
                    case Online():
                        await self._announce(action, on_ready)
                    case Send():
                        await _write(socket, action.text)
                    case Reconnect() | Stop():
                        return action
            if session.deadline < self._planned:
                self._replanned.set()

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
                    await _write(socket, action.text)

    async def _announce(self, online: Online, on_ready: OnReady | None) -> None:
        if online.resumed:
            logger.info("%s: resumed, what was missed has arrived", self.name)
        else:
            logger.info("%s: connected, a new session has begun", self.name)
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

    async def _until_stopped(self, work: Coroutine[None, None, None], *, name: str) -> None:
        """Run `work` until it ends or `stop` is called."""
        worker = asyncio.create_task(work, name=name)  # awaited, or cancelled and awaited, right here
        stopping = asyncio.create_task(self._stopping.wait(), name=f"{name}: stop")
        try:
            await asyncio.wait((worker, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not worker.done():
                worker.cancel()
            await asyncio.wait((worker, stopping))
        if not worker.cancelled():
            worker.result()


def _ending(actions: Sequence[Action]) -> Reconnect | Stop | None:
    return next((action for action in actions if isinstance(action, (Reconnect, Stop))), None)


async def _write(socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
    """Write a frame. A socket that does not take it has ended: the reader learns it, or the session judges it dead."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(_WRITE_SECONDS):
            await socket.send_str(text)


async def _leave(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Close the socket so that its session can be resumed, and do not wait for a peer that no longer answers."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * _CLOSE_SECONDS):
            await socket.close(code=_CLOSE_CODE)

"""One session of the gateway: its sequence, what can be replayed, and its socket while it has one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

from aiohttp import WSCloseCode, web

from bot_core.sandbox._faults import Fault, FaultMode, Faults

__all__ = ("Session", "Socket")

# A bot that reads so little that this many frames wait for it is not coming back.
_MOST_WAITING: Final = 50_000

_EXPIRED: Final = 4009

_NO_CODE: Final = 1005
_BARE_CLOSE: Final = b"\x88\0"

# A close frame has room for 125 bytes, two of which are the code.
_MOST_REASON_BYTES: Final = 123


class _Void(asyncio.Protocol):
    """Takes the place of a connection's protocol and swallows what comes: even a ping is not answered any more.

    The connection is still read, so that it ends when the bot ends it: nothing is left of it after that.
    """

    def __init__(self, before: asyncio.Protocol) -> None:
        self._before = before

    def connection_lost(self, error: Exception | None) -> None:
        self._before.connection_lost(error)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()


class Socket:
    """One WebSocket connection. Frames are queued, so that a bot that does not read holds up nobody."""

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.session: Session | None = None
        self.appid = ""
        self.why = "the bot ended it"
        self._ws = ws
        self._transport = transport
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()
        self._close_code: int | None = None
        self._close_reason = b""
        self._dropped = False
        self._hung = False

    @property
    def closing(self) -> bool:
        """Whether this side closes the connection."""
        return self._close_code is not None

    @property
    def live(self) -> bool:
        """Whether what is sent now can still get out."""
        return self._close_code is None and not self._dropped

    @property
    def hung(self) -> bool:
        """Whether it is open and carries nothing any more."""
        return self._hung

    def send(self, frame: str) -> None:
        """Queue a frame."""
        if self._hung:
            return
        self._waiting.append(frame)
        if len(self._waiting) > _MOST_WAITING:
            self.drop("it did not read")
        self._wake.set()

    def close(self, code: int, why: str) -> None:
        """Close with a code, once what is queued has been sent; the first call counts. What hangs stays as it is.

        1005 is a close frame without a code, and 1006 none at all: a cut.
        """
        if self._hung or self._close_code is not None:
            return
        if code == WSCloseCode.ABNORMAL_CLOSURE:
            self.drop()
        else:
            self._close_code = code
            self._close_reason = why.encode()[:_MOST_REASON_BYTES].decode(errors="ignore").encode()
            self.why = f"{code} {why}"
            self._wake.set()

    def hang(self) -> None:
        """Read and write nothing any more, and leave the connection open, as a path that died in the middle does.

        The bot sees no FIN and no reset of it, however long it waits.
        """
        if self._hung:
            return
        self._hung = True
        self._waiting.clear()
        if self._transport is not None:
            before = self._transport.get_protocol()
            if isinstance(before, asyncio.Protocol):
                self._transport.set_protocol(_Void(before))

    def drop(self, why: str = "cut") -> None:
        """Cut the connection without a goodbye."""
        self.why = why
        self._dropped = True
        self._waiting.clear()
        if self._transport is not None:
            self._transport.abort()

    async def write(self) -> None:
        """Send what is queued, until the connection is closed. The task of the connection runs this."""
        with contextlib.suppress(ConnectionError):
            while True:
                while self._waiting:
                    await self._ws.send_str(self._waiting.popleft())
                if self._close_code == _NO_CODE:
                    if self._transport is not None:
                        self._transport.write(_BARE_CLOSE)  # the bot's answer to it ends the connection
                    return
                if self._close_code is not None:
                    await self._ws.close(code=self._close_code, message=self._close_reason)
                    return
                self._wake.clear()
                await self._wake.wait()


class Session:
    """What the platform knows about one shard of a bot, across its connections."""

    def __init__(
        self, session_id: str, appid: str, shard: tuple[int, int], intents: int, *, replay: int, faults: Faults
    ) -> None:
        self.id = session_id
        self.appid = appid
        self.shard = shard
        self.intents = intents
        self.seq = 0
        self.socket: Socket | None = None
        self.gone_at = 0.0
        self.dead = False  # it can be resumed, and nothing comes of it
        self._faults = faults
        self._late: list[str] = []
        self._kept: deque[tuple[int, str]] = deque(maxlen=replay)

    @property
    def connected(self) -> bool:
        """Whether the bot hears what is sent now."""
        return self.socket is not None and self.socket.live

    def attach(self, socket: Socket) -> None:
        """Let this connection have the session; an older one is closed, and an older session of this one is over."""
        if self.socket not in (None, socket):
            self.socket.close(_EXPIRED, "the session was resumed elsewhere")
            self.socket.session = None
        if socket.session not in (None, self):
            socket.session.socket = None
        self.socket = socket
        socket.session = self

    def detach(self, now: float) -> None:
        """Note that the connection is gone."""
        self.socket = None
        self.gone_at = now

    def dispatch(self, event_name: str, event_id: str, data: str, *, keep: bool = True) -> bool:
        """Send an event (`data` is its `d` as JSON), or keep it for a resume; return whether it went out now."""
        if keep and self.dead:
            return False
        self.seq += 1
        head = f'{{"op":0,"s":{self.seq},"t":"{event_name}"'
        frame = f'{head},"id":"{event_id}","d":{data}}}' if event_id else f'{head},"d":{data}}}'
        if keep:
            self._kept.append((self.seq, frame))
        if self.socket is None:
            return False
        if self._faults or self._late:
            self._transmit(self.socket, frame, self._faults.take("event") if keep else None)
        else:
            self.socket.send(frame)
        return True

    def replay(self, seq: int) -> int:
        """Send again what came after `seq`; return how many events that were."""
        if self.socket is None:
            return 0
        self._late.clear()  # it is among them
        missed = [frame for number, frame in self._kept if number > seq]
        for frame in missed:
            self._transmit(self.socket, frame, self._faults.take("event"))
        return len(missed)

    def _transmit(self, socket: Socket, frame: str, fault: Fault | None) -> None:
        """Send an event; what was held back comes after it."""
        if fault is not None and fault.mode is FaultMode.LATE:
            self._late.append(frame)
            return
        socket.send(frame)
        if fault is not None and fault.mode is FaultMode.REPEAT:
            socket.send(frame)
        while self._late:
            socket.send(self._late.pop(0))

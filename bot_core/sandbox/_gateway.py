"""The WebSocket gateway: Hello, Identify, Resume, heartbeats, and who gets an event (PLATFORM 4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from typing import Any, Final

from aiohttp import WSMsgType, web

from bot_core.openapi.values import Opcode
from bot_core.sandbox._answers import RefusedCallError, encode
from bot_core.sandbox._faults import Fault, FaultMode, Faults
from bot_core.sandbox._ids import Names
from bot_core.sandbox._options import KNOWN_INTENTS, SandboxOptions
from bot_core.sandbox._record import Record
from bot_core.sandbox._session import Session, Socket
from bot_core.sandbox._sessions import Sessions
from bot_core.sandbox._tokens import TokenDesk
from bot_core.sandbox._values import Connection

__all__ = ("Gateway",)

_ACK: Final = '{"op":11}'
_RECONNECT: Final = '{"op":7}'

_BAD_OPCODE: Final = 4001
_BAD_PAYLOAD: Final = 4002
_BAD_TOKEN: Final = 4004
_BAD_SEQ: Final = 4007
_EXPIRED: Final = 4009
_BAD_SHARD: Final = 4010
_SHARDING_REQUIRED: Final = 4011
_BAD_INTENTS: Final = 4013
_INTENTS_NOT_GRANTED: Final = 4014
_GOING_AWAY: Final = 1001

# How long a bot may take to answer a close frame.
_CLOSE_SECONDS: Final = 0.5


class Gateway:
    """All connections of all bots.

    Attributes:
        sessions: What is known of them across connections.
    """

    def __init__(
        self, options: SandboxOptions, names: Names, tokens: TokenDesk, faults: Faults, record: Record
    ) -> None:
        self._options = options
        self._names = names
        self._tokens = tokens
        self._faults = faults
        self._record = record
        self._sockets: set[Socket] = set()
        self.sessions = Sessions(options)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one connection to its end."""
        ws = web.WebSocketResponse(timeout=_CLOSE_SECONDS, compress=False)
        await ws.prepare(request)
        socket = Socket(ws, request.transport)
        self._sockets.add(socket)
        timers = self._greet(socket)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(socket.write(), name="sandbox gateway writer")
                await self._read(ws, socket)
                if not socket.closing:  # else the writer is saying goodbye
                    writer.cancel()
        finally:
            for timer in timers:
                timer.cancel()
            self._sockets.discard(socket)
            self._gone(socket)
        return ws

    def _greet(self, socket: Socket) -> list[asyncio.TimerHandle]:
        """Say Hello, at once or late, and see that the connection expires where that is wanted."""
        later = asyncio.get_running_loop().call_later
        hello = f'{{"op":10,"d":{{"heartbeat_interval":{self._options.heartbeat_interval_ms}}}}}'
        timers = []
        fault = self._faults.take("hello") if self._faults else None
        if fault is None:
            socket.send(hello)
        elif fault.mode is FaultMode.STALL:
            timers.append(later(fault.seconds, socket.send, hello))
        else:
            socket.drop()
        lifetime = self._options.connection_lifetime_seconds
        if lifetime > 0:
            timers.append(later(lifetime, socket.close, _EXPIRED, f"it is {lifetime:g} s old"))
        return timers

    def sockets(self, appid: str | None, shard: int | None, *, hung: bool = False) -> list[Socket]:
        """Return the live connections of a bot and shard, or of all; those that hang too if that is wanted."""
        return [
            socket
            for socket in self._sockets
            if appid in (None, socket.appid)
            and (shard is None or (socket.session is not None and socket.session.shard[0] == shard))
            and (hung or not socket.hung)
        ]

    def ask_to_reconnect(self, appid: str | None, shard: int | None) -> int:
        """Send op 7; return to how many connections."""
        sockets = self.sockets(appid, shard)
        for socket in sockets:
            socket.send(_RECONNECT)
        return len(sockets)

    def invalidate(self, appid: str | None, shard: int | None, *, resumable: bool) -> int:
        """Send op 9; a session that is not resumable ends with it. Return to how many connections."""
        sockets = self.sockets(appid, shard)
        for socket in sockets:
            if socket.session is not None and not resumable:
                self.sessions.end(socket.session)
            socket.send(_invalid_session(resumable=resumable))
        return len(sockets)

    async def close(self) -> None:
        """Say goodbye to everybody."""
        for socket in list(self._sockets):
            if socket.hung:
                socket.drop()
            socket.close(_GOING_AWAY, "the sandbox ends")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                while self._sockets:
                    await self.sessions.changed.wait()
        for socket in list(self._sockets):
            socket.drop()

    async def _read(self, ws: web.WebSocketResponse, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        silence = self._options.heartbeat_silence_seconds
        deadline = loop.time() + silence
        while True:
            try:
                left = max(0.001, deadline - loop.time())
                message = await ws.receive(timeout=left if left < math.inf else None)
            except TimeoutError:
                if socket.hung:  # it is given up here, and the bot hears nothing of that
                    self._gone(socket)
                    deadline = math.inf
                    continue
                socket.close(_EXPIRED, f"no heartbeat within {silence:g} s")
                return
            if message.type == WSMsgType.TEXT:
                if self._frame(socket, message.data):
                    deadline = loop.time() + silence
            elif message.type == WSMsgType.BINARY:
                socket.close(_BAD_PAYLOAD, "frames are text")
            else:
                if message.type == WSMsgType.CLOSE:
                    socket.why = f"the bot closed it with {message.data}"
                return

    def _frame(self, socket: Socket, text: str) -> bool:
        """Handle one frame; return whether it was a heartbeat."""
        try:
            frame = json.loads(text)
            opcode, data = frame["op"], frame.get("d")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            socket.close(_BAD_PAYLOAD, "a frame is not a JSON object with `op`")
            return False
        if opcode == Opcode.HEARTBEAT:
            if self._faults.take("heartbeat") is None:
                socket.send(_ACK)
            return True
        if opcode not in (Opcode.IDENTIFY, Opcode.RESUME):
            socket.close(_BAD_OPCODE, f"op {opcode} is not one that a bot sends")
        elif not isinstance(data, dict):
            socket.close(_BAD_PAYLOAD, "`d` is not an object")
        elif opcode == Opcode.IDENTIFY:
            self._login(socket, data, "identify")
        else:
            self._login(socket, data, "resume")
        return False

    def _login(self, socket: Socket, data: dict[str, Any], kind: str) -> None:
        self._record.calls[kind] += 1
        try:
            socket.appid = self._tokens.check(data.get("token"))
        except RefusedCallError as error:
            self._refuse(socket, _BAD_TOKEN, error.message)
            return
        fault = self._faults.take(kind) if self._faults else None
        if fault is not None:
            self._fail(socket, fault)
        elif kind == "identify":
            self._identify(socket, data)
        else:
            self._resume(socket, data)

    def _identify(self, socket: Socket, data: dict[str, Any]) -> None:
        appid, shard, intents = socket.appid, _shard(data.get("shard", [0, 1])), data.get("intents")
        if shard is None:
            self._refuse(socket, _BAD_SHARD, f"shard {data.get('shard')!r} must be [index, count]")
        elif shard[1] < self._options.least_shards:
            self._refuse(socket, _SHARDING_REQUIRED, f"at least {self._options.least_shards} shards are required")
        elif not isinstance(intents, int) or intents & ~KNOWN_INTENTS:
            self._refuse(socket, _BAD_INTENTS, f"intents {intents!r} are not known")
        elif intents & ~self._options.granted_intents:
            self._refuse(socket, _INTENTS_NOT_GRANTED, f"intents {intents} are not granted")
        elif why := self.sessions.why_not(appid):
            self._note(socket, "refused", shard, "", why)
            socket.send(_invalid_session(resumable=False))
        else:
            kept = self._options.replay_events
            session = Session(self._names.session(), appid, shard, intents, replay=kept, faults=self._faults)
            self.sessions.add(session)
            session.attach(socket)
            session.dispatch("READY", "", encode(self._ready(session)).decode(), keep=False)
            self._take_over(session, "ready")

    def _resume(self, socket: Socket, data: dict[str, Any]) -> None:
        session = self.sessions.get(str(data.get("session_id")))
        seq = data.get("seq")
        if session is None or session.appid != socket.appid or self.sessions.is_over(session):
            self._note(socket, "refused", (0, 1), str(data.get("session_id")), "the session is not known any more")
            socket.send(_invalid_session(resumable=False))
        elif not isinstance(seq, int) or seq > session.seq:
            self._refuse(socket, _BAD_SEQ, f"seq {seq!r} is not one that was sent")
        else:
            session.attach(socket)
            session.replay(seq)
            session.dispatch("RESUMED", "", '""', keep=False)
            self._take_over(session, "resumed")

    def _ready(self, session: Session) -> dict[str, Any]:
        user = {"id": bot_id(session.appid), "username": self._options.bot_name, "bot": True}
        return {"version": 1, "session_id": session.id, "user": user, "shard": list(session.shard)}

    def _take_over(self, session: Session, state: str) -> None:
        earlier = self.sessions.make_current(session)
        if earlier is not None and earlier.socket not in (None, session.socket):
            # It would hear nothing any more, and not know why. A code to come back after would start a war of two.
            earlier.socket.close(
                _BAD_SHARD, f"another connection is shard {session.shard[0]} of bot {session.appid} now"
            )
        if session.socket is not None:
            self._note(session.socket, state, session.shard, session.id, "")
        self.sessions.changed.fire()

    def _refuse(self, socket: Socket, code: int, why: str) -> None:
        self._note(socket, "refused", (0, 1), "", f"{code} {why}")
        socket.close(code, why)

    def _fail(self, socket: Socket, fault: Fault) -> None:
        if fault.mode is FaultMode.CLOSE:
            self._refuse(socket, fault.code, fault.message)
        else:
            self._note(socket, "refused", (0, 1), "", "op 9, a fault that was asked for")
            socket.send(_invalid_session(resumable=fault.resumable))

    def _gone(self, socket: Socket) -> None:
        session = socket.session
        if session is not None and session.socket is socket:
            session.detach(self._options.clock())
            self._note(socket, "closed", session.shard, session.id, socket.why)
        self.sessions.changed.fire()

    def _note(self, socket: Socket, state: str, shard: tuple[int, int], session_id: str, why: str) -> None:
        at = self._options.clock()
        self._record.note(
            Connection(appid=socket.appid, state=state, shard=shard, session_id=session_id, why=why, at=at)
        )


def bot_id(appid: str) -> str:
    """Return the id of the bot itself: a number, like the real ones."""
    return str(10**18 + int.from_bytes(appid.encode()[-7:], "big"))


def _invalid_session(*, resumable: bool) -> str:
    return f'{{"op":9,"d":{"true" if resumable else "false"}}}'


def _shard(value: object) -> tuple[int, int] | None:
    if not isinstance(value, list) or [type(item) for item in value] != [int, int]:
        return None
    index, count = value
    return (index, count) if 0 <= index < count else None

"""The gateway protocol without I/O: frames, closes and the clock go in, actions come out (PLATFORM 4).

A session outlives its sockets. A socket goes through `Phase`; between two sockets the session is `OFFLINE`. Whoever
drives it tells it everything in order, does what it answers, and calls `tick` at `deadline`.
"""

from __future__ import annotations

import json
import logging
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from bot_core.errors import AuthenticationError, BotError, GatewayError
from bot_core.gateway.actions import Action, AskTurn, Deliver, Dispatch, Online, Reconnect, Send, Stop
from bot_core.gateway.close_codes import CloseAction, look_up
from bot_core.gateway.heart import Heart
from bot_core.gateway.trust import Trust
from bot_core.openapi.answers import on_one_line
from bot_core.openapi.values import Intents, Opcode, as_int

__all__ = ("GatewaySession", "Phase", "Timings")

# PLATFORM 4.6, rule 4: connections that end as soon as they are there.
_QUICK_ENDS: Final = 3
_QUICK_SECONDS: Final = 5.0

# With the pauses between them about two minutes: time for a revoked token to be replaced, not for ever.
_TOKEN_REFUSALS: Final = 6

# Which intents go first when some are refused: the one that needs an approval; buttons last; messages never.
_DROP_FIRST: Final = Intents.GROUP_MEMBER_EVENT
_REQUIRED: Final = Intents.GROUP_AND_C2C_EVENT

# A hostile or broken peer must not make the set of what was complained about grow without end.
_ODD_LIMIT: Final = 64

# A close frame has room for 123 bytes; a log line needs no more.
_WORDS: Final = 123

# Whoever grants turns gives one, or says how far off it is, well before this.
_TURN_SECONDS: Final = 60.0

_PROPERTIES: Final = {"$os": sys.platform, "$browser": "qqmedia", "$device": "qqmedia"}

logger = logging.getLogger("bot_core.gateway")


class Phase(StrEnum):
    """Where the present socket is."""

    OFFLINE = "offline"
    HELLO = "hello"
    QUEUED = "queued"
    IDENTIFYING = "identifying"
    RESUMING = "resuming"
    LIVE = "live"
    STOPPED = "stopped"


# A tuple: a set would hash an enum's member, in Python, for each frame.
_NO_SOCKET: Final = (Phase.OFFLINE, Phase.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Pauses and limits in seconds; the defaults are the platform's (PLATFORM 4.6).

    Attributes:
        backoff: Pauses before the first, second ... attempt to connect; the last one repeats.
        handshake: For Hello, and for READY or RESUMED.
        invalid_session: Before an identify that follows op 9.
        too_fast: After close code 4008.
        identify_gap: Between two identifies.
        window: In which five connections of one session that brought nothing give it up.
        silence: A session that had events before a resume, and has none for so long after it, is given up: some
            resume for ever and deliver nothing.
        doubt: The same, from the second restart in a row on that resumed it and brought nothing: whoever restarts a
            bot that does not hear him has not the patience.
    """

    backoff: tuple[float, ...] = (1, 2, 5, 10, 30, 60)
    handshake: float = 30
    invalid_session: float = 3
    too_fast: float = 60
    identify_gap: float = 5
    window: float = 300
    silence: float = 600
    doubt: float = 10


class GatewaySession:
    """Decides what to do; never does it.

    Args:
        intents: Bits of `Intents`; the optional ones are dropped when the platform refuses them.
        shard: Index and count.
        timings: Pauses and limits.
        jitter: Gives a number from 0 to 1; shortens a pause by up to a quarter.

    Attributes:
        name: In log lines.
        session_id: Live session, or `None`: then the next connection identifies.
        seq: Of the last event; never goes back within a session.
        intents: What the next identify asks for.
        phase: Where the present socket is.
        last_event_at: When the last event came, by the clock; `None` before the first.
    """

    def __init__(
        self,
        *,
        intents: int,
        shard: tuple[int, int] = (0, 1),
        timings: Timings | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.intents = intents
        self.shard = shard
        self.name = "shard {}/{}".format(*shard)
        self.session_id: str | None = None
        self.seq: int | None = None
        self.phase = Phase.OFFLINE
        self.last_event_at: float | None = None
        self._timings = timings or Timings()
        self._jitter = jitter
        self._token = ""
        self._attempts = 0
        self._token_refusals = 0
        self._quick_ends = 0
        self._identified_at = -math.inf
        self._live_since = 0.0
        self._second_token = False
        self._odd: set[str] = set()
        self._heart = Heart()
        limits = self._timings
        self._trust = Trust(window=limits.window, silence=limits.silence, doubt=limits.doubt)
        self._handshake_by = math.inf

    @property
    def round_trip(self) -> float | None:
        """Seconds that the last heartbeat's answer took; `None` before the first."""
        return self._heart.round_trip

    @property
    def deadline(self) -> float:
        """When `tick` is to be called, if nothing happens before; infinity while there is no socket."""
        return min(self._handshake_by, self._heart.beat_at, self._heart.dead_at, self._trust.stale_at)

    @property
    def quiet_restarts(self) -> int:
        """How many processes in a row, this one included, resumed the session of another and had no event."""
        return self._trust.quiet_restarts

    def take_up(self, session_id: str, seq: int, quiet_restarts: int = 0) -> None:
        """Resume this session at the first connection; so many processes before this one did, and had no event."""
        self.session_id, self.seq = session_id, seq
        self._trust.vouch(quiet_restarts)

    def opened(self, token: str, now: float) -> None:
        """A socket is open; `token` is valid now. Nothing is to be sent before the platform's Hello."""
        if self.phase is not Phase.OFFLINE:
            raise RuntimeError(f"a socket was opened while the session was {self.phase.value}")
        self.phase = Phase.HELLO
        self._token = token
        self._trust.begin()
        self._heart.stop()
        self._handshake_by = now + self._timings.handshake

    def received(self, text: str | bytes, now: float) -> Sequence[Action]:
        """A frame came in. Whatever it holds, the session goes on."""
        if self.phase in _NO_SOCKET:
            return ()
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            return self._complain("not JSON", "a frame that is not JSON")
        if not isinstance(frame, dict):
            return self._complain("no object", f"a frame that is a JSON {type(frame).__name__}, not an object")
        op = as_int(frame.get("op"), -1)
        if op == Opcode.DISPATCH:
            return self._dispatched(frame, now)
        return self._controlled(op, frame, now)

    def closed(self, code: int | None, now: float, words: str = "") -> Sequence[Action]:
        """The socket is gone: by a close frame with this code (1005 if it had none), or `None` for a mere cut.

        `words` is what the platform says besides the code.
        """
        if self.phase in _NO_SOCKET:
            return ()
        known = look_up(1006 if code is None else code)
        said = f": {on_one_line(words, self._token, most=_WORDS)}" if words else ""
        reason = f"{known.reason_en} ({known.reason_zh}, close code {known.number}{said})"
        before = self.phase
        token_refused = known.action is CloseAction.REFRESH_TOKEN
        self._lost(now, refused=code not in {None, 1006} and not token_refused)
        match known.action:
            case CloseAction.STOP:
                return self._stop(GatewayError(f"the gateway ended for good: {reason}", close_code=code))
            case CloseAction.FEWER_INTENTS:
                return self._drop_intents(reason, code, now)
            case CloseAction.REFRESH_TOKEN:
                return self._token_refused(reason, now)
            case CloseAction.IDENTIFY:
                self._forget()
            case CloseAction.WAIT_THEN_RESUME:
                return self._reconnect(now, reason, pause=self._timings.too_fast)
            case CloseAction.RESUME:
                pass
        if before is not Phase.LIVE:
            reason = f"{reason} while {_WAITED_FOR[before]} was awaited"
        return self._reconnect(now, reason)

    def granted(self, now: float) -> Sequence[Action]:
        """It is this session's turn to identify; says nothing when it is not waiting for one any more."""
        if self.phase is not Phase.QUEUED:
            return ()
        self.phase = Phase.IDENTIFYING
        self._identified_at = now
        self._handshake_by = now + self._timings.handshake
        identify = {
            "token": f"QQBot {self._token}",
            "intents": self.intents,
            "shard": list(self.shard),
            "properties": _PROPERTIES,
        }
        return (_send(Opcode.IDENTIFY, identify),)

    def postponed(self, wait: float) -> Sequence[Action]:
        """Its turn to identify is too far off to keep the socket."""
        if self.phase is not Phase.QUEUED:
            return ()
        self._offline(Phase.OFFLINE)
        return (Reconnect(wait, "other shards identify first", resume=False),)

    def unreachable(self, reason: str, now: float, *, fresh_token: bool = False) -> Sequence[Action]:
        """No socket could be opened, for a reason that may pass."""
        if self.phase is Phase.STOPPED:
            return ()
        return self._reconnect(now, reason, fresh_token=fresh_token)

    def tick(self, now: float, *, blocked: bool = False) -> Sequence[Action]:
        """Time has passed.

        Args:
            now: The clock.
            blocked: Whether frames lie unread because the bot has too much to do. Their sender is not to blame for
                answers that are among them, so that heartbeats go out and nothing is judged.
        """
        if self.phase in _NO_SOCKET:
            return ()
        if blocked:
            self._extend(now)
        elif ending := self._judged(now):
            return ending
        if now < self._heart.beat_at:
            return ()
        self._heart.beat(now, counts=not blocked)
        return (self._heartbeat(),)

    def _extend(self, now: float) -> None:
        """Let nothing fall due that frames which lie unread may have met."""
        if self._handshake_by <= now:
            self._handshake_by = now + self._timings.handshake
        self._heart.extend(now)
        self._trust.extend(now)

    def _judged(self, now: float) -> Sequence[Action]:
        """Give a socket up that kept the bot waiting for too long."""
        if now >= self._handshake_by:
            reason = f"no {_WAITED_FOR[self.phase]} within {self._timings.handshake:g} s"
        elif now >= self._heart.dead_at:
            reason = f"{self._heart.unanswered} heartbeats without an answer: the connection is dead"
        elif now >= self._trust.stale_at:
            reason = f"nothing has come for {self._trust.silence:g} s since the session was resumed: it may be dead"
        else:
            return ()
        stale = now >= self._trust.stale_at
        self._lost(now, refused=False)
        if stale:
            self._forget()
        return self._reconnect(now, reason)

    def _controlled(self, op: int, frame: dict[str, Any], now: float) -> Sequence[Action]:
        match op:
            case Opcode.HEARTBEAT_ACK:
                self._heart.answered(now)
                return ()
            case Opcode.HEARTBEAT:
                return (self._heartbeat(),)
            case Opcode.HELLO:
                return self._greeted(frame.get("d"), now)
            case Opcode.RECONNECT:
                self._lost(now, refused=False)
                return self._reconnect(now, "the platform asks for a new connection (op 7)")
            case Opcode.INVALID_SESSION:
                return self._invalidated(frame.get("d"), now)
            case _:
                return self._complain(f"op {op}", f"a frame with an unknown op: {str(frame.get('op'))[:40]}")

    def _dispatched(self, frame: dict[str, Any], now: float) -> Sequence[Action]:
        number, event = frame.get("s"), frame.get("t")
        seq = as_int(number, -1)
        if seq >= 0 and self.session_id is not None and (self.seq is None or seq > self.seq):
            self.seq = seq
        if not isinstance(event, str) or not event:
            return self._complain("no type", "an event without a type")
        identity = frame.get("id")
        dispatch = Dispatch(
            identity if isinstance(identity, str) else "", event, frame.get("d"), seq if seq >= 0 else None
        )
        self.last_event_at = now
        if self.phase is Phase.LIVE:
            self._trust.event()
            return (Deliver(dispatch),)
        return self._shaken(dispatch, now)

    def _shaken(self, dispatch: Dispatch, now: float) -> Sequence[Action]:
        """Take an event that comes before the handshake is over: READY, RESUMED, or one of those in between."""
        identifying, resuming = self.phase is Phase.IDENTIFYING, self.phase is Phase.RESUMING
        if dispatch.type == "READY" and (identifying or resuming):
            self._forget()
            data = dispatch.data if isinstance(dispatch.data, dict) else {}
            session_id = data.get("session_id")
            if isinstance(session_id, str) and session_id:
                self.session_id, self.seq = session_id, dispatch.seq
            else:
                self._complain("no session id", "a READY without a session id: the next connection starts anew")
            return self._now_live(dispatch, now, resumed=False)
        if dispatch.type == "RESUMED" and resuming:
            self._trust.resumed(now)
            return self._now_live(dispatch, now, resumed=True)
        if resuming:  # the gap is being replayed, which may take longer than a handshake
            self._handshake_by = now + self._timings.handshake
            self._trust.event()
        return (Deliver(dispatch),)

    def _now_live(self, dispatch: Dispatch, now: float, *, resumed: bool) -> Sequence[Action]:
        self.phase = Phase.LIVE
        self._attempts = self._token_refusals = 0
        self._second_token = False
        self._handshake_by = math.inf
        self._live_since = now
        return (Online(resumed, dispatch), Deliver(dispatch))

    def _greeted(self, data: Any, now: float) -> Sequence[Action]:
        milliseconds = as_int(data.get("heartbeat_interval"), 0) if isinstance(data, dict) else 0
        if milliseconds <= 0:
            self._complain("no interval", "a Hello without an interval; the usual one is used")
        self._heart.start(milliseconds, now)
        if self.phase is not Phase.HELLO:
            return ()
        if self.session_id is not None:
            self._handshake_by = now + self._timings.handshake
            self.phase = Phase.RESUMING
            resume = {"token": f"QQBot {self._token}", "session_id": self.session_id, "seq": self.seq or 0}
            return (_send(Opcode.RESUME, resume),)
        self.phase = Phase.QUEUED
        self._handshake_by = now + _TURN_SECONDS
        return (AskTurn(),)

    def _invalidated(self, data: Any, now: float) -> Sequence[Action]:
        # What `d` means is not documented: only a plain true is taken for "may be resumed".
        resumable = data is True
        identifying = self.phase is Phase.IDENTIFYING
        self._lost(now, refused=False)
        if not resumable:
            self._forget()
        what = "the session is to be resumed" if resumable else "the session is not valid any more"
        what = "the platform refuses the identify" if identifying else what
        pause = 0 if self.session_id is not None else self._timings.invalid_session
        return self._reconnect(now, f"{what} (op 9, {json.dumps(data)[:40]})", pause=pause, fresh_token=identifying)

    def _token_refused(self, reason: str, now: float) -> Sequence[Action]:
        if self.session_id is not None and not self._second_token:
            # The token is to blame, not the session: what it still has comes with another token.
            self._second_token = True
            return self._reconnect(now, reason, fresh_token=True)
        self._forget()
        self._token_refusals += 1
        if self._token_refusals < _TOKEN_REFUSALS:
            return self._reconnect(now, reason, fresh_token=True)
        text = f"the gateway refused {_TOKEN_REFUSALS} access tokens in a row: {reason}"
        return self._stop(AuthenticationError(f"{text}; check appid and client_secret, and whether the bot is banned"))

    def _drop_intents(self, reason: str, code: int | None, now: float) -> Sequence[Action]:
        optional = self.intents & ~_REQUIRED
        for bits in (_DROP_FIRST, ~Intents.INTERACTION, Intents.INTERACTION):
            dropped = optional & bits
            if dropped and dropped != self.intents:
                self.intents &= ~dropped
                self._forget()
                names = intent_names(dropped)
                return self._reconnect(now, f"{reason}: going on without {names}; apply for it in the console")
        text = f"the gateway ended for good: {reason}, even with {intent_names(self.intents)} alone"
        return self._stop(GatewayError(f"{text}; check the bot's rights in the console", close_code=code))

    def _lost(self, now: float, *, refused: bool) -> None:
        """Take stock of a socket that has ended, `refused` if by the platform's close frame; the session may go too."""
        live, resuming = self.phase is Phase.LIVE, self.phase is Phase.RESUMING
        if live:
            quick = now - self._live_since < _QUICK_SECONDS and not self._trust.brought
            self._quick_ends = self._quick_ends + 1 if quick else 0
        if (live or resuming) and self._trust.lost(now, resuming=resuming, refused=refused):
            self._forget()

    def _forget(self) -> None:
        """Give the session up: the next connection identifies."""
        self.session_id = self.seq = None
        self._second_token = False
        self._trust.forget()

    def _reconnect(self, now: float, reason: str, *, pause: float = 0, fresh_token: bool = False) -> tuple[Reconnect]:
        backoff = self._timings.backoff
        worn_out = self._quick_ends >= _QUICK_ENDS
        step = backoff[-1] if worn_out else backoff[min(self._attempts, len(backoff) - 1)]
        self._attempts += 1
        delay = max(pause, step * (0.75 + 0.25 * self._jitter()))
        resume = self.session_id is not None
        if not resume:
            delay = max(delay, self._identified_at + self._timings.identify_gap - now)
        self._offline(Phase.OFFLINE)
        return (Reconnect(delay, reason, resume, fresh_token),)

    def _stop(self, error: BotError) -> tuple[Stop]:
        self._offline(Phase.STOPPED)
        return (Stop(error),)

    def _offline(self, phase: Phase) -> None:
        self.phase = phase
        self._token = ""
        self._handshake_by = math.inf
        self._heart.stop()
        self._trust.end()

    def _heartbeat(self) -> Send:
        return _send(Opcode.HEARTBEAT, self.seq)

    def _complain(self, kind: str, text: str) -> tuple[()]:
        """Say it, once a kind."""
        if kind not in self._odd and len(self._odd) < _ODD_LIMIT:
            self._odd.add(kind)
            logger.warning("%s: the gateway sent %s; ignored, and not said again", self.name, text)
        return ()


_WAITED_FOR: Final = {
    Phase.HELLO: "Hello",
    Phase.QUEUED: "the turn to identify",
    Phase.IDENTIFYING: "READY",
    Phase.RESUMING: "RESUMED",
    Phase.LIVE: "an event",
}


def intent_names(bits: int) -> str:
    """Return the names of intents, for a person."""
    names = {value: name for name, value in vars(Intents).items() if name.isupper()}
    return ", ".join(names.get(1 << bit, f"intent 1<<{bit}") for bit in range(bits.bit_length()) if bits >> bit & 1)


def _send(op: Opcode, data: Any) -> Send:
    return Send(op, json.dumps({"op": int(op), "d": data}, separators=(",", ":")))

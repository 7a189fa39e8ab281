"""Makes the next calls go wrong, so that a bot's author can rehearse it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final

__all__ = ("FAULT_KINDS", "Fault", "FaultMode", "Faults", "check_close_code")

FAULT_KINDS: Final = (
    "token",
    "me",
    "gateway",  # both addresses that tell where the WebSocket is
    "websocket",  # the handshake
    "hello",  # the first frame of the WebSocket
    "identify",
    "resume",
    "event",  # an event, on the WebSocket or to a webhook
    "heartbeat",
    "webhook",  # a request to a webhook that brings an event
    "files",
    "upload_prepare",
    "upload_part",  # the PUT to the presigned address
    "upload_part_finish",
    "image_prepare",  # the image store for markdown
    "image_put",
    "image_complete",
    "image_list",
    "image_delete",
    "stream",
    "raw_url",  # a bot reads back what it uploaded
    "messages",
    "recall",
    "interactions",
)


class FaultMode(StrEnum):
    """How a call goes wrong."""

    ANSWER = "answer"  # an error is answered, nothing is done
    STALL = "stall"  # it is done, late
    CUT = "cut"  # the connection is cut, nothing is done
    LOSE_ANSWER = "lose_answer"  # it is done, and no answer comes: the connection is cut, or the ACK gets lost
    FAIL_AFTER = "fail_after"  # it is done, and an error is answered all the same
    CLOSE = "close"  # the WebSocket is closed with a code
    INVALID_SESSION = "invalid_session"  # op 9
    REPEAT = "repeat"  # an event comes twice
    LATE = "late"  # an event comes after the one that follows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the next calls of one kind.

    Attributes:
        mode: How they go wrong.
        status: HTTP status of the answer.
        code: The platform's code in the answer, or the close code.
        message: Text of the answer.
        html: Answer as the front proxy does: a page, no JSON.
        seconds: How late it is.
        resumable: `d` of op 9.
        times: To how many calls.
        probability: Below 1 it happens to every call with this probability, until `clear`; `times` does not count.
        seed: Makes the same calls go wrong in every run.
    """

    mode: FaultMode
    status: int = 500
    code: int = 0
    message: str = "a fault that was asked for"
    html: bool = False
    seconds: float = 0
    resumable: bool = False
    times: int = 1
    probability: float = 1.0
    seed: int = 0


_MODES: Final = {
    "hello": (FaultMode.STALL, FaultMode.CUT),
    "identify": (FaultMode.CLOSE, FaultMode.INVALID_SESSION),
    "resume": (FaultMode.CLOSE, FaultMode.INVALID_SESSION),
    "event": (FaultMode.REPEAT, FaultMode.LATE),
    "heartbeat": (FaultMode.LOSE_ANSWER,),
    "webhook": (FaultMode.STALL, FaultMode.CUT, FaultMode.LOSE_ANSWER),
    "websocket": (FaultMode.ANSWER, FaultMode.STALL, FaultMode.CUT),
}
_OF_CALLS: Final = (
    FaultMode.ANSWER,
    FaultMode.STALL,
    FaultMode.CUT,
    FaultMode.LOSE_ANSWER,
    FaultMode.FAIL_AFTER,
)

# What a bot can get to see as the code of a close; 1005 and 1006 stand for none, and for no close frame at all. The
# standard ends at 4999, and the platform's own SDK knows 9001 and 9005.
_CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1005, 1015), *range(3000, 65536)})

_OK: Final = 200
_LAST_STATUS: Final = 599


def check_close_code(code: int) -> None:
    """Refuse a code that no connection ends with.

    Raises:
        ValueError: It is none of those.
    """
    if type(code) is not int or code not in _CLOSE_CODES:
        raise ValueError(f"code must be a close code: 3000 to 65535, or 1000 and some after it, got {code!r}")


class Faults:
    """What goes wrong next, by kind of call; several faults of one kind follow each other."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault]] = {}
        self._random: dict[str, list[tuple[Fault, Random]]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues or self._random)

    def add(self, kind: str, fault: Fault) -> None:
        """Let the next ``fault.times`` calls of this kind go wrong, or each with ``fault.probability``.

        Raises:
            ValueError: There is no such kind of call, the mode makes no sense for it, or a value of the fault does not.
        """
        if kind not in FAULT_KINDS:
            raise ValueError(f"no calls of kind {kind!r}; there are {', '.join(FAULT_KINDS)}")
        modes = _MODES.get(kind, _OF_CALLS)
        if fault.mode not in modes:
            raise ValueError(f"{fault.mode} is not something that can happen to {kind}; there are {', '.join(modes)}")
        _check(fault)
        if fault.probability < 1:
            self._random.setdefault(kind, []).append((fault, Random(fault.seed)))  # noqa: S311 - no secret
        else:
            self._queues.setdefault(kind, deque()).append(fault)

    def answer(
        self,
        kind: str,
        *,
        status: int = 500,
        code: int = 0,
        message: str = "",
        html: bool = False,
        done: bool = False,
        times: int = 1,
    ) -> None:
        """Answer the next calls with an error; they are `done` all the same, or nothing is."""
        text = message or f"fault: {status} {code}"
        mode = FaultMode.FAIL_AFTER if done else FaultMode.ANSWER
        self.add(kind, Fault(mode=mode, status=status, code=code, message=text, html=html, times=times))

    def stall(self, kind: str, *, seconds: float, times: int = 1) -> None:
        """Let the next calls wait before they are done."""
        self.add(kind, Fault(mode=FaultMode.STALL, seconds=seconds, times=times))

    def cut(self, kind: str, *, times: int = 1) -> None:
        """Cut the connection of the next calls before anything is done."""
        self.add(kind, Fault(mode=FaultMode.CUT, times=times))

    def lose_answer(self, kind: str, *, times: int = 1) -> None:
        """Do the next calls, and let no answer get through: an event sent to a webhook is sent there again."""
        self.add(kind, Fault(mode=FaultMode.LOSE_ANSWER, times=times))

    def close(self, kind: str, *, code: int, times: int = 1) -> None:
        """Answer the next `identify` or `resume` frames by closing the WebSocket with a code."""
        self.add(kind, Fault(mode=FaultMode.CLOSE, code=code, times=times))

    def invalid_session(self, kind: str, *, resumable: bool = False, times: int = 1) -> None:
        """Answer the next `identify` or `resume` frames with op 9."""
        self.add(kind, Fault(mode=FaultMode.INVALID_SESSION, resumable=resumable, times=times))

    def repeat_events(self, *, times: int = 1) -> None:
        """Let the next events come twice."""
        self.add("event", Fault(mode=FaultMode.REPEAT, times=times))

    def delay_event(self) -> None:
        """Let the next event come after the one that follows it."""
        self.add("event", Fault(mode=FaultMode.LATE))

    def clear(self) -> None:
        """Let everything go well again."""
        self._queues.clear()
        self._random.clear()

    def left(self, kind: str) -> int:
        """Return how many calls of this kind are still to go wrong."""
        return sum(fault.times for fault in self._queues.get(kind, ()))

    def take(self, kind: str) -> Fault | None:
        """Return what happens to the call that is here now, and count it."""
        queue = self._queues.get(kind)
        if not queue:
            return self._by_chance(kind)
        fault = queue.popleft()
        if fault.times > 1:
            queue.appendleft(replace(fault, times=fault.times - 1))
        if not queue:
            del self._queues[kind]
        return fault

    def _by_chance(self, kind: str) -> Fault | None:
        for fault, random in self._random.get(kind, ()):
            if random.random() < fault.probability:
                return fault
        return None


def _check(fault: Fault) -> None:
    """Refuse values that would only be found out when the fault happens."""
    if type(fault.times) is not int or fault.times < 1:
        raise ValueError(f"times must be at least 1, got {fault.times!r}")
    if not 0 < fault.probability <= 1:
        raise ValueError(f"probability must be more than 0 and at most 1, got {fault.probability!r}")
    if not 0 <= fault.seconds < math.inf:
        raise ValueError(f"seconds must be 0 or more, got {fault.seconds!r}")
    if fault.mode is FaultMode.CLOSE:
        check_close_code(fault.code)
    if fault.mode in (FaultMode.ANSWER, FaultMode.FAIL_AFTER) and not (
        type(fault.status) is int and _OK <= fault.status <= _LAST_STATUS
    ):
        raise ValueError(f"status must be an HTTP status from {_OK} to {_LAST_STATUS}, got {fault.status!r}")

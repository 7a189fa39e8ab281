"""Makes the next calls go wrong, so that a bot's author can rehearse it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

__all__ = ("FAULT_KINDS", "Fault", "FaultMode", "Faults")

FAULT_KINDS: Final = (
    "token",
    "me",
    "gateway",  # both addresses that tell where the WebSocket is
    "websocket",  # the handshake
    "identify",
    "resume",
    "files",
    "upload_prepare",
    "upload_part",  # the PUT to the presigned address
    "upload_part_finish",
    "raw_url",  # a bot reads back what it uploaded
    "messages",
    "recall",
    "interactions",
)

_FRAMES: Final = ("identify", "resume")


class FaultMode(StrEnum):
    """How a call goes wrong."""

    ANSWER = "answer"  # an error is answered, nothing is done
    STALL = "stall"  # it is done, late
    CUT = "cut"  # the connection is cut, nothing is done
    LOSE_ANSWER = "lose_answer"  # it is done, and the connection is cut instead of an answer
    CLOSE = "close"  # the WebSocket is closed with a code
    INVALID_SESSION = "invalid_session"  # op 9


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
    """

    mode: FaultMode
    status: int = 500
    code: int = 0
    message: str = "a fault that was asked for"
    html: bool = False
    seconds: float = 0
    resumable: bool = False
    times: int = 1


class Faults:
    """What goes wrong next, by kind of call; several faults of one kind follow each other."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, kind: str, fault: Fault) -> None:
        """Let the next ``fault.times`` calls of this kind go wrong.

        Raises:
            ValueError: There is no such kind of call, or the mode makes no sense for it.
        """
        if kind not in FAULT_KINDS:
            raise ValueError(f"no calls of kind {kind!r}; there are {', '.join(FAULT_KINDS)}")
        if (fault.mode in (FaultMode.CLOSE, FaultMode.INVALID_SESSION)) != (kind in _FRAMES):
            raise ValueError(f"{fault.mode.value} is not something that can happen to {kind}")
        if fault.times < 1:
            raise ValueError(f"times must be at least 1, got {fault.times}")
        self._queues.setdefault(kind, deque()).append(fault)

    def answer(
        self, kind: str, *, status: int = 500, code: int = 0, message: str = "", html: bool = False, times: int = 1
    ) -> None:
        """Answer the next calls with an error, and do nothing."""
        text = message or f"fault: {status} {code}"
        self.add(kind, Fault(mode=FaultMode.ANSWER, status=status, code=code, message=text, html=html, times=times))

    def stall(self, kind: str, *, seconds: float, times: int = 1) -> None:
        """Let the next calls wait before they are done."""
        self.add(kind, Fault(mode=FaultMode.STALL, seconds=seconds, times=times))

    def cut(self, kind: str, *, times: int = 1) -> None:
        """Cut the connection of the next calls before anything is done."""
        self.add(kind, Fault(mode=FaultMode.CUT, times=times))

    def lose_answer(self, kind: str, *, times: int = 1) -> None:
        """Do the next calls, and cut the connection instead of answering."""
        self.add(kind, Fault(mode=FaultMode.LOSE_ANSWER, times=times))

    def close(self, kind: str, *, code: int, times: int = 1) -> None:
        """Answer the next `identify` or `resume` frames by closing the WebSocket with a code."""
        self.add(kind, Fault(mode=FaultMode.CLOSE, code=code, times=times))

    def invalid_session(self, kind: str, *, resumable: bool = False, times: int = 1) -> None:
        """Answer the next `identify` or `resume` frames with op 9."""
        self.add(kind, Fault(mode=FaultMode.INVALID_SESSION, resumable=resumable, times=times))

    def clear(self) -> None:
        """Let everything go well again."""
        self._queues.clear()

    def left(self, kind: str) -> int:
        """Return how many calls of this kind are still to go wrong."""
        return sum(fault.times for fault in self._queues.get(kind, ()))

    def take(self, kind: str) -> Fault | None:
        """Return what happens to the call that is here now, and count it."""
        queue = self._queues.get(kind)
        if not queue:
            return None
        fault = queue.popleft()
        if fault.times > 1:
            queue.appendleft(replace(fault, times=fault.times - 1))
        if not queue:
            del self._queues[kind]
        return fault

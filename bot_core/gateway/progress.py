"""How far the handlers of one session's events have come."""

from __future__ import annotations

__all__ = ("Progress",)


class Progress:
    """Knows up to which sequence number everything is done, while handlers finish in any order.

    Args:
        seq: Up to here everything was done before.
    """

    def __init__(self, seq: int = 0) -> None:
        self._last = seq
        self._open: set[int] = set()

    def begin(self, seq: int) -> bool:
        """An event is handed out; `False` when it is in work already."""
        if seq in self._open:
            return False
        self._open.add(seq)
        self._last = max(self._last, seq)
        return True

    def finish(self, seq: int) -> None:
        """It is done."""
        self._open.discard(seq)

    @property
    def seq(self) -> int:
        """Everything up to this number is done."""
        return min(min(self._open) - 1, self._last) if self._open else self._last

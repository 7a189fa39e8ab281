"""What came back from the bots, and waiting for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from bot_core.errors import SandboxError
from bot_core.sandbox._desks import Face
from bot_core.sandbox._media import StoredMedia
from bot_core.sandbox._values import Acknowledged, Arrived, Happening, Recalled, Refused, Said, Undelivered, UploadCall

__all__ = ("Watching",)


class Watching(Face):
    """Everything that comes from a bot."""

    @property
    def arrived(self) -> Sequence[Arrived]:
        """What bots sent, oldest first; the last `kept` of it."""
        return self._desks.record.arrived

    @property
    def refused(self) -> Sequence[Refused]:
        """Calls that were refused, oldest first."""
        return self._desks.record.refused

    @property
    def upload_calls(self) -> Sequence[UploadCall]:
        """Every request of uploads, those to presigned addresses included, with its headers; oldest first."""
        return self._desks.record.upload_calls

    @property
    def recalled(self) -> Sequence[Recalled]:
        """Messages that bots took back, oldest first."""
        return self._desks.record.recalled

    @property
    def acknowledged(self) -> Sequence[Acknowledged]:
        """Pressed buttons that were acknowledged, oldest first."""
        return self._desks.record.acknowledged

    @property
    def undelivered(self) -> Sequence[Undelivered]:
        """Requests that webhooks did not take, oldest first."""
        return self._desks.record.undelivered

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each kind came, refused ones included."""
        return self._desks.record.calls

    async def replies(self, said: Said, count: int = 1, timeout: float = 10) -> list[Arrived]:
        """Wait until `count` answers to what was said are there; return all that are.

        Raises:
            TimeoutError: They were not there in time; the text tells what was, and what was refused.
            SandboxError: It was said so long ago that its answers are not remembered.
        """
        incoming = self._desks.messages.answers_to(said)
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
                return await self._desks.record.next_arrival()
        except TimeoutError:
            raise TimeoutError(f"no bot sent anything within {timeout:g} s{self._last_refusals(None)}") from None

    async def arrived_since(self, number: int, timeout: float = 0) -> Sequence[Arrived]:
        """Return what arrived after the arrival with this number, at the latest after `timeout` seconds."""
        return await self._desks.record.wait_since(number, timeout)

    def subscribe(self, listener: Callable[[Happening], None]) -> Callable[[], None]:
        """Call `listener` with everything that happens, until the returned function is called.

        It runs in the event loop, between two messages: it must be quick and must not raise.
        """
        return self._desks.record.subscribe(listener)

    def media(self, name: str) -> StoredMedia | None:
        """Return a medium by the name that its address has, if it is still kept."""
        return self._desks.store.get(name)

    def _what_is_missing(self, said: Said, answers: Sequence[Arrived], count: int, timeout: float) -> str:
        came = ", ".join(repr(answer.content or "a medium") for answer in answers) or "none"
        desks = self._desks
        connected = desks.webhooks.appids or any(session.connected for session in desks.gateway.sessions.states())
        away = "" if connected else "; the bot is not connected"
        return (
            f"{len(answers)} of {count} answers to {said.text!r} within {timeout:g} s ({came}){away}"
            f"{self._last_refusals(said.appid)}{self._last_undelivered(said)}"
        )

    def _last_undelivered(self, said: Said) -> str:
        tries = [one for one in self.undelivered if one.event_id == said.event_id]
        return f"; {tries[-1].url} did not take it: {tries[-1].why}" if tries else ""

    def _last_refusals(self, appid: str | None) -> str:
        entries = [entry for entry in self.refused if appid in (None, entry.appid) or not entry.appid][-3:]
        refusals = "; ".join(f"{entry.kind} {entry.status} {entry.code} {entry.message}" for entry in entries)
        return f"; refused: {refusals}" if refusals else ""

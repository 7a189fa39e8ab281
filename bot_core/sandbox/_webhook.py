"""The platform's side of a webhook: validates an address, then sends events there, again where the answer is no.

PLATFORM 5, written without a look at how `bot_core` receives: signing is a few lines here too.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from bot_core.errors import SandboxError
from bot_core.openapi.values import Opcode
from bot_core.sandbox._answers import encode
from bot_core.sandbox._faults import FaultMode, Faults
from bot_core.sandbox._options import KNOWN_INTENTS
from bot_core.sandbox._record import Record
from bot_core.sandbox._session import Session
from bot_core.sandbox._values import Undelivered
from qqmedia import ConfigurationError

__all__ = ("Webhook", "WebhookTry")

_OK: Final = 200
# What is kept of an answer, and of requests that were made.
_SHOWN_BYTES: Final = 2000
_KEPT: Final = 10_000
# Of the console's check: any text that nobody has signed before.
_PLAIN_TOKEN: Final = "Arq0D5A61EgUu4OxUvOp"  # noqa: S105 - the sample of the platform's documents


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTry:
    """One request to a bot's address.

    Attributes:
        event_id: Of the event; empty for the validation, and for what `Webhook.post` was given.
        number: Counts the requests for this event from 1.
        status: HTTP status, or `None` when no answer came in time.
        answer: The body, at most 2000 bytes of it.
        seconds: Until the answer was there.
        error: Why no answer came.
    """

    event_id: str
    number: int
    status: int | None
    answer: bytes
    seconds: float
    error: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the platform leaves it at that: any 200, unless it says ``"d":1``."""
        if self.status != _OK:
            return False
        try:
            said = json.loads(self.answer)
        except (ValueError, RecursionError):
            return True
        return not (isinstance(said, dict) and said.get("op") == Opcode.HTTP_CALLBACK_ACK and said.get("d") == 1)


class Webhook:
    """One bot's address; made by `Sandbox.use_webhook`. Events take this way instead of a gateway session.

    Attributes:
        appid: The bot.
        url: The address.
        intents: What events go this way: all, as the console's check boxes are not reproduced.
        connected: Whether events go out: always.
        tries: Every request that was made, oldest first.
        retries: How often a request is made again.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        appid: str,
        url: str,
        secret: str,
        *,
        retries: int,
        timeout_seconds: float,
        pause_seconds: float,
        tls: ssl.SSLContext | None,
        faults: Faults,
        record: Record,
        session: Callable[[], Session | None] | None,
    ) -> None:
        self.appid = appid
        self.url = url
        self.intents = KNOWN_INTENTS
        self.connected = True
        self.tries: deque[WebhookTry] = deque(maxlen=_KEPT)
        self.retries = retries
        self._http = http
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._faults = faults
        self._record = record
        self._session = session  # over which every event goes besides
        self._late: list[tuple[str, bytes]] = []
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Webhook of {self.appid} at {self.url}>"

    def dispatch(self, event_name: str, event_id: str, data: str) -> bool:
        """Send an event (`data` is its `d` as JSON) in the background, and by the gateway too if it goes both ways."""
        session = self._session() if self._session is not None else None
        if session is not None:
            session.dispatch(event_name, event_id, data)
        body = f'{{"op":0,"id":"{event_id}","d":{data},"t":"{event_name}"}}'.encode()
        # An event that goes both ways meets its fault on the gateway.
        fault = self._faults.take("event") if self._faults and session is None else None
        if fault is not None and fault.mode is FaultMode.LATE:
            self._late.append((event_id, body))
            return True
        twice = fault is not None and fault.mode is FaultMode.REPEAT
        events = [(event_id, body)] * (1 + twice) + self._late
        self._late = []
        task = asyncio.create_task(self._deliver(events), name=f"sandbox webhook {event_id}")
        self._tasks.add(task)  # `close` ends it
        task.add_done_callback(self._tasks.discard)
        return True

    async def post(
        self,
        body: bytes,
        *,
        secret: str | None = None,
        timestamp: str | None = None,
        headers: Mapping[str, str] | None = None,
        event_id: str = "",
        number: int = 1,
    ) -> WebhookTry:
        """Make one request, rightly signed or not: how a bot takes forged and old ones can be rehearsed with it.

        Args:
            body: The raw body.
            secret: Sign with another one.
            timestamp: Say that it is signed then.
            headers: In place of those that it would have.
            event_id: For the record.
            number: For the record.
        """
        moment = timestamp if timestamp is not None else _now()
        sent = {
            "User-Agent": "QQBot-Callback",
            "Content-Type": "application/json",
            "X-Bot-Appid": self.appid,
            "X-Signature-Ed25519": _sign(secret or self._secret, moment.encode() + body),
            "X-Signature-Timestamp": moment,
        } | dict(headers or {})
        began = time.perf_counter()
        status, answer, error = await self._exchange(body, sent)
        made = WebhookTry(
            event_id=event_id,
            number=number,
            status=status,
            answer=answer,
            seconds=time.perf_counter() - began,
            error=error,
        )
        self.tries.append(made)
        return made

    async def validate(self) -> WebhookTry:
        """Check the address as the console does when it is saved.

        Raises:
            SandboxError: It does not answer, or proves another secret; the text says which.
        """
        moment = _now()
        made = await self.post(encode({"d": {"plain_token": _PLAIN_TOKEN, "event_ts": moment}, "op": 13}))
        if made.status != _OK:
            why = made.error or f"it answered {made.status}"
            raise SandboxError(f"{self.url} cannot be used as a webhook: {why}")
        try:
            said = json.loads(made.answer)
            proven = said["plain_token"] == _PLAIN_TOKEN
            signature = said["signature"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise SandboxError(f"{self.url} cannot be used as a webhook: it does not answer op 13") from None
        if not proven or signature != _sign(self._secret, f"{moment}{_PLAIN_TOKEN}".encode()):
            raise SandboxError(f"{self.url} cannot be used as a webhook: it signs with another secret")
        return made

    async def settled(self) -> None:
        """Wait until every event has been accepted, or given up."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await self.settled()

    async def _deliver(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Send one event; where some are out of order or doubled, all of them, one after the other."""
        for event_id, body in events:
            for number in range(1, self.retries + 2):
                if number > 1:
                    await asyncio.sleep(self._pause_seconds)
                why = await self._try(body, event_id, number)
                if not why:
                    break
                self._complain(event_id, number, why)

    async def _try(self, body: bytes, event_id: str, number: int) -> str:
        """Make one request for an event, or let it go wrong; return why it is to be sent again, or nothing."""
        fault = self._faults.take("webhook") if self._faults else None
        if fault is not None and fault.mode is FaultMode.CUT:
            why = f"not sent: {fault.message}"
            self.tries.append(
                WebhookTry(event_id=event_id, number=number, status=None, answer=b"", seconds=0.0, error=why)
            )
            return why
        if fault is not None:
            await asyncio.sleep(fault.seconds)
        made = await self.post(body, event_id=event_id, number=number)
        if not made.accepted:
            return made.error or (f"it answered {made.status}" if made.status != _OK else 'it answered "d":1')
        return f"answer lost: {fault.message}" if fault is not None and fault.mode is FaultMode.LOSE_ANSWER else ""

    def _complain(self, event_id: str, number: int, why: str) -> None:
        last = number > self.retries
        self._record.note(
            Undelivered(
                appid=self.appid, event_id=event_id, url=self.url, number=number, last=last, why=why, at=time.time()
            )
        )

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, bytes, str]:
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        try:
            async with self._http.post(
                self.url, data=body, headers=headers, timeout=timeout, ssl=self._tls, allow_redirects=False
            ) as response:
                return response.status, (await response.read())[:_SHOWN_BYTES], ""
        except TimeoutError:
            return None, b"", f"no answer within {self._timeout_seconds:g} s"
        except aiohttp.ClientError as error:
            return None, b"", _no_answer(error)


def _no_answer(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} is not known"
        case aiohttp.ClientConnectorError() if not isinstance(error, aiohttp.ClientSSLError):
            return f"nothing answers at {error.host} port {error.port}"
        case aiohttp.InvalidURL():
            return "it is no address"
        case _:
            return str(error) or "the connection was cut"


def _now() -> str:
    """Return what a request says of its time. Not the sandbox's clock, which tests move: the bot looks at its own."""
    return str(int(time.time()))


def _sign(secret: str, text: bytes) -> str:
    """Return the Ed25519 signature in hex; the key's seed is the secret, repeated and cut to 32 bytes."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            'webhooks need the package cryptography; run: pip install "qqmedia[webhook]"'
        ) from error
    repeated = secret.encode()
    if not repeated:
        raise SandboxError("a webhook needs the bot's secret, and it is empty")
    while len(repeated) < 32:  # noqa: PLR2004 - the size of a seed
        repeated += repeated
    return Ed25519PrivateKey.from_private_bytes(repeated[:32]).sign(text).hex()

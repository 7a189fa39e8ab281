"""The requests that the console sends when an address is saved, rightly and wrongly signed, and what comes back."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import json
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from bot_core.webhook.signature import BotKey

__all__ = ("Answer", "Answers", "expiry", "probe")

_ANSWER_BYTES: Final = 64 * 1024
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `proven`: op 13 was answered with the right signature; `signed`: with any."""

    status: int
    seconds: float
    skew: float | None
    signed: bool
    proven: bool
    location: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Of the same request in several spellings, signed rightly; and of one that is forged."""

    spellings: list[Answer]
    forged: Answer

    @property
    def all(self) -> list[Answer]:
        return [*self.spellings, self.forged]


async def probe(http: aiohttp.ClientSession, url: str, appid: str, key: BotKey | None) -> Answers:
    """Ask the address to prove its secret, in several spellings if the key is known, and as a stranger.

    Raises:
        aiohttp.ClientError: It cannot be called.
        TimeoutError: It does not answer.
    """
    prober = _Prober(http, url, appid)
    moment, token = str(int(time.time())), secrets.token_urlsafe(15)
    text = f"{moment}{token}"
    bodies = [one.encode() for one in _spellings({"plain_token": token, "event_ts": moment})]
    answers = [await prober.send(one, key, key, text, token) for one in bodies] if key is not None else []
    forger = BotKey.of(secrets.token_hex(16)) if key is not None else None
    return Answers(answers, await prober.send(bodies[0], forger, key, text, token))


async def expiry(host: str, port: int, trust: ssl.SSLContext) -> dt.datetime:
    """Return until when the certificate is good.

    Raises:
        OSError: It cannot be asked for.
    """
    _, writer = await asyncio.open_connection(host, port, ssl=trust)
    try:
        certificate = writer.get_extra_info("peercert")
    finally:
        writer.transport.abort()
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), dt.UTC)


def _spellings(data: dict[str, str]) -> tuple[str, ...]:
    """Return op 13 three times. A proxy that reads and writes the body makes one of the first two, never the last."""
    said = {"d": data, "op": 13}
    odd = f'{{\n "d" : {json.dumps(data)} ,\t"op":13, "_":"\\u4e00一"}}\r\n'
    return json.dumps(said, separators=(",", ":")), json.dumps(said), odd


class _Prober:
    """Sends what the console sends when an address is saved."""

    def __init__(self, http: aiohttp.ClientSession, url: str, appid: str) -> None:
        self._http = http
        self._url = url
        self._appid = appid

    async def send(self, body: bytes, signer: BotKey | None, expected: BotKey | None, text: str, token: str) -> Answer:
        """Send one request; `text` is what the answer must sign with the key `expected`."""
        moment = str(int(time.time()))
        headers = {
            "User-Agent": "QQBot-Callback",
            "Content-Type": "application/json",
            "X-Bot-Appid": self._appid or "0",
            "X-Signature-Timestamp": moment,
            "X-Signature-Ed25519": signer.sign(moment.encode() + body) if signer is not None else "0" * 128,
        }
        began = time.perf_counter()
        async with self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            raw = await response.content.read(_ANSWER_BYTES)
            seconds = time.perf_counter() - began
            said = _object(raw)
            signature = said.get("signature") if response.status == _OK else None
            proven = (
                isinstance(signature, str)
                and said.get("plain_token") == token
                and expected is not None
                and expected.verify(signature, "", text.encode())
            )
            return Answer(
                status=response.status,
                seconds=seconds,
                skew=_skew(response.headers.get("Date")),
                signed=isinstance(signature, str),
                proven=proven,
                location=response.headers.get("Location", ""),
            )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _skew(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp() - time.time()
    except ValueError:
        return None

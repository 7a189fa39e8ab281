"""The requests that the console sends when an address is saved, rightly and wrongly signed, and what comes back."""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import json
import secrets
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from bot_core.webhook.signature import BotKey

__all__ = ("Answer", "Answers", "expiry", "probe")

_ANSWER_BYTES: Final = 64 * 1024
_OK: Final = 200

# How gateways and libraries write JSON.
_STYLES: Final[tuple[dict[str, Any], ...]] = (
    {"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}, {"indent": "\t"},
)  # fmt: skip


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
    """Of the same request in several spellings, signed rightly; of one that is forged; and whether it was rewritten.

    Attributes:
        rewritten: A request was taken whose signature is right for what a proxy makes of its body, not for the body.
    """

    spellings: list[Answer]
    forged: Answer
    rewritten: bool

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
    said = {"d": {"plain_token": token, "event_ts": moment}, "op": 13}
    check = _Check(key, f"{moment}{token}", token)
    bodies = [one.encode() for one in _spellings(said)]
    answers = [await prober.send(one, key, check) for one in bodies] if key is not None else []
    forger = BotKey.of(secrets.token_hex(16)) if key is not None else None
    forged = await prober.send(bodies[0], forger, check)
    refused = answers and not any(one.status == _OK for one in answers)
    return Answers(answers, forged, bool(refused) and await _is_rewritten(prober, said, check))


async def _is_rewritten(prober: _Prober, said: dict[str, Any], check: _Check) -> bool:
    """Return whether a request is taken when it is signed for one of the things that proxies make of bodies."""
    body = _spellings(said)[0]
    guesses = [one.encode() for one in _rewritings(said) if one != body]
    try:
        for one in guesses:
            if (await prober.send(body.encode(), check.key, check, signed=one)).proven:
                return True
    except (aiohttp.ClientError, TimeoutError):  # what is known by now is worth more
        pass
    return False


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


def _spellings(said: dict[str, Any]) -> tuple[str, ...]:
    """Return op 13 three times. A proxy that reads and writes the body makes one of the first two, never the last."""
    odd = f'{{\n "d" : {json.dumps(said["d"])} ,\t"op":13, "_":"\\u4e00一"}}\r\n'
    return json.dumps(said, separators=(",", ":")), json.dumps(said), odd


def _rewritings(said: dict[str, Any]) -> Iterator[str]:
    for in_order in (False, True):
        for style in _STYLES:
            yield json.dumps(said, sort_keys=in_order, **style)
    body = _spellings(said)[0]
    yield from (f"{body}\n", f"{body}\r\n", f"{body} ", f"\ufeff{body}")


@dataclass(frozen=True, slots=True)
class _Check:
    """What a right answer is: `text` signed with `key`, and the token."""

    key: BotKey | None
    text: str
    token: str


class _Prober:
    """Sends what the console sends when an address is saved."""

    def __init__(self, http: aiohttp.ClientSession, url: str, appid: str) -> None:
        self._http = http
        self._url = url
        self._appid = appid

    async def send(self, body: bytes, signer: BotKey | None, check: _Check, *, signed: bytes | None = None) -> Answer:
        """Send one request; its signature may be the one of another body."""
        moment = str(int(time.time()))
        text = moment.encode() + (body if signed is None else signed)
        headers = {
            "User-Agent": "QQBot-Callback",
            "Content-Type": "application/json",
            "X-Bot-Appid": self._appid or "0",
            "X-Signature-Timestamp": moment,
            "X-Signature-Ed25519": signer.sign(text) if signer is not None else "0" * 128,
        }
        began = time.perf_counter()
        async with self._http.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            raw = await response.content.read(_ANSWER_BYTES)
            seconds = time.perf_counter() - began
            said = _object(raw)
            signature = said.get("signature") if response.status == _OK else None
            proven = (
                isinstance(signature, str)
                and said.get("plain_token") == check.token
                and check.key is not None
                and check.key.verify(signature, "", check.text.encode())
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

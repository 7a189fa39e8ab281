"""Calls an address as the platform would, and says what is wrong with it."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import aiohttp

from bot_core.webhook._probe import Answer, Answers, expiry, probe
from bot_core.webhook.signature import BotKey
from qqmedia import ConfigurationError

__all__ = ("Finding", "Level", "check_address")

_PORTS: Final = (80, 443, 8080, 8443)
# What is said of the platform's patience reaches from 0.1 to 1 s.
_SLOW_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
# The bot's own window is five minutes; beyond one, clocks are not what they should be.
_SKEW_SECONDS: Final = 60.0
_EXPIRES_SOON: Final = dt.timedelta(days=14)

_OK: Final = 200
_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_NOT_HERE: Final = (404, 405)
_SERVER_ERROR: Final = 500
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Level(StrEnum):
    """How much a finding matters; the value is how its line begins."""

    GOOD = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    text: str


@dataclass(slots=True)
class _Report:
    findings: list[Finding] = field(default_factory=list)

    def good(self, text: str) -> None:
        self.findings.append(Finding(Level.GOOD, text))

    def note(self, text: str) -> None:
        self.findings.append(Finding(Level.NOTE, text))

    def wrong(self, text: str) -> None:
        self.findings.append(Finding(Level.WRONG, text))


async def check_address(
    url: str,
    *,
    appid: str = "",
    secret: str = "",
    ca_file: Path | None = None,
    slow_seconds: float = _SLOW_SECONDS,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> list[Finding]:
    """Call the address a few times, with the requests that the console sends; no event is sent.

    Args:
        url: As it is to be entered in the console.
        appid: The bot; without it and its secret, only what a stranger can see is checked.
        secret: Its secret.
        ca_file: Certificates to trust besides.
        slow_seconds: What is too slow.
        timeout_seconds: When to stop waiting.

    Raises:
        ConfigurationError: The URL is none, only one of appid and secret is given, `ca_file` holds no certificates, or
            `cryptography` is not there.
    """
    parts = _parts(url)
    if bool(appid) != bool(secret):
        raise ConfigurationError("appid and secret go together")
    report = _Report()
    _check_url(parts, report)
    trust = await asyncio.to_thread(_trust, ca_file)
    timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=trust)) as http:
        try:
            answers = await probe(http, url, appid, BotKey.of(secret) if secret else None)
        except aiohttp.ConnectionTimeoutError:
            report.wrong(f"no answer within {_CONNECT_SECONDS:g} s: it does not run, or a firewall drops what comes")
            return report.findings
        except TimeoutError:
            report.wrong(
                f"slow answer: none within {timeout_seconds:g} s; the platform waits about {slow_seconds:g} s, "
                "and then asks again"
            )
            return report.findings
        except aiohttp.ClientError as error:
            report.wrong(_no_answer(error, parts))
            return report.findings
        if parts.scheme == "https":
            await _check_expiry(parts, trust, report)
    _check_answers(answers, parts, report, slow_seconds)
    return report.findings


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in _DEFAULT_PORTS and parts.hostname and parts.port != 0 and " " not in url:
            parts.hostname.encode("idna")
            return parts
    except ValueError:  # UnicodeError is one
        pass
    raise ConfigurationError(f"{url!r} is no address; it must be like https://bot.example.com/qqbot")


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"{ca_file} cannot be used as certificates to trust (PEM): {error}") from error


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _check_url(parts: SplitResult, report: _Report) -> None:
    port = _port(parts)
    if port not in _PORTS:
        report.wrong(f"port {port}: the platform calls {', '.join(map(str, _PORTS[:-1]))} and {_PORTS[-1]} only")
    if parts.scheme != "https":
        report.wrong("http: the platform calls https only")
    try:
        is_public = ipaddress.ip_address(parts.hostname or "").is_global
    except ValueError:
        is_public = parts.hostname != "localhost"
    if not is_public:
        report.note(f"{parts.hostname} can be reached from here, and not by the platform")


def _check_answers(answers: Answers, parts: SplitResult, report: _Report, slow_seconds: float) -> None:
    slowest = max(one.seconds for one in answers.all)
    if slowest > slow_seconds:
        report.wrong(f"slow answer: {slowest:.2f} s; the platform waits about {slow_seconds:g} s, and then asks again")
    else:
        report.good(f"it answers within {slowest * 1000:.0f} ms")
    first = answers.all[0]
    if first.status in _REDIRECTS:
        report.wrong(f"it redirects to {first.location}; the platform does not follow: enter that address")
    elif first.status in _NOT_HERE:
        report.wrong(
            f"{first.status}: nothing receives at {parts.path or '/'}; compare it with WebhookOptions(path=...)"
        )
    elif first.status >= _SERVER_ERROR:
        report.wrong(f"{first.status}: a proxy answers, and the bot behind it does not run, or another port is meant")
    else:
        _check_signatures(answers, report)


def _check_signatures(answers: Answers, report: _Report) -> None:
    if answers.spellings and all(one.status in _SUCCESSES and not one.signed for one in answers.all):
        report.wrong(
            f"it answers {answers.forged.status}, and not what op 13 asks for: what receives at this path is no bot"
        )
        return
    if answers.forged.status in _SUCCESSES:
        what = "signs whatever a stranger sends" if answers.forged.signed else "takes a forged request for good"
        report.wrong(f"it {what}: signatures are not verified, so anybody can make events up")
    else:
        report.good(f"a forged request is refused ({answers.forged.status})")
    if not answers.spellings:
        report.note("give --appid and --secret as well to have signatures checked")
        return
    proven = [one.proven for one in answers.spellings]
    if all(proven):
        report.good("it proves that it knows the secret: the console will accept it")
    elif any(proven) or answers.rewritten:
        report.wrong("body altered: a proxy before the bot writes the body anew; it must pass the bytes as they are")
    elif any(one.signed for one in answers.spellings):
        report.wrong("wrong secret: it signs with another one")
    else:
        _explain_refusal(answers.spellings[0], report)


def _explain_refusal(answer: Answer, report: _Report) -> None:
    if answer.skew is not None and abs(answer.skew) > _SKEW_SECONDS:
        report.wrong(f"the clocks differ by {abs(answer.skew):.0f} s; one of the two machines has a wrong time")
    elif answer.status == _OK:
        report.wrong("it answers 200 to what is signed with this secret, and not with what op 13 asks for")
    else:
        report.wrong(
            f"wrong secret: it refuses ({answer.status}) what is signed with this one; or the bot runs with another "
            "appid, or a proxy takes the X- headers away or changes the body"
        )


async def _check_expiry(parts: SplitResult, trust: ssl.SSLContext, report: _Report) -> None:
    try:
        expires = await expiry(parts.hostname or "", _port(parts), trust)
    except OSError:  # it answered before, so its certificate is good now
        return
    left = expires - dt.datetime.now(dt.UTC)
    if left < _EXPIRES_SOON:
        report.note(f"the certificate is good for {left.days} more days only")
    else:
        report.good(f"the certificate is good until {expires:%Y-%m-%d}")


def _no_answer(error: aiohttp.ClientError, parts: SplitResult) -> str:
    """Say why the address could not be called."""
    where = f"{parts.hostname} port {_port(parts)}"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            why = getattr(cause, "verify_message", "") or str(cause)
            return f"certificate: {why}; the platform takes only what a public authority signed, with its whole chain"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {parts.hostname} is not known"
        case aiohttp.ClientSSLError():
            return f"{where} does not speak TLS: give the bot certfile and keyfile, or let a proxy do it"
        case aiohttp.ClientConnectorError():
            return f"nothing answers at {where}: {_os_reason(error.os_error)}"
        case aiohttp.ClientResponseError():
            return f"{where} does not speak HTTP"
        case _:
            hint = "" if parts.scheme == "https" else "; if it speaks TLS, the address begins with https://"
            return f"{where} ended the connection without an answer: {error}{hint}"


def _os_reason(error: OSError) -> str:
    """Say why a connection failed; asyncio puts a text of its own in the place of the system's."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "the connection was cut"

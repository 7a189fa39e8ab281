"""Answers the platform's requests, and hands what they bring to the bots."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import ClientError, web
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy

from bot_core.gateway.actions import Dispatch
from bot_core.openapi.values import Opcode
from bot_core.webhook._certificate import Certificate
from bot_core.webhook._door import Door
from bot_core.webhook._refusals import Reason, Refusals, RefusedError
from bot_core.webhook.options import WebhookOptions
from qqmedia import ConfigurationError

__all__ = ("WebhookServer",)

_MOST_BYTES: Final = 1024 * 1024
# A body that is not whole by then comes from nobody who needs an answer.
_BODY_SECONDS: Final = 5.0
# A connection on which nothing comes, from the first moment on; as proxies have it.
_IDLE_SECONDS: Final = 75.0
# Requests that still run when the last bot leaves; each takes milliseconds.
_SHUTDOWN_SECONDS: Final = 1.0
# What is left of a body that was refused is read for so long, so that the sender sees the answer.
_LINGER_SECONDS: Final = 1.0

# A stranger does not learn which versions of what answer here.
_NAMELESS: Final = {"Server": ""}
_JSON: Final = {"Content-Type": "application/json", **_NAMELESS}
_TAKEN: Final = b'{"op":12,"d":0}'
_NO_ROOM: Final = b'{"op":12,"d":1}'

logger = logging.getLogger("bot_core.webhook")


class WebhookServer:
    """One listener for all bots that name its address; lent by `bot_core.webhook.lending`.

    Attributes:
        options: As they came out: with the port that was got.
        refusals: What was refused.
    """

    def __init__(
        self,
        options: WebhookOptions,
        certificate: Certificate | None,
        *,
        body_seconds: float = _BODY_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self.options = options
        self.refusals = Refusals(later=asyncio.get_running_loop().call_later)
        self._certificate = certificate
        self._watching: asyncio.Task[None] | None = None
        self._body_seconds = body_seconds
        self._proxies = options.proxy_networks()
        self._doors: dict[tuple[str, str], Door] = {}
        self._paths: Counter[str] = Counter()
        # A body that is unpacked on the way is not the body that was signed.
        server = web.Server(
            self._handle,
            access_log=None,
            logger=_http_logger(),
            auto_decompress=False,
            lingering_time=_LINGER_SECONDS,
            keepalive_timeout=idle_seconds,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        addresses = self._runner.addresses
        return int(addresses[0][1]) if addresses else self.options.port

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: The port is taken or not allowed, or the address is not one of this machine.
        """
        host, port = self.options.host, self.options.port
        certificate = self._certificate
        await self._runner.setup()
        try:
            tls = certificate.context if certificate is not None else None
            await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        except OSError as error:
            await self.stop()
            raise ConfigurationError(_cannot_listen(host, port, error)) from error
        if certificate is not None:  # `stop` ends it
            self._watching = asyncio.create_task(certificate.watch(), name=f"webhook certificate {port}")

    async def stop(self) -> None:
        """Release the port."""
        self.refusals.flush()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._runner.cleanup()

    @contextmanager
    def door(self, path: str, door: Door) -> Iterator[None]:
        """Let events for this bot in while the block runs.

        Raises:
            ConfigurationError: The bot receives here already.
        """
        key = (path, door.appid)
        if key in self._doors:
            raise ConfigurationError(
                f"bot {door.appid} receives at port {self.port}, path {path} already; start it once"
            )
        self._doors[key] = door
        self._paths[path] += 1
        try:
            yield
        finally:
            del self._doors[key]
            self._paths -= Counter((path,))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path.partition("?")[0]
        if request.method != "POST" or path not in self._paths:
            if "X-Bot-Appid" in request.headers:  # scanners of the internet are not worth a line
                self.refusals.note(Reason.PATH, self._client(request))
            return _closing(404)
        try:
            return web.Response(body=await self._receive(request, path), headers=_JSON)
        except RefusedError as refused:
            self.refusals.note(refused.reason, self._client(request))
            return _closing(401)

    async def _receive(self, request: web.BaseRequest, path: str) -> bytes:
        """Prove that the platform sent it, before a byte of it is understood; then do it. Return the answer."""
        headers = request.headers
        appid, timestamp = _only(headers, "X-Bot-Appid"), _only(headers, "X-Signature-Timestamp")
        signature = _only(headers, "X-Signature-Ed25519")
        door = self._doors.get((path, appid))
        if door is None:
            raise RefusedError(Reason.APPID)
        door.check_headers(signature, timestamp)
        body = await _body(request, self._body_seconds)
        door.check_body(signature, timestamp, body)
        return _answer(door, signature, _frame(body))

    def _client(self, request: web.BaseRequest) -> str:
        """Return the address that a request came from, for the log: the last one that no trusted proxy has."""
        address = request.remote or "an unknown address"
        if not self._proxies:
            return address
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        try:
            while forwarded and self._is_trusted(address):
                address = str(ipaddress.ip_address(forwarded.pop().strip()))
        except ValueError:  # what a proxy did not write: what is known so far must do
            pass
        return address

    def _is_trusted(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._proxies)


def _only(headers: CIMultiDictProxy[str], name: str) -> str:
    """Return a header that must be there once: of two, a proxy may have judged the other one."""
    values = headers.getall(name, ())
    if len(values) != 1:
        raise RefusedError(Reason.HEADERS)
    return values[0]


def _frame(body: bytes) -> dict[str, Any]:
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(Reason.BODY) from None
    if not isinstance(frame, dict) or type(frame.get("op")) is not int:
        raise RefusedError(Reason.BODY)
    return frame


def _answer(door: Door, signature: str, frame: dict[str, Any]) -> bytes:
    """Do what a proven frame asks for, as far as it is quick, and return the answer."""
    opcode, data = frame["op"], frame.get("d")
    if opcode == Opcode.DISPATCH:
        return _taken(door, signature, frame)
    if opcode == Opcode.CALLBACK_VALIDATION:
        return _validated(door, data)
    if opcode == Opcode.HEARTBEAT:
        return json.dumps({"op": Opcode.HEARTBEAT_ACK.value, "d": data}).encode()
    logger.debug("webhook: op %d is not known and was acknowledged", opcode)
    return _TAKEN  # to send it again would not help


def _taken(door: Door, signature: str, frame: dict[str, Any]) -> bytes:
    name, event_id = frame.get("t"), frame.get("id")
    if not isinstance(name, str) or not name:
        raise RefusedError(Reason.BODY)
    key = signature.lower()
    if not door.replays.add(key):
        logger.debug("webhook: %s came again and was acknowledged again", name)
        return _TAKEN
    dispatch = Dispatch(event_id if isinstance(event_id, str) else "", name, frame.get("d"), None)
    if not door.take(dispatch):
        door.replays.forget(key)
        return _NO_ROOM
    return _TAKEN


def _validated(door: Door, data: object) -> bytes:
    """Prove to the console that this bot knows the secret. Only for who proved the same: see `signature`."""
    token, moment = (data.get("plain_token"), data.get("event_ts")) if isinstance(data, dict) else (None, None)
    if type(moment) is int:  # the platform's numbers come either way
        moment = str(moment)
    if not isinstance(token, str) or not isinstance(moment, str):
        raise RefusedError(Reason.BODY)
    logger.info("webhook of bot %s: the platform checks the address", door.appid)
    signature = door.key.sign(f"{moment}{token}".encode("utf-8", "surrogatepass"))
    return json.dumps({"plain_token": token, "signature": signature}).encode()


async def _body(request: web.BaseRequest, seconds: float) -> bytes:
    """Return the raw body; usually it is there already."""
    if (request.content_length or 0) > _MOST_BYTES:
        raise RefusedError(Reason.SIZE)
    content = request.content
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(None if content.is_eof() else seconds):
            while piece := await content.readany():
                pieces.append(piece)
                size += len(piece)
                if size > _MOST_BYTES:
                    raise RefusedError(Reason.SIZE)
    except (ClientError, ConnectionError, HttpProcessingError, TimeoutError, web.RequestPayloadError):
        raise RefusedError(Reason.UNREAD) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _closing(status: int) -> web.Response:
    response = web.Response(status=status, headers=_NAMELESS)
    response.force_close()
    return response


def _http_logger() -> logging.Logger:
    """Return the logger for aiohttp: what scanners of the internet send must not fill a bot's log with tracebacks."""
    http_logger = logging.getLogger("bot_core.webhook.http")
    http_logger.addFilter(_is_no_gibberish)  # the same function each time: it is added once
    return http_logger


def _is_no_gibberish(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"webhook port {port} is taken by another program (or by a bot here that names another host than {host}); "
            "end it, or set another WebhookOptions(port=...)"
        )
    if isinstance(error, PermissionError):
        return (
            f"this user may not listen on webhook port {port}; ports below 1024 need a right (or a proxy before the "
            "bot), 8080 and 8443 do not"
        )
    return f"the webhook cannot listen on {host} port {port}: {error.strerror or error}"

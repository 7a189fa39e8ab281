"""The platform's HTTP interface: one typed method an endpoint, one request in one place."""

from __future__ import annotations

import asyncio
import io
import json as json_module
import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from bot_core.adapter import Response
from bot_core.errors import OpenAPIError
from bot_core.openapi.answers import no_answer, read_answer
from bot_core.openapi.bodies import Base64Source, StreamedBody, streamed_json
from bot_core.openapi.chunks import UploadPlan, read_plan
from bot_core.openapi.codes import CodeKind, kind_of, look_up
from bot_core.openapi.pace import Pacer
from bot_core.openapi.replies import RawReply, reply_in
from bot_core.openapi.token import AccessTokenSource
from bot_core.openapi.values import (
    DEFAULT_API_BASE,
    BotUser,
    FileInfo,
    FileType,
    GatewayInfo,
    SentMessage,
    Target,
    as_int,
)

__all__ = ("OpenAPIClient",)

_TIMEOUT_SECONDS: Final = 15.0

# ``/files`` answers when the platform has downloaded and converted the medium.
_FILES_TIMEOUT_SECONDS: Final = 120.0

# What a call is left with that waited for its turn to the last moment.
_LEAST_SECONDS: Final = 0.1

# How long a call waits for its turn where its caller gives no limit.
_PATIENCE_SECONDS: Final = 60.0

# All of a large body takes no longer than a line of 1 Mbit/s does, and the platform a minute on top.
_IDLE_SECONDS: Final = 60.0
_SLOWEST_BYTES_PER_SECOND: Final = 128 * 1024

# Enough for every handler to call at once; more would only queue at the platform. The HTTP session may be shared with
# other accounts, so that this is each one's own limit.
_CALLS_AT_ONCE: Final = 300

# aiohttp writes raw bytes in one go and warns above 1 MiB; a file object it writes in pieces.
_LARGE_BODY_BYTES: Final = 256 * 1024

# Compact, and Chinese as it is.
_encode: Final = json_module.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

logger = logging.getLogger("bot_core.openapi")


class OpenAPIClient:
    """Calls the platform as one bot.

    A call that the platform refuses because of the token is repeated once with a new one. Nothing else is repeated
    here: whoever knows what a repetition means decides.

    Args:
        http: Shared session; not closed here.
        api_base: Address without path.
        tokens: Where the access token comes from.
        timeout: Seconds that a call may take, ``/files`` aside.
        pacer: Holds calls back when the platform says that they come too fast; by default nobody does.
        at_once: How many calls may be under way; more wait for one to end.
        replied: Hears of replies that went out by `request`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        api_base: str = DEFAULT_API_BASE,
        tokens: AccessTokenSource,
        timeout: float = _TIMEOUT_SECONDS,
        pacer: Pacer | None = None,
        at_once: int = _CALLS_AT_ONCE,
        replied: Callable[[RawReply], None] | None = None,
    ) -> None:
        self._http = http
        self._replied = replied
        self._places = asyncio.Semaphore(at_once)
        self._pacer = pacer if pacer is not None else Pacer(None)
        self._base = api_base.rstrip("/")
        self._tokens = tokens
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._files_timeout = aiohttp.ClientTimeout(total=max(timeout, _FILES_TIMEOUT_SECONDS))

    def __repr__(self) -> str:
        return f"<OpenAPIClient of {self._tokens.appid} at {self._base}>"

    async def post_message(
        self, target: Target, body: Mapping[str, Any], *, timeout: float | None = None
    ) -> SentMessage:
        """Send a message. One that is audited first has the `id` ``""`` and the audit's data in `raw`.

        Args:
            target: Where to.
            body: The message.
            timeout: Seconds that all of it may take, with the time that it is held back; the call itself never takes
                more than the client's own limit.

        Raises:
            OpenAPIError: The platform refused, or did not answer; see the subclasses.
        """
        unasked = not (body.get("msg_id") or body.get("event_id"))
        raw, trace_id = await self._traced(
            "POST", _chat(target, "messages"), _encode(body).encode(), success="id", within=timeout, unasked=unasked
        )
        raw = raw if isinstance(raw, dict) else {}
        return SentMessage(id=str(raw.get("id") or ""), raw=raw, trace_id=trace_id)

    async def post_file(
        self,
        target: Target,
        *,
        file_type: FileType,
        url: str | None = None,
        file_data: str | Base64Source | None = None,
        upload_id: str | None = None,
        file_name: str | None = None,
        timeout: float | None = None,
    ) -> FileInfo:
        """Hand a medium over by `url`, `file_data` or `upload_id`, whichever is given; sends nothing yet.

        `file_data` is base64, or what is to be encoded while it is sent, so that no more than a piece of it is held.
        `timeout` is in seconds; without it, what the size asks for.

        Raises:
            MediaRefusedError: The platform does not take it, or could not fetch the URL.
            OpenAPIError: As for any call.
        """
        fields: dict[str, Any] = {"file_type": int(file_type), "srv_send_msg": False}
        given = {"url": url, "upload_id": upload_id, "file_name": file_name}
        fields.update({name: value for name, value in given.items() if value is not None})
        path = _chat(target, "files")
        body = _with_file_data(fields, file_data)
        limit = self._files_timeout if timeout is None else _total(timeout)
        if timeout is None and isinstance(file_data, Base64Source):
            slow = _IDLE_SECONDS + file_data.size / _SLOWEST_BYTES_PER_SECOND
            limit = aiohttp.ClientTimeout(total=max(limit.total or 0, slow))
        raw, trace_id = await self._traced("POST", path, body, success="file_info", timeout=limit)
        file_info = raw.get("file_info") if isinstance(raw, dict) else None
        if not isinstance(file_info, str) or not file_info:
            # The platform is known to answer 200 with an empty body when it is busy; that passes.
            raise OpenAPIError(f"POST {path} failed: the answer has no file_info; try again", status=200, path=path)
        return FileInfo(
            file_info=file_info,
            ttl_seconds=as_int(raw.get("ttl"), 0) or None,
            file_uuid=str(raw.get("file_uuid") or ""),
            raw=raw,
            trace_id=trace_id,
        )

    async def upload_prepare(
        self, target: Target, *, file_type: FileType, file_name: str, size: int, md5: str, sha1: str, md5_10m: str
    ) -> UploadPlan:
        """Begin a chunked upload; return how the platform wants the file to be cut, and where the parts go.

        Raises:
            QuotaError: The volume of today is used up.
            OpenAPIError: As for any call.
        """
        fields = {
            "file_type": int(file_type),
            "file_size": str(size),
            "file_name": file_name,
            "md5": md5,
            "sha1": sha1,
            "md5_10m": md5_10m,
        }
        path = _chat(target, "upload_prepare")
        raw, trace_id = await self._traced("POST", path, _encode(fields).encode(), success="upload_id")
        return read_plan(raw, size=size, path=path, trace_id=trace_id)

    async def upload_part_finish(
        self, target: Target, *, upload_id: str, part_index: int, block_size: int | str, md5: str
    ) -> None:
        """Report that a part is at its place.

        Raises:
            OpenAPIError: The platform cannot take it, or not yet.
        """
        fields = {"upload_id": upload_id, "part_index": part_index, "block_size": block_size, "md5": md5}
        await self._call("POST", _chat(target, "upload_part_finish"), _encode(fields).encode())

    async def delete_message(self, target: Target, message_id: str) -> None:
        """Recall a message; the platform allows it for 2 minutes.

        Raises:
            OpenAPIError: The platform refused.
        """
        await self._call("DELETE", f"{_chat(target, 'messages')}/{quote(message_id, safe='')}")

    async def put_interaction(self, interaction_id: str, code: int = 0) -> None:
        """Acknowledge a pressed button, which must happen within about 5 s."""
        body = _encode({"code": code}).encode()
        await self._call("PUT", f"/interactions/{quote(interaction_id, safe='')}", body)

    async def get_me(self) -> BotUser:
        """Return who the bot is."""
        raw = await self._call("GET", "/users/@me", success="id")
        fields = raw if isinstance(raw, dict) else {}
        return BotUser(id=str(fields.get("id") or ""), username=str(fields.get("username") or ""))

    async def get_gateway(self) -> str:
        """Return the address of the WebSocket. The platform allows 2 calls a minute: keep the answer."""
        return _gateway_url(await self._call("GET", "/gateway", success="url"), "/gateway")

    async def get_gateway_bot(self) -> GatewayInfo:
        """Return the address, the recommended number of shards and how many sessions may be started."""
        path = "/gateway/bot"
        raw = await self._call("GET", path, success="url")
        url = _gateway_url(raw, path)
        limit = raw.get("session_start_limit")
        limit = limit if isinstance(limit, dict) else {}
        return GatewayInfo(
            url=url,
            shards=max(1, as_int(raw.get("shards"), 1)),
            total=as_int(limit.get("total"), 0),
            remaining=as_int(limit.get("remaining"), 0),
            reset_after_seconds=as_int(limit.get("reset_after"), 0) / 1000,
            max_concurrency=max(1, as_int(limit.get("max_concurrency"), 1)),
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Call an endpoint that has no method here, and return the decoded answer (``{}`` where it is empty).

        Args:
            method: `GET`, `POST` ...
            path: Begins with ``/``; ids in it are quoted by the caller. The two may be given the other way round, as
                AmiyaBot has them.
            json: Body.
            params: Query.
            timeout: Seconds; the client's own where `None`.

        Raises:
            OpenAPIError: The platform refused, or did not answer; see the subclasses.
        """
        if method.startswith("/"):
            method, path = path, method
        body = None if json is None else _encode(json).encode()
        limit = None if timeout is None else aiohttp.ClientTimeout(total=timeout)
        answer = await self._call(method.upper(), path, body, params=params, timeout=limit)
        if self._replied is not None and isinstance(json, Mapping):
            reply = reply_in(path, json)
            if reply is not None:
                self._replied(reply)
        return Response(answer) if isinstance(answer, dict) else answer

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Do `request` with GET."""
        return await self.request("GET", path, params=params)

    async def post(self, path: str, json: Any = None, *, params: Mapping[str, str | int] | None = None) -> Any:
        """Do `request` with POST."""
        return await self.request("POST", path, json=json, params=params)

    async def _call(self, method: str, path: str, body: bytes | None = None, **options: Any) -> Any:
        return (await self._traced(method, path, body, **options))[0]

    async def _traced(
        self,
        method: str,
        path: str,
        body: bytes | StreamedBody | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        success: str = "",
        timeout: aiohttp.ClientTimeout | None = None,
        within: float | None = None,
        unasked: bool = False,
    ) -> tuple[Any, str]:
        """Return the decoded answer, and the trace id that came with it."""
        timeout = timeout or self._timeout
        if self._pacer.holds:
            within = await self._wait_turn(method, path, within, unasked=unasked)
        if within is not None and timeout.total is not None and within < timeout.total:
            timeout = aiohttp.ClientTimeout(total=max(within, _LEAST_SECONDS))
        url = URL(self._base + path, encoded=True)
        if params:
            url = url.update_query(params)
        request = _Request(method, path, url, body, success, timeout)
        try:
            return await self._authorised(request)
        except OpenAPIError as error:
            if error.path == path:  # and not the token's
                self._pacer.note(method, path, error, unasked=unasked)
            if error.codes and not any(map(look_up, error.codes)):
                logger.warning("a code of the platform that is not known here: %s", error)
            raise

    async def _wait_turn(self, method: str, path: str, within: float | None, *, unasked: bool) -> float | None:
        """Wait until this call may be made; return what is left of `within`."""
        began = time.monotonic()
        patience = within if within is not None else _PATIENCE_SECONDS
        await self._pacer.turn(method, path, unasked=unasked, patience=patience)
        return None if within is None else within - (time.monotonic() - began)

    async def _authorised(self, request: _Request) -> tuple[Any, str]:
        """Make the call; with a new token once more if the platform does not accept the one it came with."""
        token = await self._tokens.get()
        try:
            return await self._once(request, token)
        except OpenAPIError as error:
            if error.status is None or kind_of(error) is not CodeKind.REFRESH_TOKEN:
                raise
            self._tokens.invalidate(token)
        return await self._once(request, await self._tokens.get())

    async def _once(self, request: _Request, token: str) -> tuple[Any, str]:
        if self._places.locked():
            request = await self._wait_place(request)
        else:
            await self._places.acquire()
        try:
            return await self._exchange(request, token)
        finally:
            self._places.release()

    async def _wait_place(self, request: _Request) -> _Request:
        """Take the place of a call that ends; return the request with the time that is left for it."""
        began, limit = time.monotonic(), request.timeout.total
        try:
            async with asyncio.timeout(limit):
                await self._places.acquire()
        except TimeoutError:
            raise OpenAPIError(  # without a path: no call was made, so that it cannot have been carried out
                f"{request.method} {request.path} was not sent: too many other calls of this bot were under way for"
                f" {limit:g} s; send less at once"
            ) from None
        if limit is None:
            return request
        left = max(limit - (time.monotonic() - began), _LEAST_SECONDS)
        return request._replace(timeout=aiohttp.ClientTimeout(total=left))

    async def _exchange(self, request: _Request, token: str) -> tuple[Any, str]:
        method, path, url, body, success, timeout = request
        call = f"{method} {path}"
        headers = {"Authorization": f"QQBot {token}", "Content-Type": "application/json; charset=utf-8"}
        data: Any = body
        if isinstance(body, StreamedBody):
            data, headers["Content-Length"] = body.pieces(), str(body.size)
        elif body is not None:  # named here, so that aiohttp need not look for what fits
            data = aiohttp.BytesPayload(body) if len(body) <= _LARGE_BODY_BYTES else io.BytesIO(body)
        try:
            response = await self._http.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            )
            answer = await response.read()  # which gives the connection back, or closes it
            status, answer_headers = response.status, response.headers
        except aiohttp.ClientResponseError as error:  # its repr shows the request's headers, and so the token
            raise no_answer(call, path, error, seconds=None) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(body, StreamedBody) and body.unreadable:
                raise body.unreadable.pop() from None
            raise no_answer(call, path, error, seconds=timeout.total) from error
        decoded = read_answer(
            call, path, status=status, headers=answer_headers, body=answer, success=success, secret=token
        )
        return decoded, answer_headers.get("X-Tps-trace-ID") or ""


class _Request(NamedTuple):
    method: str
    path: str
    url: URL
    body: bytes | StreamedBody | None
    success: str
    timeout: aiohttp.ClientTimeout


@lru_cache(64)
def _total(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)


@lru_cache(1024)
def _chat(target: Target, what: str) -> str:
    """Return the path; an openid is not always made of letters and digits."""
    return f"/v2/{target.scene.value}/{quote(target.openid, safe='')}/{what}"


def _with_file_data(fields: Mapping[str, Any], file_data: str | Base64Source | None) -> bytes | StreamedBody:
    """Return the JSON body. Base64 needs no escaping, so megabytes of it are copied, not scanned by the encoder."""
    body = _encode(fields).encode()
    if file_data is None:
        return body
    if isinstance(file_data, Base64Source):
        return streamed_json(body[:-1] + b',"file_data":"', file_data, b'"}')
    if not file_data.isascii() or '"' in file_data or "\\" in file_data:
        raise ValueError("file_data must be base64 without a `data:` prefix")
    return b"".join((body[:-1], b',"file_data":"', file_data.encode("ascii"), b'"}'))


def _gateway_url(raw: Any, path: str) -> str:
    url = raw.get("url") if isinstance(raw, dict) else None
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://", "http://", "https://")):
        raise OpenAPIError(f"GET {path} failed: the answer has no address of a WebSocket", status=200, path=path)
    return url

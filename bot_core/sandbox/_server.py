"""The HTTP side: finds out which call it is, lets faults happen, checks the token, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import unquote

from aiohttp import web

from bot_core.openapi.values import Scene, Target
from bot_core.sandbox._answers import PROXY_TOO_LARGE, RefusedCallError, encode, error_body, parse_object
from bot_core.sandbox._faults import Fault, FaultMode, Faults
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._gateway import Gateway, bot_id
from bot_core.sandbox._ids import Directory, Names
from bot_core.sandbox._messages import MessageDesk
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._record import Record
from bot_core.sandbox._tokens import TokenDesk
from bot_core.sandbox._values import Refused

__all__ = ("PlatformServer",)

TOKEN_PATH: Final = "/app/getAppAccessToken"  # noqa: S105 - an address
GATEWAY_PATH: Final = "/websocket"
CONTROL_PREFIX: Final = "/sandbox"

_FOREIGN_OPENID: Final = 11255
_TOO_LARGE: Final = 413
_OK: Final = 200

_PROXY_PAGE: Final = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
)

Answer: TypeAlias = bytes | web.StreamResponse
Call: TypeAlias = Callable[[web.BaseRequest, str, tuple[str, ...]], Awaitable[Answer]]
"""A call that carries a token: the request, the bot's appid, and what its path names."""


class PlatformServer:
    """One handler for everything that comes over HTTP."""

    def __init__(  # one argument a part of the platform
        self,
        options: SandboxOptions,
        names: Names,
        directory: Directory,
        record: Record,
        faults: Faults,
        *,
        tokens: TokenDesk,
        gateway: Gateway,
        files: FileDesk,
        messages: MessageDesk,
        control: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> None:
        self.gateway_url = ""
        self._options = options
        self._names = names
        self._directory = directory
        self._record = record
        self._faults = faults
        self._tokens = tokens
        self._gateway = gateway
        self._files = files
        self._messages = messages
        self._control = control
        self._fixed: dict[tuple[str, str], tuple[str, Call]] = {
            ("GET", "/users/@me"): ("me", self._me),
            ("GET", "/gateway"): ("gateway", self._where),
            ("GET", "/gateway/bot"): ("gateway", self._where_for_bot),
        }
        self._in_chat: dict[tuple[str, str, int], tuple[str, Call]] = {
            ("POST", "messages", 5): ("messages", self._post_message),
            ("POST", "files", 5): ("files", self._post_file),
            ("DELETE", "messages", 6): ("recall", self._recall),
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path.partition("?")[0]
        if path.startswith(CONTROL_PREFIX):
            return await self._control(request)
        kind, call, named = self._find(request.method, path)
        fault = None
        if kind:
            self._record.calls[kind] += 1
            fault = self._faults.take(kind) if self._faults else None
        if fault is not None:
            answered = await self._suffer(request, fault, kind, path)
            if answered is not None:
                return answered
        try:
            answer = await self._answer(request, kind, path, call, named)
        except ConnectionError:  # the bot went away in the middle of its request
            return _cut(request)
        if fault is not None and fault.mode is FaultMode.LOSE_ANSWER:
            return _cut(request)
        return answer

    def _find(self, method: str, path: str) -> tuple[str, Call | None, tuple[str, ...]]:
        parts = path.split("/")
        size = len(parts)
        if size in (5, 6) and parts[1] == "v2" and parts[2] in ("groups", "users"):
            found = self._in_chat.get((method, parts[4], size))
            if found is not None:
                return found[0], found[1], tuple(unquote(part) for part in (parts[2], parts[3], *parts[5:]))
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed[0], fixed[1], ()
        if (method, path) == ("POST", TOKEN_PATH):
            return "token", None, ()
        if (method, path) == ("GET", GATEWAY_PATH):
            return "websocket", None, ()
        if method == "PUT" and size == 3 and parts[1] == "interactions":  # noqa: PLR2004 - /interactions/{id}
            return "interactions", self._put_interaction, (unquote(parts[2]),)
        return "", None, ()

    async def _answer(
        self, request: web.BaseRequest, kind: str, path: str, call: Call | None, named: tuple[str, ...]
    ) -> web.StreamResponse:
        appid = ""
        try:
            if call is not None:
                appid = self._tokens.check(request.headers.get("Authorization"))
                answer = await call(request, appid, named)
            elif kind == "token":
                answer = encode(self._tokens.issue(await self._body(request)))
            elif kind == "websocket":
                answer = await self._websocket(request)
            else:
                return self._refusal(_unknown(request.method, path), kind, path, appid)
        except RefusedCallError as error:
            return self._refusal(error, kind, path, appid)
        return answer if isinstance(answer, web.StreamResponse) else self._json(_OK, answer, self._names.trace())

    def _refusal(self, error: RefusedCallError, kind: str, path: str, appid: str) -> web.Response:
        at = self._options.clock()
        self._record.note(
            Refused(
                kind=kind, path=path, status=error.status, code=error.code, message=error.message, appid=appid, at=at
            )
        )
        if error.status == _TOO_LARGE:
            return _page(_TOO_LARGE, PROXY_TOO_LARGE)
        trace_id = self._names.trace()
        if kind == "token":
            return self._json(error.status, encode({"code": error.code, "message": error.message}), trace_id)
        return self._json(error.status, error_body(error.code, error.message, trace_id), trace_id)

    async def _suffer(self, request: web.BaseRequest, fault: Fault, kind: str, path: str) -> web.StreamResponse | None:
        """Let a fault happen; return the answer unless the call is still to be done."""
        if fault.mode is FaultMode.STALL:
            await asyncio.sleep(fault.seconds)
            return None
        if fault.mode is FaultMode.CUT:
            return _cut(request)
        if fault.mode is FaultMode.LOSE_ANSWER:
            return None
        await self._body(request, limit=False)
        if fault.html:
            return _page(fault.status, _PROXY_PAGE.format(f"{fault.status} {fault.message}").encode())
        return self._refusal(RefusedCallError(fault.status, fault.code, fault.message), kind, path, "")

    async def _body(self, request: web.BaseRequest, *, limit: bool = True) -> bytes:
        most = self._options.inline_body_bytes if limit else 0
        if most and (request.content_length or 0) > most:
            raise RefusedCallError(_TOO_LARGE, 0, f"the body has {request.content_length} bytes, allowed are {most}")
        pieces: list[bytes] = []
        size = 0
        while piece := await request.content.readany():
            pieces.append(piece)
            size += len(piece)
            if most and size > most:
                raise RefusedCallError(_TOO_LARGE, 0, f"the body has more than {most} bytes")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @staticmethod
    def _json(status: int, body: bytes, trace_id: str) -> web.Response:
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Tps-trace-ID": trace_id}
        return web.Response(body=body, status=status, headers=headers)

    # --- the calls

    async def _me(self, _request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        return encode({"id": bot_id(appid), "username": self._options.bot_name, "avatar": ""})

    async def _where(self, _request: web.BaseRequest, _appid: str, _named: tuple[str, ...]) -> Answer:
        return encode({"url": self.gateway_url})

    async def _where_for_bot(self, _request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        shards = self._options.recommended_shards
        limit = self._gateway.start_limit(appid)
        return encode({"url": self.gateway_url, "shards": shards, "session_start_limit": limit})

    async def _websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise RefusedCallError(400, 0, "this address is for WebSockets")
        return await self._gateway.serve(request)

    async def _post_message(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        raw = await self._body(request)
        return self._messages.post(appid, self._target(appid, named), raw)

    async def _post_file(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        raw = await self._body(request)
        target = self._target(appid, named)
        answer, media, send_now = await self._files.post(appid, target, raw)
        if send_now:
            answer["id"] = self._messages.send_file(appid, target, media)
        return encode(answer)

    async def _recall(self, _request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        self._messages.recall(appid, self._target(appid, named), named[2])
        return b"{}"

    async def _put_interaction(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        body = parse_object(await self._body(request))
        self._messages.acknowledge(appid, named[0], body.get("code"))
        return b"{}"

    def _target(self, appid: str, named: tuple[str, ...]) -> Target:
        scene, openid = Scene(named[0]), named[1]
        known = self._directory.known(openid)
        if not openid or (
            known is not None and (known.appid != appid or (known.kind == "group") is not (scene is Scene.GROUP))
        ):
            raise RefusedCallError(
                400, _FOREIGN_OPENID, f"invalid request: the openid is not one of this bot's {scene}"
            )
        return Target(scene, openid)


def _unknown(method: str, path: str) -> RefusedCallError:
    return RefusedCallError(404, 0, f"the sandbox has no {method} {path}")


def _page(status: int, body: bytes) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": "text/html", "server": "stgw"})


def _cut(request: web.BaseRequest) -> web.Response:
    """Cut the connection; the answer that is returned never gets out."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=_OK)

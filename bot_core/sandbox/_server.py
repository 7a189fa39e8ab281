"""The HTTP side: finds out which call it is, lets faults happen, checks the token, answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bot_core.sandbox._answers import PROXY_TOO_LARGE, RefusedCallError, encode, error_body
from bot_core.sandbox._bodies import TOO_LARGE_STATUS, drain
from bot_core.sandbox._calls import Answer, Reply
from bot_core.sandbox._desks import Desks
from bot_core.sandbox._faults import Fault, FaultMode, Faults
from bot_core.sandbox._limits import CallLimits
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._routes import Route, find_route
from bot_core.sandbox._storage import StorageRefusedError
from bot_core.sandbox._values import Refused, UploadCall

__all__ = ("PlatformServer",)

CONTROL_PREFIX: Final = "/sandbox"

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_ADDRESS_NOT_LISTED: Final = 11298

_PROXY_PAGE: Final = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
)

# Calls that go to a presigned address.
_STORAGE_KINDS: Final = frozenset({"upload_part", "image_put", "raw_url"})

# Calls of which every request is kept with its headers.
_KEPT_KINDS: Final = frozenset(
    {
        "files",
        "upload_prepare",
        "upload_part",
        "upload_part_finish",
        "raw_url",
        "image_prepare",
        "image_put",
        "image_complete",
        "image_list",
        "image_delete",
    }
)


class PlatformServer:
    """One handler for everything that comes over HTTP."""

    def __init__(
        self,
        options: SandboxOptions,
        desks: Desks,
        faults: Faults,
        *,
        control: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> None:
        self._options = options
        self._faults = faults
        self._names = desks.names
        self._record = desks.record
        self._tokens = desks.tokens
        self._calls = desks.calls
        self._control = control
        self._running: Counter[str] = Counter()
        self._limits = CallLimits(options.limits, options.clock)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path.partition("?")[0]
        if path.startswith(CONTROL_PREFIX):
            return await self._control(request)
        route = find_route(request.method, path)
        kind = route.kind
        if kind:
            self._record.calls[kind] += 1
        answer = await (self._kept(request, route) if kind in _KEPT_KINDS else self._do(request, route))
        return answer if answer is not None else _cut(request)

    async def _do(self, request: web.BaseRequest, route: Route) -> web.StreamResponse | None:
        fault = self._faults.take(route.kind) if self._faults and route.kind else None
        try:
            if fault is None:
                return await self._answer(request, route)
            return await self._suffer(fault, request, route)
        except ConnectionError:  # the bot went away in the middle of its request
            return None

    async def _suffer(self, fault: Fault, request: web.BaseRequest, route: Route) -> web.StreamResponse | None:
        """Let a fault happen; return the answer, or `None` to cut the connection."""
        mode = fault.mode
        if mode is FaultMode.CUT:
            return None
        if mode is FaultMode.ANSWER:
            await drain(request)
            return self._failure(fault, route)
        if mode is FaultMode.STALL:
            await asyncio.sleep(fault.seconds)
        answer = await self._answer(request, route)
        if mode is FaultMode.FAIL_AFTER:
            return self._failure(fault, route)
        return None if mode is FaultMode.LOSE_ANSWER else answer

    async def _answer(self, request: web.BaseRequest, route: Route) -> web.StreamResponse:
        appid = ""
        try:
            call = self._calls.guarded.get(route.call)
            if call is not None:
                appid = self._tokens.check(request.headers.get("Authorization"))
                self._check_address(request)
                if self._limits:
                    self._limits.check(appid, route.kind)
            else:
                call = self._calls.open.get(route.call, _unknown)
            answer = await call(request, appid, route.named)
        except RefusedCallError as error:
            return self._refusal(error, route, appid)
        if isinstance(answer, bytes):
            return self._json(_OK, answer, self._names.trace())
        if isinstance(answer, Reply):
            return self._json(answer.status, answer.body, self._names.trace())
        return answer

    def _check_address(self, request: web.BaseRequest) -> None:
        allowed = self._options.allowed_addresses
        if allowed and request.remote not in allowed:
            raise RefusedCallError(_UNAUTHORIZED, _ADDRESS_NOT_LISTED, f"{request.remote} is not in the bot's IP list")

    def _failure(self, fault: Fault, route: Route) -> web.StreamResponse:
        if fault.html:
            return _page(fault.status, _PROXY_PAGE.format(f"{fault.status} {fault.message}").encode())
        if route.kind in _STORAGE_KINDS:
            return self._refusal(StorageRefusedError(fault.status, "InternalError", fault.message), route, "")
        return self._refusal(RefusedCallError(fault.status, fault.code, fault.message), route, "")

    def _refusal(self, error: RefusedCallError, route: Route, appid: str) -> web.Response:
        self._record.note(
            Refused(
                kind=route.kind,
                path=route.path,
                status=error.status,
                code=error.code,
                message=error.message,
                appid=appid,
                at=self._options.clock(),
            )
        )
        if error.status == TOO_LARGE_STATUS:
            return _page(TOO_LARGE_STATUS, PROXY_TOO_LARGE)
        if isinstance(error, StorageRefusedError):
            return web.Response(body=error.page(), status=error.status, headers={"Content-Type": "application/xml"})
        trace_id = self._names.trace()
        if route.kind == "token":
            return self._json(error.status, encode({"code": error.code, "message": error.message}), trace_id)
        return self._json(error.status, error_body(error.code, error.message, trace_id), trace_id)

    async def _kept(self, request: web.BaseRequest, route: Route) -> web.StreamResponse | None:
        """Answer a request that is to be remembered."""
        self._running[route.kind] += 1
        parallel = self._running[route.kind]
        answer = None
        try:
            answer = await self._do(request, route)
        finally:
            self._running[route.kind] -= 1
            self._keep(request, route, answer, parallel)
        return answer

    def _keep(self, request: web.BaseRequest, route: Route, answer: web.StreamResponse | None, parallel: int) -> None:
        self._record.upload_calls.append(
            UploadCall(
                kind=route.kind,
                method=request.method,
                url=request.raw_path,
                headers=request.headers,
                size=-1 if request.content_length is None else request.content_length,
                status=answer.status if answer is not None else 0,
                parallel=parallel,
                at=self._options.clock(),
            )
        )

    @staticmethod
    def _json(status: int, body: bytes, trace_id: str) -> web.Response:
        # Without a charset: botpy, the platform's own SDK, takes an answer for JSON only under exactly this name.
        headers = {"Content-Type": "application/json", "X-Tps-trace-ID": trace_id}
        return web.Response(body=body, status=status, headers=headers)


async def _unknown(request: web.BaseRequest, _appid: str, _named: tuple[str, ...]) -> Answer:
    raise RefusedCallError(404, 0, f"the sandbox has no {request.method} {request.raw_path.partition('?')[0]}")


def _page(status: int, body: bytes) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": "text/html", "server": "stgw"})


def _cut(request: web.BaseRequest) -> web.Response:
    """Cut the connection; the answer that is returned never gets out."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=_OK)

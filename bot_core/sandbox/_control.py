"""The control API under ``/sandbox``: speak to the bot, see what arrived, make things go wrong. Loopback only."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot_core.errors import SandboxError
from bot_core.sandbox._answers import RefusedCallError, encode, parse_object
from bot_core.sandbox._control_json import (
    acknowledged_json,
    arrival_json,
    recalled_json,
    refused_json,
    said_json,
    upload_call_json,
)
from bot_core.sandbox._faults import Fault, FaultMode
from bot_core.sandbox._storage import media_response
from bot_core.sandbox._webhook_control import switch_to_webhook

if TYPE_CHECKING:
    from bot_core.sandbox._sandbox import Sandbox

__all__ = ("Control",)

_MOST_BODY_BYTES: Final = 1024 * 1024
_MOST_WAIT_SECONDS: Final = 600
_SHOWN: Final = 20
_UPLOADS_SHOWN: Final = 1000
_CONFLICT: Final = 409

_WHO_FIELDS: Final = frozenset(["appid", "group", "private", "shard", "user"])
_SAY_FIELDS: Final = _WHO_FIELDS | {"at", "attachments", "connect_timeout", "event_name", "full", "quote", "role"}
_PRESS_FIELDS: Final = _WHO_FIELDS | {"button", "message_id"}


class Control:
    """Answers requests to the control API."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._calls: dict[tuple[str, str], Callable[[web.BaseRequest], Awaitable[object]]] = {
            ("GET", "/sandbox/state"): self._state,
            ("GET", "/sandbox/arrived"): self._arrived,
            ("GET", "/sandbox/uploads"): self._uploads,
            ("POST", "/sandbox/say"): self._say,
            ("POST", "/sandbox/press"): self._press,
            ("POST", "/sandbox/emit"): self._emit,
            ("POST", "/sandbox/connections"): self._connections,
            ("POST", "/sandbox/tokens/revoke"): self._revoke,
            ("POST", "/sandbox/files/expire"): self._expire_files,
            ("POST", "/sandbox/webhook"): self._webhook,
            ("POST", "/sandbox/faults"): self._add_fault,
            ("DELETE", "/sandbox/faults"): self._clear_faults,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path.partition("?")[0]
        try:
            if request.method == "GET" and path.startswith("/sandbox/media/"):
                return await self._media(path.rpartition("/")[2])
            self._check_caller(request)
            return _answer(200, await self._find(request.method, path)(request))
        except RefusedCallError as error:
            return _answer(error.status, {"error": error.message})
        except SandboxError as error:
            return _answer(_CONFLICT, {"error": str(error)})
        except (ValueError, TypeError) as error:
            return _answer(400, {"error": str(error)})

    def _find(self, method: str, path: str) -> Callable[[web.BaseRequest], Awaitable[object]]:
        call = self._calls.get((method, path))
        if call is None:
            known = ", ".join(f"{verb} {where}" for verb, where in self._calls)
            raise RefusedCallError(404, 0, f"no {method} {path}; there are {known}, GET /sandbox/media/ID")
        return call

    def _check_caller(self, request: web.BaseRequest) -> None:
        """Let in only programs on this machine, no web page that a browser here has open."""
        remote = request.remote
        if remote is not None and not ipaddress.ip_address(remote.partition("%")[0]).is_loopback:
            raise RefusedCallError(403, 0, "the control API answers this machine only")
        if request.headers.get("Origin", self._sandbox.api_base) != self._sandbox.api_base:
            raise RefusedCallError(403, 0, "the control API does not answer other web pages")
        if request.method == "POST" and request.content_type != "application/json":
            raise RefusedCallError(415, 0, "send JSON, with Content-Type: application/json")

    async def _state(self, _request: web.BaseRequest) -> object:
        sandbox = self._sandbox
        return {
            "api_base": sandbox.api_base,
            "token_url": sandbox.token_url,
            "bots": sandbox.bots(),
            "calls": dict(sandbox.calls),
            "arrived": sandbox.arrived[-1].number if sandbox.arrived else 0,
            "refused": [refused_json(entry) for entry in list(sandbox.refused)[-_SHOWN:]],
            "recalled": [recalled_json(entry) for entry in list(sandbox.recalled)[-_SHOWN:]],
            "acknowledged": [acknowledged_json(entry) for entry in list(sandbox.acknowledged)[-_SHOWN:]],
        }

    async def _say(self, request: web.BaseRequest) -> object:
        text, arguments = _read(await _body(request), "text", _SAY_FIELDS)
        before = self._number()
        return {"after": before, "said": said_json(await self._sandbox.say(text, **arguments))}

    async def _press(self, request: web.BaseRequest) -> object:
        data, arguments = _read(await _body(request), "data", _PRESS_FIELDS)
        before = self._number()
        return {"after": before, "said": said_json(await self._sandbox.press(data, **arguments))}

    async def _emit(self, request: web.BaseRequest) -> object:
        body = await _body(request)
        name, data = body.get("event_name"), body.get("data")
        if not isinstance(name, str) or not isinstance(data, dict):
            raise RefusedCallError(400, 0, "`event_name` must be a string and `data` an object")
        before = self._number()
        said = await self._sandbox.emit(name, data, appid=body.get("appid"), shard=int(body.get("shard", 0)))
        return {"after": before, "said": said_json(said)}

    async def _arrived(self, request: web.BaseRequest) -> object:
        query = request.rel_url.query
        after = int(query.get("after", "0"))
        wait = min(float(query.get("wait", "0")), _MOST_WAIT_SECONDS)
        found = await self._sandbox.arrived_since(after, timeout=wait)
        msg_id = query.get("msg_id")
        shown = [arrival_json(entry) for entry in found if msg_id in (None, entry.msg_id, entry.event_id)]
        return {"after": found[-1].number if found else after, "arrived": shown}

    async def _uploads(self, _request: web.BaseRequest) -> object:
        return {"uploads": [upload_call_json(call) for call in list(self._sandbox.upload_calls)[-_UPLOADS_SHOWN:]]}

    async def _media(self, name: str) -> web.StreamResponse:
        """Attachments of events are fetched from here too, so this takes any caller who knows the name."""
        stored = self._sandbox.media(name)
        if stored is None:
            raise RefusedCallError(404, 0, "no such medium, or not kept any more")
        return await media_response(stored)

    async def _connections(self, request: web.BaseRequest) -> object:
        body = await _body(request)
        appid = body.get("appid")
        sandbox = self._sandbox
        match body.get("action"):
            case "close":
                count = sandbox.close_connections(int(body.get("code", 4009)), appid=appid)
            case "drop":
                count = sandbox.drop_connections(appid=appid)
            case "reconnect":
                count = sandbox.ask_to_reconnect(appid=appid)
            case "invalid_session":
                count = sandbox.invalidate_sessions(resumable=body.get("resumable") is True, appid=appid)
            case "hang":
                count = sandbox.hang_connections(appid=appid)
            case "kill":
                count = sandbox.kill_sessions(appid=appid)
            case "end":
                count = sandbox.end_sessions(appid=appid)
            case "frame":
                count = sandbox.send_frame(str(body.get("text", "")), appid=appid)
            case other:
                text = (
                    f"`action` must be close, drop, hang, reconnect, invalid_session, kill, end or frame, got {other!r}"
                )
                raise RefusedCallError(400, 0, text)
        return {"connections": count}

    async def _revoke(self, request: web.BaseRequest) -> object:
        return {"tokens": self._sandbox.revoke_tokens(appid=(await _body(request)).get("appid"))}

    async def _expire_files(self, _request: web.BaseRequest) -> object:
        self._sandbox.expire_files()
        return {}

    async def _webhook(self, request: web.BaseRequest) -> object:
        return await switch_to_webhook(self._sandbox, await _body(request))

    async def _add_fault(self, request: web.BaseRequest) -> object:
        body = await _body(request)
        kind = str(body.pop("kind", ""))
        mode = FaultMode(body.pop("mode", ""))
        self._sandbox.faults.add(kind, Fault(mode=mode, **body))
        return {"left": self._sandbox.faults.left(kind)}

    async def _clear_faults(self, _request: web.BaseRequest) -> object:
        self._sandbox.faults.clear()
        return {}

    def _number(self) -> int:
        """Return after which arrival to look for answers; they may be there before `say` returns."""
        return self._sandbox.arrived[-1].number if self._sandbox.arrived else 0


async def _body(request: web.BaseRequest) -> dict[str, Any]:
    if (request.content_length or 0) > _MOST_BODY_BYTES:
        raise RefusedCallError(413, 0, "the body is too large")
    return parse_object(await request.read() or b"{}")


def _read(body: dict[str, Any], first: str, fields: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """Return the first argument of a method, a string, and the others, all of them known."""
    value = body.pop(first, None)
    if not isinstance(value, str):
        raise RefusedCallError(400, 0, f"`{first}` must be a string")
    if unknown := set(body) - fields:
        known = ", ".join(sorted(fields))
        raise RefusedCallError(400, 0, f"unknown: {', '.join(sorted(unknown))}; there are {first}, {known}")
    return value, body


def _answer(status: int, value: object) -> web.Response:
    return web.Response(body=encode(value), status=status, headers={"Content-Type": "application/json; charset=utf-8"})

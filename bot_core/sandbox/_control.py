"""The control API under ``/sandbox``: speak to the bot, see what arrived, make things go wrong. Loopback only."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from bot_core.errors import SandboxError
from bot_core.sandbox._answers import RefusedCallError, encode, parse_object
from bot_core.sandbox._control_fields import (
    ANYTHING,
    FLAG,
    OBJECTS,
    TEXT,
    Field,
    number,
    read_fields,
    read_query,
    whole,
)
from bot_core.sandbox._control_json import (
    acknowledged_json,
    arrival_json,
    recalled_json,
    refused_json,
    said_json,
    undelivered_json,
    upload_call_json,
)
from bot_core.sandbox._faults import FAULT_KINDS, Fault, FaultMode
from bot_core.sandbox._storage import media_response
from bot_core.sandbox._webhook_control import switch_back, switch_to_webhook

if TYPE_CHECKING:
    from bot_core.sandbox._sandbox import Sandbox

__all__ = ("Control",)

_MOST_BODY_BYTES: Final = 1024 * 1024
_MOST_WAIT_SECONDS: Final = 600
_SHOWN: Final = 20
_UPLOADS_SHOWN: Final = 1000
_CONFLICT: Final = 409
_EXPIRED: Final = 4009

_SHARD: Final = {"appid": TEXT, "shard": whole()}
_WHO: Final = _SHARD | {"group": TEXT, "private": FLAG, "user": TEXT}
_SAY: Final = _WHO | {
    "text": TEXT, "at": FLAG, "attachments": OBJECTS, "connect_timeout": number(), "event_name": TEXT, "full": FLAG,
    "quote": TEXT, "role": Field("member, admin or owner", ("member", "admin", "owner").__contains__),
}  # fmt: skip
_PRESS: Final = _WHO | {"data": TEXT, "button": TEXT, "message_id": TEXT}
_EMIT: Final = _SHARD | {"event_name": TEXT, "data": ANYTHING}
_ARRIVED: Final = {"after": whole(), "msg_id": TEXT, "wait": number()}
_BOT: Final = {"appid": TEXT}
_FAULT: Final = {
    "kind": Field(f"one of {', '.join(FAULT_KINDS)}", FAULT_KINDS.__contains__),
    "mode": Field(f"one of {', '.join(FaultMode)}", tuple(FaultMode).__contains__),
    "status": whole(), "code": whole(), "message": TEXT, "html": FLAG, "seconds": number(), "resumable": FLAG,
    "times": whole(1), "probability": number(0, 1), "seed": whole(),
}  # fmt: skip
_CONNECTIONS: Final[Mapping[str, Mapping[str, Field]]] = {
    "close": _SHARD | {"code": whole()},
    "drop": _SHARD,
    "hang": _SHARD,
    "reconnect": _SHARD,
    "invalid_session": _SHARD | {"resumable": FLAG},
    "kill": _SHARD,
    "end": _SHARD,
    "frame": _SHARD | {"text": TEXT},
    "refuse": {"seconds": number(0, 3600)},
}
_ACTION: Final = Field(f"one of {', '.join(_CONNECTIONS)}", tuple(_CONNECTIONS).__contains__)


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
            ("DELETE", "/sandbox/webhook"): self._no_webhook,
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
            "faults": {kind: left for kind in FAULT_KINDS if (left := sandbox.faults.left(kind))},
            "arrived": sandbox.arrived[-1].number if sandbox.arrived else 0,
            "refused": [refused_json(entry) for entry in list(sandbox.refused)[-_SHOWN:]],
            "undelivered": [undelivered_json(entry) for entry in list(sandbox.undelivered)[-_SHOWN:]],
            "recalled": [recalled_json(entry) for entry in list(sandbox.recalled)[-_SHOWN:]],
            "acknowledged": [acknowledged_json(entry) for entry in list(sandbox.acknowledged)[-_SHOWN:]],
        }

    async def _say(self, request: web.BaseRequest) -> object:
        fields = read_fields(await _body(request), _SAY, needed=("text",))
        before = self._number()
        return {"after": before, "said": said_json(await self._sandbox.say(**fields))}

    async def _press(self, request: web.BaseRequest) -> object:
        fields = read_fields(await _body(request), _PRESS, needed=("data",))
        before = self._number()
        return {"after": before, "said": said_json(await self._sandbox.press(**fields))}

    async def _emit(self, request: web.BaseRequest) -> object:
        fields = read_fields(await _body(request), _EMIT, needed=("event_name", "data"))
        before = self._number()
        return {"after": before, "said": said_json(await self._sandbox.emit(**fields))}

    async def _arrived(self, request: web.BaseRequest) -> object:
        query = read_query(request.rel_url.query, _ARRIVED)
        after, msg_id = query.get("after", 0), query.get("msg_id")
        found = await self._sandbox.arrived_since(after, timeout=min(query.get("wait", 0), _MOST_WAIT_SECONDS))
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
        action = read_fields({"action": body.pop("action", None)}, {"action": _ACTION}, needed=("action",))["action"]
        fields = read_fields(body, _CONNECTIONS[action])
        sandbox = self._sandbox
        if action == "refuse":
            sandbox.refuse_connections(fields.get("seconds", 3))
            return {}
        if action == "close":
            fields.setdefault("code", _EXPIRED)
        if action == "frame":
            fields.setdefault("text", "")
            return {"connections": sandbox.send_frame(fields.pop("text"), **fields)}
        actions: dict[str, Callable[..., int]] = {
            "close": sandbox.close_connections,
            "drop": sandbox.drop_connections,
            "hang": sandbox.hang_connections,
            "reconnect": sandbox.ask_to_reconnect,
            "invalid_session": sandbox.invalidate_sessions,
            "kill": sandbox.kill_sessions,
            "end": sandbox.end_sessions,
        }
        return {"connections": actions[action](**fields)}

    async def _revoke(self, request: web.BaseRequest) -> object:
        return {"tokens": self._sandbox.revoke_tokens(**read_fields(await _body(request), _BOT))}

    async def _expire_files(self, request: web.BaseRequest) -> object:
        read_fields(await _body(request), {})
        self._sandbox.expire_files()
        return {}

    async def _webhook(self, request: web.BaseRequest) -> object:
        return await switch_to_webhook(self._sandbox, await _body(request))

    async def _no_webhook(self, request: web.BaseRequest) -> object:
        return await switch_back(self._sandbox, await _body(request))

    async def _add_fault(self, request: web.BaseRequest) -> object:
        fields = read_fields(await _body(request), _FAULT, needed=("kind", "mode"))
        kind, mode = fields.pop("kind"), FaultMode(fields.pop("mode"))
        self._sandbox.faults.add(kind, Fault(mode=mode, **fields))
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


def _answer(status: int, value: object) -> web.Response:
    return web.Response(body=encode(value), status=status, headers={"Content-Type": "application/json; charset=utf-8"})

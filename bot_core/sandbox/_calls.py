"""What each call of the API does: reads the body, asks the desk whose business it is, answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from aiohttp import web

from bot_core.openapi.values import Scene, Target
from bot_core.sandbox._answers import RefusedCallError, encode, parse_object
from bot_core.sandbox._bodies import read_body
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._gateway import Gateway, bot_id
from bot_core.sandbox._ids import Directory
from bot_core.sandbox._images import ImageDesk
from bot_core.sandbox._messages import MessageDesk
from bot_core.sandbox._options import SandboxOptions
from bot_core.sandbox._storage import Storage
from bot_core.sandbox._streams import StreamDesk
from bot_core.sandbox._tokens import TokenDesk

__all__ = ("Answer", "Call", "Calls", "Reply")

_FOREIGN_OPENID: Final = 11255
_OK: Final = 200


class Reply(NamedTuple):
    """An answer in JSON with another status than 200."""

    status: int
    body: bytes


Answer: TypeAlias = bytes | Reply | web.StreamResponse
Call: TypeAlias = Callable[[web.BaseRequest, str, tuple[str, ...]], Awaitable[Answer]]
"""One call: the request, the bot's appid (empty for a call without token), and what its path names."""


class Calls:
    """The calls of the API.

    Attributes:
        gateway_url: What `/gateway` tells.
        open: Calls that carry no token, by name.
        guarded: Calls that carry one.
    """

    def __init__(
        self,
        options: SandboxOptions,
        directory: Directory,
        *,
        tokens: TokenDesk,
        gateway: Gateway,
        files: FileDesk,
        messages: MessageDesk,
        images: ImageDesk,
        streams: StreamDesk,
        storage: Storage,
    ) -> None:
        self.gateway_url = ""
        self._options = options
        self._body_bytes = options.inline_body_bytes
        self._directory = directory
        self._tokens = tokens
        self._gateway = gateway
        self._files = files
        self._messages = messages
        self._images = images
        self._streams = streams
        self.open: Mapping[str, Call] = {
            "token": self._token,
            "websocket": self._websocket,
            "upload_part": storage.put_part,
            "image_put": storage.put_image,
            "raw_url": storage.get_raw,
        }
        self.guarded: Mapping[str, Call] = {
            "me": self._me,
            "gateway": self._where,
            "gateway_bot": self._where_for_bot,
            "messages": self._post_message,
            "files": self._post_file,
            "upload_prepare": self._prepare,
            "upload_part_finish": self._finish_part,
            "stream": self._post_stream,
            "image_prepare": self._prepare_image,
            "image_complete": self._complete_image,
            "image_list": self._list_images,
            "image_delete": self._delete_image,
            "recall": self._recall,
            "interactions": self._put_interaction,
        }

    async def _token(self, request: web.BaseRequest, _appid: str, _named: tuple[str, ...]) -> Answer:
        return encode(self._tokens.issue(await self._body(request)))

    async def _websocket(self, request: web.BaseRequest, _appid: str, _named: tuple[str, ...]) -> Answer:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise RefusedCallError(400, 0, "this address is for WebSockets")
        return await self._gateway.serve(request)

    async def _me(self, _request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        return encode({"id": bot_id(appid), "username": self._options.bot_name, "avatar": ""})

    async def _where(self, _request: web.BaseRequest, _appid: str, _named: tuple[str, ...]) -> Answer:
        return encode({"url": self.gateway_url})

    async def _where_for_bot(self, _request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        shards = self._options.recommended_shards
        limit = self._gateway.sessions.start_limit(appid)
        return encode({"url": self.gateway_url, "shards": shards, "session_start_limit": limit})

    async def _post_message(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        raw = await self._body(request)
        status, body = await self._messages.post(appid, self._target(appid, named), raw)
        return body if status == _OK else Reply(status, body)

    async def _post_stream(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        if named[0] != Scene.USER.value:
            raise RefusedCallError(404, 0, "texts that grow are for private chats only")
        raw = await self._body(request)
        return self._streams.post(appid, self._target(appid, named), raw)

    async def _post_file(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        private = named[0] == Scene.USER.value
        raw = await read_body(request, (private and self._options.user_inline_body_bytes) or self._body_bytes)
        target = self._target(appid, named)
        answer, media, send_now = await self._files.post(appid, target, raw)
        if send_now:
            answer["id"] = self._messages.send_file(appid, target, media)
        return encode(answer)

    async def _prepare(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        raw = await self._body(request)
        return encode(await self._files.prepare(appid, self._target(appid, named), raw))

    async def _finish_part(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        raw = await self._body(request)
        self._files.chunks.finish(appid, self._target(appid, named), raw)
        return b"{}"

    async def _prepare_image(self, request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        return encode(self._images.prepare(appid, await self._body(request)))

    async def _complete_image(self, request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        return encode(await self._images.complete(appid, await self._body(request)))

    async def _list_images(self, request: web.BaseRequest, appid: str, _named: tuple[str, ...]) -> Answer:
        return encode(self._images.page(appid, request.rel_url.query.get("cursor", "")))

    async def _delete_image(self, _request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        self._images.delete(appid, named[0])
        return b"{}"

    async def _recall(self, _request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        self._messages.recall(appid, self._target(appid, named), named[2])
        return b"{}"

    async def _put_interaction(self, request: web.BaseRequest, appid: str, named: tuple[str, ...]) -> Answer:
        body = parse_object(await self._body(request))
        self._messages.acknowledge(appid, named[0], body.get("code"))
        return b"{}"

    async def _body(self, request: web.BaseRequest) -> bytes:
        return await read_body(request, self._body_bytes)

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

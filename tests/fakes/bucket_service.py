"""What the doubles of COS and OSS share: an HTTP server that keeps one bucket, strictly, and can be told to fail.

Names, limits and answers are those of the vendors' API documents; what differs between the two is in `cos` and `oss`.
Nothing here knows an SDK. Bodies are kept in files, so that a test may send more than it wants to hold in memory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import itertools
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Literal, Self, TypeAlias
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import aiohttp
import crcmod
from aiohttp import web

from tests.fakes.bucket_values import Call, Key, Refusal, StoredObject

__all__ = ("BucketService",)

# CRC-64 of ECMA-182, reflected: what both services answer with. Its check value is in the tests.
_CRC64: Final = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, rev=True, xorOut=0xFFFFFFFFFFFFFFFF)
_BLOCK_BYTES: Final = 1024 * 1024
_KEPT_HEADERS: Final = ("Cache-Control", "Content-Disposition", "Content-Encoding", "Expires")

FaultKind = Literal["500", "503", "stall", "cut"]


_Handler: TypeAlias = Callable[[Call, str, web.BaseRequest], Awaitable["web.Response | StoredObject"]]


@dataclass
class _OpenUpload:
    name: str
    headers: Mapping[str, str]
    parts: dict[int, StoredObject] = field(default_factory=dict)


@dataclass
class _Fault:
    kind: FaultKind
    operation: str | None
    left: int


class BucketService(ABC):
    """One bucket of one region, over HTTP on a free port of 127.0.0.1.

    Attributes:
        objects: What is stored, by name.
        uploads: Multipart uploads that are neither completed nor aborted.
        calls: The operations in the order in which they came, with the object's name.
        seen: The requests behind `calls`.
        public_read: Whether anybody may read objects.
        clock_offset: Seconds by which the service's clock is ahead of ours.
        quota_bytes: Refuse to hold more than this.
        damage_next: How many bodies come in damaged.
    """

    prefix: ClassVar[str]  # of the vendor's headers
    acl_header: ClassVar[str]
    acl_of_parts: ClassVar[str]  # the call that takes an ACL for an object in parts; the others overlook it
    least_part_bytes: ClassVar[int]

    def __init__(self, folder: Path, *, bucket: str, region: str, keys: Sequence[Key]) -> None:
        self.folder = folder
        self.bucket = bucket
        self.region = region
        self.keys = {key.key_id: key for key in keys}
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, _OpenUpload] = {}
        self.calls: list[tuple[str, str]] = []
        self.seen: list[Call] = []
        self.public_read = False
        self.clock_offset = 0.0
        self.quota_bytes: int | None = None
        self.damage_next = 0
        self.url = ""
        self._numbers = itertools.count(1)
        self._faults: list[_Fault] = []
        self._answers: list[tuple[str, int, str, Mapping[str, str]]] = []
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, tls: ssl.SSLContext | None = None, **settings: Any) -> Iterator[Self]:
        """Serve until the block ends, in a thread and an event loop of its own: no test shares a loop with it."""
        folder.mkdir(parents=True, exist_ok=True)
        service = cls(folder, **settings)
        ready: Future[str] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(service._serve(tls, ready)), name=cls.__name__)
        thread.start()
        try:
            service.url = ready.result(timeout=10)
            yield service
        finally:
            if service._loop is not None:
                service._loop.call_soon_threadsafe(service._closing.set)
            thread.join()

    async def _serve(self, tls: ssl.SSLContext | None, ready: Future[str]) -> None:
        self._loop = asyncio.get_running_loop()
        server = web.Server(self._handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            ready.set_result(f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}")
            await self._closing.wait()
        finally:
            transports = [one.transport for one in server.connections]
            await runner.cleanup()
            await asyncio.sleep(0)
            # What still sends, or came in at the last moment, would outlive the loop.
            for transport in (*transports, *(one.transport for one in server.connections)):
                if transport is not None:
                    transport.abort()
            await asyncio.sleep(0.01)  # until each has told its protocol

    @property
    def netloc(self) -> str:
        """Its address without the scheme."""
        return self.url.partition("://")[2]

    def now(self) -> float:
        return time.time() + self.clock_offset

    def fail_next(self, count: int, kind: FaultKind, operation: str | None = None) -> None:
        """Let the next calls (of one operation) fail: answer 500 or 503, never answer, or cut the connection."""
        self._faults.append(_Fault(kind, operation, count))

    def answer_next(self, operation: str, status: int, body: str, **headers: str) -> None:
        """Let the next call of the operation get just this."""
        self._answers.append((operation, status, body, headers))

    # What is the vendor's.

    @abstractmethod
    def locate(self, call: Call) -> tuple[str, str]:
        """Return bucket and object name, or refuse."""

    @abstractmethod
    def authenticate(self, call: Call) -> Key | None:
        """Return whose request it is, `None` for nobody's, or refuse."""

    @abstractmethod
    def error_elements(self, refusal: Refusal, call: Call, request_id: str) -> Mapping[str, str]:
        """Return the elements of the error's XML."""

    def head_error_headers(self, body: bytes) -> Mapping[str, str]:
        """Return what a refused HEAD carries in its headers."""
        del body
        return {}

    def download_headers(self, call: Call) -> Mapping[str, str]:
        """Return what comes with an object because of the address by which it was asked for."""
        del call
        return {}

    # The rest is common.

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call.of(request)
        request_id = f"{next(self._numbers):024X}"
        common = {f"{self.prefix}request-id": request_id}
        for number, (operation, status, text, headers) in enumerate(self._answers):
            if operation == call.operation:
                del self._answers[number]
                await request.read()
                return web.Response(status=status, text=text, headers={"Content-Type": "text/html", **headers})
        try:
            await self._fault(call, request)
            answer = await self._answer(call, request)
        except (ConnectionError, aiohttp.ClientPayloadError):
            return web.Response(status=400)  # whoever sent it is gone, and what came of it is not kept
        except Refusal as refusal:
            elements = self.error_elements(refusal, call, request_id)
            inner = "".join(f"  <{name}>{escape(value)}</{name}>\n" for name, value in elements.items())
            body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n{inner}</Error>\n'.encode()
            headers = {**common, **refusal.headers}
            if call.method == "HEAD":
                return web.Response(status=refusal.status, headers={**headers, **self.head_error_headers(body)})
            return web.Response(status=refusal.status, body=body, content_type="application/xml", headers=headers)
        if isinstance(answer, StoredObject):
            return await self._send(answer, request, {**common, **self.download_headers(call)})
        answer.headers.update(common)
        return answer

    async def _fault(self, call: Call, request: web.BaseRequest) -> None:
        fault = next((one for one in self._faults if one.left and one.operation in (None, call.operation)), None)
        if fault is None:
            return
        fault.left -= 1
        match fault.kind:
            case "500":
                raise Refusal(500, "InternalError", "We encountered an internal error. Please try again.")
            case "503":
                raise Refusal(503, "SlowDown", "Please reduce your request rate.")
            case "stall":
                await self._closing.wait()
        if request.transport is not None:  # cut, in the middle of whatever is being sent
            request.transport.abort()
        raise Refusal(500, "InternalError", "nobody reads this")

    async def _answer(self, call: Call, request: web.BaseRequest) -> web.Response | StoredObject:
        if "aws-chunked" in call.headers.get("Content-Encoding", "") or any(
            value.startswith("STREAMING-") for value in call.headers.values()
        ):
            raise Refusal(400, "InvalidArgument", "aws-chunked encoding is not supported with the specified x-amz-*")
        key = self.authenticate(call)
        bucket, name = self.locate(call)
        self.seen.append(call)
        self.calls.append((call.operation, name))
        if bucket != self.bucket:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.", more={"BucketName": bucket})
        self._authorise(call.operation, key)
        handlers: dict[str, _Handler] = {
            "PutObject": self._put,
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": self._delete,
            "InitiateMultipartUpload": self._initiate,
            "UploadPart": self._part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListMultipartUploads": self._list,
        }
        if call.operation not in handlers or (not name and call.operation != "ListMultipartUploads"):
            raise Refusal(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        return await handlers[call.operation](call, name, request)

    def _authorise(self, operation: str, key: Key | None) -> None:
        if key is None and not (self.public_read and operation in ("GetObject", "HeadObject")):
            raise Refusal(403, "AccessDenied", "Access Denied.")
        if key is not None and key.operations is not None and operation not in key.operations:
            raise Refusal(403, "AccessDenied", "Access Denied.")

    async def _get(self, _call: Call, name: str, _request: web.BaseRequest) -> StoredObject:
        if name not in self.objects:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.", more={"Key": name})
        return self.objects[name]

    async def _delete(self, _call: Call, name: str, _request: web.BaseRequest) -> web.Response:
        self.objects.pop(name, None)
        return web.Response(status=204)

    async def _abort(self, call: Call, name: str, _request: web.BaseRequest) -> web.Response:
        self._upload(call, name)
        del self.uploads[call.params["uploadId"]]
        return web.Response(status=204)

    async def _put(self, call: Call, name: str, request: web.BaseRequest) -> web.Response:
        stored = await self._receive(call, request, call.headers)
        held = sum(one.size for other, one in self.objects.items() if other != name)
        if self.quota_bytes is not None and held + stored.size > self.quota_bytes:
            raise Refusal(403, "QuotaExceeded", "The bucket's quota is exceeded.")
        self.objects[name] = stored
        return web.Response(headers=self._about(stored))

    async def _initiate(self, call: Call, name: str, _request: web.BaseRequest) -> web.Response:
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = _OpenUpload(name, self._headers_of_parts(call))
        return self._xml("InitiateMultipartUploadResult", Bucket=self.bucket, Key=name, UploadId=upload_id)

    def _headers_of_parts(self, call: Call) -> dict[str, str]:
        overlooked = () if call.operation == self.acl_of_parts else (self.acl_header,)
        return {name: value for name, value in call.headers.items() if name.lower() not in overlooked}

    def _upload(self, call: Call, name: str) -> _OpenUpload:
        upload = self.uploads.get(call.params["uploadId"])
        if upload is None or upload.name != name:
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist.")
        return upload

    async def _part(self, call: Call, name: str, request: web.BaseRequest) -> web.Response:
        self._upload(call, name)
        number = call.params.get("partNumber", "")
        if not number.isdigit() or not 1 <= int(number) <= 10_000:
            raise Refusal(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        stored = await self._receive(call, request, call.headers)
        self._upload(call, name).parts[int(number)] = stored  # it may have been aborted meanwhile
        return web.Response(headers=self._about(stored))

    async def _complete(self, call: Call, name: str, request: web.BaseRequest) -> web.Response:
        upload = self._upload(call, name)
        try:
            listed = [
                (int(part.findtext("PartNumber", "")), part.findtext("ETag", "").strip('"').lower())
                for part in ET.fromstring(await request.read()).iter("Part")
            ]
        except (ET.ParseError, ValueError) as error:
            raise Refusal(400, "MalformedXML", "The XML you provided was not well-formed.") from error
        if not listed or listed != sorted(listed):
            raise Refusal(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        parts = []
        for number, etag in listed:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise Refusal(400, "InvalidPart", "One or more of the specified parts could not be found.")
            parts.append(upload.parts[number])
        if any(part.size < self.least_part_bytes for part in parts[:-1]):
            raise Refusal(
                400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size."
            )
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
        file = self.folder / f"{next(self._numbers)}"
        size, crc64 = await asyncio.to_thread(_join, parts, file)
        acl = {name: value for name, value in self._headers_of_parts(call).items() if name.lower() == self.acl_header}
        headers = {**upload.headers, **acl}
        stored = self._stored(file, size, f"{digest.hexdigest().upper()}-{len(parts)}", crc64, headers)
        if upload is not self.uploads.pop(call.params["uploadId"], None):
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist.")
        self.objects[name] = stored
        answer = self._xml(
            "CompleteMultipartUploadResult", Location=f"http://{call.host}/{name}", Bucket=self.bucket, Key=name,
            ETag=f'"{stored.etag}"',
        )  # fmt: skip
        answer.headers[f"{self.prefix}hash-crc64ecma"] = str(crc64)
        return answer

    async def _list(self, _call: Call, _name: str, _request: web.BaseRequest) -> web.Response:
        uploads = "".join(
            f"<Upload><Key>{escape(one.name)}</Key><UploadId>{upload_id}</UploadId></Upload>"
            for upload_id, one in self.uploads.items()
        )
        body = f"<ListMultipartUploadsResult><Bucket>{self.bucket}</Bucket>{uploads}</ListMultipartUploadsResult>"
        return web.Response(text=body, content_type="application/xml")

    async def _receive(self, call: Call, request: web.BaseRequest, headers: Mapping[str, str]) -> StoredObject:
        file = self.folder / f"{next(self._numbers)}"
        md5 = hashlib.md5(usedforsecurity=False)
        size, crc64 = 0, 0
        sink = await asyncio.to_thread(file.open, "wb")
        try:
            while block := await _block(request):
                if self.damage_next:
                    self.damage_next -= 1
                    block = bytes([block[0] ^ 1]) + block[1:]
                size += len(block)
                crc64 = await asyncio.to_thread(_take_in, sink, block, md5.update, crc64)
        finally:
            await asyncio.to_thread(sink.close)
        announced = call.headers.get("Content-Length")
        if announced is not None and int(announced) != size:
            raise Refusal(400, "IncompleteBody", "You did not provide the number of bytes of Content-Length.")
        if (given := call.headers.get("Content-MD5")) is not None:
            _check_md5(given, md5.digest())
        return self._stored(file, size, md5.hexdigest(), crc64, headers)

    def _stored(self, file: Path, size: int, etag: str, crc64: int, headers: Mapping[str, str]) -> StoredObject:
        named = {name.lower(): value for name, value in headers.items()}
        return StoredObject(
            file=file, size=size, etag=etag, crc64=crc64,
            content_type=named.get("content-type", "application/octet-stream"),
            headers={name: named[name.lower()] for name in _KEPT_HEADERS if name.lower() in named},
            acl=named.get(self.acl_header, ""), modified=self.now(),
        )  # fmt: skip

    def _about(self, stored: StoredObject) -> dict[str, str]:
        return {"ETag": f'"{stored.etag}"', f"{self.prefix}hash-crc64ecma": str(stored.crc64)}

    def _xml(self, root: str, **elements: str) -> web.Response:
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in elements.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'
        return web.Response(text=body, content_type="application/xml")

    async def _send(
        self, stored: StoredObject, request: web.BaseRequest, common: Mapping[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={**common, **self._about(stored), **stored.headers})
        response.headers["Content-Type"] = stored.content_type
        response.headers["Last-Modified"] = formatdate(stored.modified, usegmt=True)
        response.content_length = stored.size
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        source = await asyncio.to_thread(stored.file.open, "rb")
        try:
            while block := await asyncio.to_thread(source.read, _BLOCK_BYTES):
                await response.write(block)
        finally:
            await asyncio.to_thread(source.close)
        return response


async def _block(request: web.BaseRequest) -> bytes:
    """Return up to a MiB of the body: so many hops into a thread, and no more."""
    pieces: list[bytes] = []
    size = 0
    while size < _BLOCK_BYTES and (piece := await request.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _take_in(sink: BinaryIO, block: bytes, md5: Callable[[bytes], None], crc64: int) -> int:
    sink.write(block)
    md5(block)
    return int(_CRC64(block, crc64))


def _join(parts: Sequence[StoredObject], file: Path) -> tuple[int, int]:
    size, crc64 = 0, 0
    with file.open("wb") as sink:
        for part in parts:
            content = part.read()
            sink.write(content)
            size += len(content)
            crc64 = int(_CRC64(content, crc64))
    return size, crc64


def _check_md5(given: str, real: bytes) -> None:
    try:
        wanted = base64.b64decode(given, validate=True)
    except binascii.Error as error:
        raise Refusal(400, "InvalidDigest", "The Content-MD5 you specified was invalid.") from error
    if wanted != real:
        raise Refusal(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")

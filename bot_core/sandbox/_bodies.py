"""Reads bodies of requests, as far as the front proxy lets them through."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from bot_core.sandbox._answers import RefusedCallError

__all__ = ("TOO_LARGE_STATUS", "drain", "read_body")

TOO_LARGE_STATUS: Final = 413


async def read_body(request: web.BaseRequest, most: int) -> bytes:
    """Return the body.

    Raises:
        RefusedCallError: 413, it is larger than `most` bytes.
    """
    if (request.content_length or 0) > most:
        raise RefusedCallError(TOO_LARGE_STATUS, 0, f"the body has {request.content_length} bytes, allowed are {most}")
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise RefusedCallError(TOO_LARGE_STATUS, 0, f"the body has more than {most} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def drain(request: web.BaseRequest) -> None:
    """Read a body and keep nothing of it."""
    while await request.content.readany():
        pass

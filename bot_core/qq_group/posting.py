"""Posts one message until it is there, and never twice.

The platform drops a reply whose (msg_id, msg_seq) it has seen. So a repeat after an unclear failure - no answer, a cut
connection, a proxy that answered for it - keeps its number, and "duplicate" then means that it had arrived. Once one
try was unclear, the number stays for good; any other try takes a new one. The same holds where another process of this
bot may have answered before it died. A message that answers nothing has no such
number: after an unclear failure it is not repeated.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from bot_core.errors import OpenAPIError
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.values import SentMessage, Target
from bot_core.qq_group.timing import Timing
from bot_core.slots import may_be_answered

if TYPE_CHECKING:
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.reply import ReplyBook, ReplyContext

__all__ = ("Post", "Poster")

# Tries at a code that calls for one more at once, and at a number that somebody else had used.
_QUICK_TRIES: Final = 2
_RENUMBERED_TRIES: Final = 5
_SUCCESS: Final = range(200, 300)

# What the platform says to links whose domain is not registered; it does not say which. A query may hold secrets.
_NO_LINKS: Final = frozenset({304003, 40054010})
_LINK: Final = re.compile(r"https?://[^\s/?#<>()\[\]\"'，。）]+", re.IGNORECASE)

logger = logging.getLogger("bot_core.qq_group")


@dataclass(slots=True)
class Post:
    """One message on its way.

    Attributes:
        body: Its fields, without those that say what it answers.
        target: Where to.
        context: What it answers; `None`: it goes out unasked.
        until: When to give up, by `Timing.clock`.
        tries: How many calls were made.
        seq: Its number; 0: it needs a new one.
        unclear: It may have arrived under this number.
        not_for: Codes at which the caller knows something better than to try again.
    """

    body: dict[str, Any]
    target: Target
    context: ReplyContext | None
    until: float
    tries: int = 0
    seq: int = 0
    unclear: bool = False
    not_for: frozenset[int] = frozenset()


class Poster:
    """Posts messages.

    Args:
        api: Where `post_message` is.
        replies: Numbers them.
        timing: Clock and pauses.
    """

    def __init__(self, api: OpenAPIClient, replies: ReplyBook, timing: Timing) -> None:
        self._api = api
        self._replies = replies
        self._timing = timing

    async def post(self, post: Post) -> SentMessage:
        """Post it; the answer has no id where that got lost on the way and the message had arrived.

        Raises:
            OpenAPIError: The platform does not take it, or its time is over. `post` tells whether it may have arrived.
        """
        while True:
            body = self._numbered(post)
            post.tries += 1
            try:
                return await self._api.post_message(post.target, body, timeout=post.until - self._timing.clock())
            except OpenAPIError as error:
                kind = kind_of(error)
                if kind is CodeKind.DUPLICATE and (post.unclear or may_be_answered()):
                    logger.info("that message had arrived before (msg_seq %d)", post.seq)
                    return SentMessage(id="", raw={}, trace_id=error.trace_id or "")
                wait = self._judge(post, error, kind)
                if wait is None:
                    raise _told(error, post) from error
                logger.warning(
                    "try %d of a message failed, the next one %s: %s",
                    post.tries,
                    f"follows in {wait:.1f} s" + (" under the same number" if post.unclear else ""),
                    error,
                )
            await self._timing.sleep(wait)

    def _numbered(self, post: Post) -> dict[str, Any]:
        context = post.context
        if context is None:
            return post.body
        if not post.seq:
            post.seq = self._replies.next_seq(context)
        answers = {"msg_id": context.msg_id} if context.msg_id else {"event_id": context.event_id}
        return {**post.body, **answers, "msg_seq": post.seq}

    def _judge(self, post: Post, error: OpenAPIError, kind: CodeKind) -> float | None:
        """Return after how many seconds to try again, or `None`: not any more."""
        if may_have_arrived(error):
            post.unclear = True
            if post.context is None:
                return None
        elif not post.unclear:
            post.seq = 0
        if not post.not_for.isdisjoint(error.codes):
            return None
        match kind:
            case CodeKind.RETRY_LATER | CodeKind.RATE:
                wait = max(self._timing.pause(post.tries), error.retry_after or 0.0)
            case CodeKind.RETRY_NOW if post.tries < _QUICK_TRIES:
                wait = 0.0
            case CodeKind.DUPLICATE if post.context is not None and post.tries < _RENUMBERED_TRIES:
                wait = 0.0
            case _:
                return None
        return wait if self._timing.clock() + wait < post.until else None


def may_have_arrived(error: OpenAPIError) -> bool:
    """Return whether a message may be there although the call failed: no clear answer, and it had left."""
    if not error.path.endswith("/messages"):  # the token could not be had, so nothing was sent
        return False
    if isinstance(error.__cause__, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return False
    return error.ambiguous or (error.status in _SUCCESS and not error.codes)  # half an answer


def _told(error: OpenAPIError, post: Post) -> OpenAPIError:
    """Return the error with what was tried; the same one where there is nothing to add."""
    facts = [f"tried {post.tries} times"] if post.tries > 1 else []
    if post.unclear:
        facts.append("it may have arrived all the same")
    if not _NO_LINKS.isdisjoint(error.codes) and (links := _links(post.body)):
        facts.append(f"its links are of {links}")
    if not facts:
        return error
    return error.retold(f"{error} - {', '.join(facts)}")


def _links(body: dict[str, Any]) -> str:
    """Return where the links of a message lead to, each place once."""
    markdown = body.get("markdown")
    texts = (body.get("content"), markdown.get("content") if isinstance(markdown, dict) else None)
    return ", ".join(dict.fromkeys(link for text in texts if isinstance(text, str) for link in _LINK.findall(text)))

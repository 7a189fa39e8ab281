"""Sends a chain: plan it, make every medium ready, then post one message after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from bot_core.adapter import Delivery, MessageHandle
from bot_core.errors import (
    AuthenticationError,
    OpenAPIError,
    PartlySentError,
    PermissionDeniedError,
    ReplyContextError,
    TargetError,
)
from bot_core.openapi.codes import CodeKind, kind_of
from bot_core.openapi.values import SentMessage, Target
from bot_core.qq_group.render import PlannedMessage, plan_chain

if TYPE_CHECKING:
    from bot_core.adapter import Adapter
    from bot_core.chain import Chain
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.builders import Builder
    from bot_core.qq_group.reply import ReplyBook, ReplyContext
    from bot_core.qq_group.uploads import Ready, Uploads

__all__ = ("Sender",)

# file_info expired, unknown, or its media could not be fetched or re-hosted (PLATFORM 2.6): uploading again helps.
_UPLOAD_AGAIN: Final = frozenset({304080, 304082, 304083, 40034004})
# After one of these the other messages of the chain would fare no better.
_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, ReplyContextError, TargetError)
# How many media of one chain are made ready at once.
_PREPARE_AT_ONCE: Final = 4

logger = logging.getLogger("bot_core.qq_group")


@dataclass(slots=True)
class _Outcome:
    """What became of the messages of one chain so far."""

    handles: list[MessageHandle]
    failures: list[tuple[int, Exception]]


class Sender:
    """Sends chains for one adapter.

    Args:
        adapter: Whom the handles belong to.
        api: Where `post_message` is.
        uploads: Makes media ready, and gets a `file_info` for them.
        replies: Numbers the replies.
    """

    def __init__(self, adapter: Adapter, api: OpenAPIClient, uploads: Uploads, replies: ReplyBook) -> None:
        self._adapter = adapter
        self._api = api
        self._uploads = uploads
        self._replies = replies

    async def send(self, chain: Chain, target: Target, context: ReplyContext | None) -> list[MessageHandle]:
        """Send the chain, as a reply where there is a `context`; one handle a message.

        Raises:
            MediaError: A medium cannot be sent; nothing was sent.
            ReplyContextError: No more replies are taken; nothing was sent.
            OpenAPIError: The platform refused, and nothing was sent.
            PartlySentError: Some messages went out, some did not.
        """
        reference = context.reference if context is not None and chain.reference else ""
        plan = plan_chain(chain.chain, reference=reference)
        if plan.left_out:
            logger.warning(
                "left out of the message, as groups and private chats have no form for it: %s", ", ".join(plan.left_out)
            )
        messages = plan.messages
        if not messages:
            return []
        if context is not None:
            self._replies.reserve(context, len(messages))
        sent = 0
        try:
            if any(message.medium is not None for message in messages):
                async with AsyncExitStack() as stack:
                    ready = await self._prepare(messages, chain.builder, stack)
                    outcome = await self._post_all(messages, ready, target, context)
            else:  # text, the most frequent: no more than it takes
                outcome = await self._post_all(messages, repeat(None), target, context)
            sent = len(outcome.handles)
        finally:
            if context is not None and sent < len(messages):
                self._replies.give_back(context, len(messages) - sent)
        return _result(outcome, len(messages))

    async def _prepare(
        self, messages: Sequence[PlannedMessage], builder: Builder | None, stack: AsyncExitStack
    ) -> list[Ready | None]:
        """Make all media ready before the first message leaves, so that a bad one sends nothing."""
        media = [message.medium for message in messages]
        if sum(medium is not None for medium in media) <= 1:
            return [await self._uploads.prepare(one, builder, stack) if one is not None else None for one in media]
        slots = asyncio.Semaphore(_PREPARE_AT_ONCE)

        async def prepare(position: int) -> Ready | None:
            medium = media[position]
            if medium is None:
                return None
            async with slots:
                return await self._uploads.prepare(medium, builder, stack)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(prepare(position), name=f"prepare medium {position + 1}")
                    for position in range(len(media))
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _post_all(
        self,
        messages: Sequence[PlannedMessage],
        ready: Iterable[Ready | None],
        target: Target,
        context: ReplyContext | None,
    ) -> _Outcome:
        outcome = _Outcome([], [])
        for position, (message, medium) in enumerate(zip(messages, ready, strict=False), 1):
            try:
                sent, deliveries = await self._post_one(message.body, medium, target, context)
            except Exception as error:  # noqa: BLE001 - a stranger's host may raise anything; _result raises it again
                outcome.failures.append((position, error))
                if isinstance(error, _HOPELESS):
                    break
            else:
                outcome.handles.append(MessageHandle(self._adapter, sent.raw, sent.id, target, deliveries))
        return outcome

    async def _post_one(
        self, body: dict[str, Any], medium: Ready | None, target: Target, context: ReplyContext | None
    ) -> tuple[SentMessage, tuple[Delivery, ...]]:
        if medium is None:
            return await self._post(body, target, context), ()
        file_info, delivery = await self._uploads.file_info(medium, target)
        body["media"] = {"file_info": file_info}
        try:
            return await self._post(body, target, context), (delivery,)
        except OpenAPIError as error:
            if _UPLOAD_AGAIN.isdisjoint(error.codes):
                raise
            logger.warning("the platform will not have this medium any more, uploading it again: %s", error)
        await self._uploads.forget(medium, file_info, target)
        file_info, delivery = await self._uploads.file_info(medium, target)
        body["media"] = {"file_info": file_info}
        return await self._post(body, target, context), (delivery,)

    async def _post(self, body: dict[str, Any], target: Target, context: ReplyContext | None) -> SentMessage:
        """Post one message; after an unclear failure once more under the same number, which cannot arrive twice."""
        if context is None:
            return await self._api.post_message(target, body)
        numbered = {**body, "msg_id": context.msg_id, "msg_seq": self._replies.next_seq(context)}
        try:
            return await self._api.post_message(target, numbered)
        except OpenAPIError as error:
            if not error.ambiguous:
                raise
            logger.warning("no clear answer to a message, sending it again under the same number: %s", error)
        try:
            return await self._api.post_message(target, numbered)
        except OpenAPIError as error:
            if kind_of(error) is not CodeKind.DUPLICATE:
                raise
            logger.info("that message had arrived the first time")
            return SentMessage(id="", raw={})  # its id was in the answer that got lost


def _result(outcome: _Outcome, messages: int) -> list[MessageHandle]:
    """Return the handles, or raise what went wrong."""
    if not outcome.failures:
        return outcome.handles
    first = outcome.failures[0][1]
    if not outcome.handles:
        raise first
    failed = dict(outcome.failures)
    tried = max(failed) if isinstance(failed[max(failed)], _HOPELESS) else messages
    lines = [
        f"{position}: {failed.get(position) or ('sent' if position <= tried else 'not tried')}"
        for position in range(1, messages + 1)
    ]
    raise PartlySentError(
        f"{len(outcome.handles)} of {messages} messages were sent - " + "; ".join(lines),
        handles=outcome.handles,
        errors=[error for _, error in outcome.failures],
    ) from first

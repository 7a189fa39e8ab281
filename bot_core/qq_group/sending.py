"""Sends a chain: plan it, make every medium ready, then post one message after the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from bot_core.adapter import Delivery, MessageHandle, Response
from bot_core.errors import (
    AuthenticationError,
    OpenAPIError,
    PartlySentError,
    PermissionDeniedError,
    ReplyContextError,
    TargetError,
)
from bot_core.openapi.values import Target
from bot_core.qq_group.posting import Post, Poster
from bot_core.qq_group.render import PlannedMessage, plan_chain
from bot_core.qq_group.timing import Timing
from qqmedia import QQMediaError

if TYPE_CHECKING:
    from bot_core.adapter import Adapter
    from bot_core.chain import Chain
    from bot_core.message import Message
    from bot_core.openapi.client import OpenAPIClient
    from bot_core.qq_group.builders import Builder
    from bot_core.qq_group.markdown_images import MarkdownImages, Shown
    from bot_core.qq_group.reply import ReplyBook, ReplyContext
    from bot_core.qq_group.uploads import Ready, Uploads

__all__ = ("SendOptions", "Sender")

# file_info expired, unknown, or its media could not be fetched or re-hosted (PLATFORM 2.6): uploading again helps.
_UPLOAD_AGAIN: Final = frozenset({304080, 304082, 304083, 40034004})
# A picture of the markdown could not be fetched: another way to it helps.
_SHOW_AGAIN: Final = frozenset({40034141})
# After one of these the other messages of the chain would fare no better.
_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, ReplyContextError, TargetError)
# How many media of one chain are made ready at once.
_PREPARE_AT_ONCE: Final = 4
# For the calls of one message, pauses and repeats included; an upload has limits of its own.
_CALLS_SECONDS: Final = 60.0

logger = logging.getLogger("bot_core.qq_group")


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """How chains are sent.

    Attributes:
        proactive_fallback: What a message takes no more replies for goes out unasked.
        text_limit: Longer text becomes several messages; in characters.
        timing: Clocks and pauses.
    """

    proactive_fallback: bool = False
    text_limit: int | None = None
    timing: Timing = field(default_factory=Timing)


@dataclass(slots=True)
class _Run:
    """One chain on its way.

    Attributes:
        data: The message that the author answers with it.
        target: Where to.
        context: What it answers, if anything.
        places: Replies that are set aside for it, and not used yet.
        timeout: What the caller allows for each message.
        handles: Of the messages that went out.
        failures: Of the others, by position.
        builder: The chain's own.
        shown: By position, of messages with pictures in markdown: what the author wrote, and what it became.
    """

    data: Message | None
    target: Target
    context: ReplyContext | None
    places: int = 0
    timeout: float | None = None
    handles: list[MessageHandle] = field(default_factory=list)
    failures: list[tuple[int, Exception]] = field(default_factory=list)
    builder: Builder | None = None
    shown: dict[int, tuple[str, Shown]] = field(default_factory=dict)


class Sender:
    """Sends chains for one adapter.

    Args:
        adapter: Whom the handles belong to.
        api: Where `post_message` is.
        uploads: Makes media ready, and gets a `file_info` for them.
        replies: Numbers the replies, and knows how many are left.
        options: How.
        pictures: Makes pictures in markdown visible; without it they stay as they are.
    """

    def __init__(
        self,
        adapter: Adapter,
        api: OpenAPIClient,
        uploads: Uploads,
        replies: ReplyBook,
        options: SendOptions | None = None,
        *,
        pictures: MarkdownImages | None = None,
    ) -> None:
        self.replies = replies
        self._adapter = adapter
        self._uploads = uploads
        self._pictures = pictures
        self._options = options or SendOptions()
        self._clock = self._options.timing.clock
        self._poster = Poster(api, replies, self._options.timing)

    async def send(
        self, chain: Chain, target: Target, context: ReplyContext | None, *, timeout: float | None = None
    ) -> list[MessageHandle]:
        """Send the chain, as a reply where there is a `context`; one handle a message.

        Args:
            chain: What to say.
            target: Where to.
            context: What it answers.
            timeout: Seconds for each message, with its medium; by default 60 s for its calls, and the upload's own
                limits for a medium.

        Raises:
            MediaError: A medium cannot be sent; nothing was sent.
            ReplyContextError: No more replies are taken; nothing was sent.
            OpenAPIError: The platform refused, and nothing was sent.
            PartlySentError: Some messages went out, some did not.
        """
        reference = context.reference if context is not None and chain.reference else ""
        plan = plan_chain(chain.chain, reference=reference, text_limit=self._options.text_limit)
        if plan.left_out:
            logger.warning(
                "left out of the message, as groups and private chats have no form for it: %s", ", ".join(plan.left_out)
            )
        messages = plan.messages
        if not messages:
            logger.info("nothing is sent, as nothing is in the chain")
            return []
        places = self._reserve(context, len(messages))
        run = _Run(chain.data, target, context, places, timeout, builder=chain.builder)
        try:
            await self._show_pictures(run, messages)
            if any(message.medium is not None for message in messages):
                async with AsyncExitStack() as stack:
                    ready = await self._prepare(messages, chain.builder, stack)
                    await self._post_all(run, messages, ready)
            else:  # text, the most frequent: no more than it takes
                await self._post_all(run, messages, repeat(None))
        finally:
            if context is not None and run.places:
                self.replies.give_back(context, run.places)
        return _result(run, len(messages))

    def _reserve(self, context: ReplyContext | None, messages: int) -> int:
        """Set replies aside; where there are not enough, the rest goes out unasked, or nothing is sent at all."""
        if context is None:
            return 0
        fallback = self._options.proactive_fallback
        places = self.replies.reserve(context, messages, fewer=fallback)
        if places < messages:
            logger.info(
                "%s takes no more than %d replies now: %d messages go out unasked",
                context.name, places, messages - places,
            )  # fmt: skip
        return places

    async def _show_pictures(self, run: _Run, messages: Sequence[PlannedMessage]) -> None:
        """Give the pictures of markdown links that the platform can fetch."""
        for position, message in enumerate(messages, 1):
            if message.pictures is not None and self._pictures is not None:
                markdown = message.body["markdown"]
                written = markdown["content"]
                shown = await self._pictures.resolve(written, message.pictures, run.builder)
                markdown["content"] = shown.content
                run.shown[position] = (written, shown)

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

    async def _post_all(self, run: _Run, messages: Sequence[PlannedMessage], ready: Iterable[Ready | None]) -> None:
        for position, (message, medium) in enumerate(zip(messages, ready, strict=False), 1):
            try:
                run.handles.append(await self._post_one(run, message, medium, position))
            except Exception as error:  # noqa: BLE001 - a stranger's host may raise anything; _result raises it again
                run.failures.append((position, error))
                if isinstance(error, _HOPELESS):
                    break

    async def _post_one(self, run: _Run, message: PlannedMessage, medium: Ready | None, position: int) -> MessageHandle:
        """Send one message. A reply that did not go out leaves its place to the next one."""
        context = run.context if run.places else None
        run.places -= context is not None
        post = Post(message.body, run.target, context, self._until(run))
        try:
            if medium is None:
                deliveries: tuple[Delivery, ...] = ()
                if position in run.shown:
                    trace_id, data, message_id = await self._say_shown(run, post, message, *run.shown[position])
                else:
                    trace_id, data, message_id = await self._say(run, post)
            else:
                deliveries, trace_id, data, message_id = await self._say_with(run, post, medium)
        except Exception as error:
            if post.context is not None and not post.unclear and not isinstance(error, ReplyContextError):
                run.places += 1
            raise
        return MessageHandle(
            instance=self._adapter,
            data=run.data,
            response=Response(data),
            message_id=message_id,
            target=run.target,
            deliveries=deliveries,
            attempts=post.tries,
            trace_id=trace_id,
            proactive=post.context is None,
        )

    async def _say(self, run: _Run, post: Post) -> tuple[str, dict[str, Any], str]:
        """Post it; return the trace id, the answer, and the message's id."""
        context = post.context
        if context is not None:
            left = self.replies.seconds_left(context)
            if left <= 0 and not self._fall_back(run, post):
                raise self.replies.too_late(context)
            post.until = min(post.until, self._clock() + left) if post.context is not None else post.until
        try:
            sent = await self._poster.post(post)
        except ReplyContextError:
            # The platform counts differently, or another process of this bot answered too.
            if context is None or post.context is None:
                raise
            self.replies.exhaust(context)
            run.places = 0
            if post.unclear or not self._fall_back(run, post):
                raise
            post.until = self._until(run)
            sent = await self._poster.post(post)
        return sent.trace_id, sent.raw, sent.id

    async def _say_shown(
        self, run: _Run, post: Post, message: PlannedMessage, written: str, shown: Shown
    ) -> tuple[str, dict[str, Any], str]:
        """Post markdown with pictures; once more, by another way to them, if the platform cannot fetch one."""
        try:
            return await self._say(run, post)
        except OpenAPIError as error:
            if _SHOW_AGAIN.isdisjoint(error.codes) or self._pictures is None:
                raise
            logger.warning("a picture of the markdown could not be fetched, it goes another way: %s", error)
            try:
                again = await self._pictures.resolve(written, message.pictures or {}, run.builder, refused=shown)
            except QQMediaError as other:
                logger.warning("there is no other way to it: %s", other)
                raise error from other
            if again.content == shown.content:
                raise
        post.body["markdown"]["content"] = again.content
        post.until = self._until(run)
        return await self._say(run, post)

    def _fall_back(self, run: _Run, post: Post) -> bool:
        """Let it go out unasked, where that is allowed."""
        if not self._options.proactive_fallback or post.context is None:
            return False
        logger.warning("%s takes no more replies, so the answer goes out unasked", post.context.name)
        post.context, run.places = None, 0
        return True

    async def _say_with(
        self, run: _Run, post: Post, medium: Ready
    ) -> tuple[tuple[Delivery, ...], str, dict[str, Any], str]:
        """Upload the medium and post the message, both once more if the platform will not have this upload."""
        file_info, delivery = await self._file_info(run, post, medium)
        post.not_for = _UPLOAD_AGAIN
        try:
            return ((delivery,), *await self._say(run, post))
        except OpenAPIError as error:
            if _UPLOAD_AGAIN.isdisjoint(error.codes):
                raise
            logger.warning("the platform will not have this medium any more, uploading it again: %s", error)
        post.not_for = frozenset()
        await self._uploads.forget(medium, file_info, run.target)
        _, delivery = await self._file_info(run, post, medium)
        return ((delivery,), *await self._say(run, post))

    async def _file_info(self, run: _Run, post: Post, medium: Ready) -> tuple[str, Delivery]:
        """Get a `file_info` into the message. The time that this takes is not taken from the calls, unless asked."""
        if run.timeout is None:
            file_info, delivery = await self._uploads.file_info(medium, run.target)
            post.until = self._until(run)
        else:
            limit = asyncio.timeout(max(0.0, post.until - self._clock()))
            try:
                async with limit:
                    file_info, delivery = await self._uploads.file_info(medium, run.target)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise OpenAPIError(
                    f"the {medium.kind} was not at the platform within {run.timeout:g} s, so its message was not sent;"
                    " give send() a longer timeout"
                ) from error
        post.body["media"] = {"file_info": file_info}
        return file_info, delivery

    def _until(self, run: _Run) -> float:
        return self._clock() + (_CALLS_SECONDS if run.timeout is None else run.timeout)


def _result(run: _Run, messages: int) -> list[MessageHandle]:
    """Return the handles, or raise what went wrong."""
    if not run.failures:
        return run.handles
    first = run.failures[0][1]
    if not run.handles:
        raise first
    failed = dict(run.failures)
    tried = max(failed) if isinstance(failed[max(failed)], _HOPELESS) else messages
    lines = [
        f"{position}: {failed.get(position) or ('sent' if position <= tried else 'not tried')}"
        for position in range(1, messages + 1)
    ]
    raise PartlySentError(
        f"{len(run.handles)} of {messages} messages were sent - " + "; ".join(lines),
        handles=run.handles,
        errors=[error for _, error in run.failures],
    ) from first

"""Sends a chain: plan it, make every medium ready, then post one message after the other."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from bot_core.adapter import Delivery, MessageHandle, Response
from bot_core.errors import (
    OpenAPIError,
    PayloadError,
    ReplyContextError,
)
from bot_core.openapi.values import MsgType, SentMessage, Target
from bot_core.qq_group.media import name_of, way_told
from bot_core.qq_group.posting import Post, Poster
from bot_core.qq_group.render import PlannedMessage, plan_chain
from bot_core.qq_group.runs import Run, is_hopeless, not_in_time, result_of
from bot_core.qq_group.splitting import split_text
from bot_core.qq_group.timing import Timing
from qqmedia import MediaKind, QQMediaError
from qqmedia.guard import shown_url

if TYPE_CHECKING:
    from bot_core.adapter import Adapter
    from bot_core.chain import Chain
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
# The text is longer than the platform takes, which names no figure.
_TOO_LONG: Final = frozenset({40054007, 40054018})
# From here on a picture is a file card to the platform (PLATFORM 2.4; whether it means MB or MiB is not known).
_LARGEST_PICTURE_BYTES: Final = 20_000_000
# Shorter text is refused for another reason.
_SURELY_TAKEN: Final = 100
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
        self._text_limit = self._options.text_limit
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
            timeout: Seconds for each message, with the upload of its medium, and before that for making all media
                ready; by default 60 s for the calls of a message, and the limits that each medium has by its size.

        Raises:
            MediaError: A medium cannot be sent; nothing was sent.
            ReplyContextError: No more replies are taken; nothing was sent.
            OpenAPIError: The platform refused, or the time was over, and nothing was sent.
            PartlySentError: Some messages went out, some did not.
        """
        if timeout is not None and not timeout > 0:  # what is left of somebody's own deadline
            raise OpenAPIError(f"nothing was sent, as there was no time for it: timeout={timeout!r}")
        reference = context.reference if context is not None and chain.reference else ""
        plan = plan_chain(chain.chain, reference=reference, text_limit=self._text_limit)
        if plan.left_out:
            logger.warning(
                "left out of the message, as groups and private chats have no form for it: %s", ", ".join(plan.left_out)
            )
        messages = plan.messages
        if not messages:
            logger.info("nothing is sent, as nothing is in the chain")
            return []
        places = self._reserve(context, len(messages))
        run = Run(chain.data, target, context, places, timeout, planned=len(messages), builder=chain.builder)
        try:
            await self._show_pictures(run, messages)
            if any(message.medium is not None for message in messages):
                async with AsyncExitStack() as stack:
                    ready = await self._prepare(run, messages, stack)
                    await self._post_all(run, messages, ready)
            else:  # text, the most frequent: no more than it takes
                await self._post_all(run, messages, repeat(None))
        finally:
            if context is not None and run.places:
                self.replies.give_back(context, run.places)
        return result_of(run)

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

    async def _show_pictures(self, run: Run, messages: Sequence[PlannedMessage]) -> None:
        """Give the pictures of markdown links that the platform can fetch."""
        for position, message in enumerate(messages, 1):
            if message.pictures is not None and self._pictures is not None:
                markdown = message.body["markdown"]
                written = markdown["content"]
                shown = await self._pictures.resolve(written, message.pictures, run.builder)
                markdown["content"] = shown.content
                run.shown[position] = (written, shown)

    async def _prepare(self, run: Run, messages: Sequence[PlannedMessage], stack: AsyncExitStack) -> list[Ready | None]:
        """Make all media ready before the first message leaves, so that a bad one sends nothing."""
        if run.timeout is None:
            return await self._prepare_all(messages, run.builder, stack)
        limit = asyncio.timeout(run.timeout)
        try:
            async with limit:
                return await self._prepare_all(messages, run.builder, stack)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise not_in_time("the media were not ready", run) from error

    async def _prepare_all(
        self, messages: Sequence[PlannedMessage], builder: Builder | None, stack: AsyncExitStack
    ) -> list[Ready | None]:
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

    async def _post_all(self, run: Run, messages: Sequence[PlannedMessage], ready: Iterable[Ready | None]) -> None:
        for position, (message, medium) in enumerate(zip(messages, ready, strict=False), 1):
            try:
                run.outcomes.append(await self._post_one(run, message, medium, position))
            except Exception as error:  # noqa: BLE001 - a stranger's host may raise anything; result_of raises it again
                run.outcomes.append(error)
                if is_hopeless(error, run):
                    break

    async def _post_one(self, run: Run, message: PlannedMessage, medium: Ready | None, position: int) -> MessageHandle:
        """Send one message. A reply that did not go out leaves its place to the next one."""
        context = run.context if run.places else None
        run.places -= context is not None
        post = Post(message.body, run.target, context, self._until(run))
        deliveries: list[Delivery] = []
        try:
            if medium is not None:
                sent, *deliveries = await self._say_with(run, post, medium, message.opening)
            elif position in run.shown:
                sent, *deliveries = await self._say_shown(run, post, message, *run.shown[position])
            else:
                sent = await self._say(run, post)
        except BaseException as error:
            cut_off = post.unclear or (post.tries and not isinstance(error, Exception))  # it may be there
            if post.context is not None and not cut_off and not isinstance(error, ReplyContextError):
                run.places += 1
            raise
        if deliveries and logger.isEnabledFor(logging.DEBUG):
            names = map(shown_url, run.shown[position][1].pictures) if medium is None else (name_of(medium),)
            for name, delivery in zip(names, deliveries, strict=False):
                logger.debug("%s", way_told(name, medium.kind if medium is not None else MediaKind.IMAGE, delivery))
        return self._handle(run, post, sent, *deliveries)

    def _handle(self, run: Run, post: Post, sent: SentMessage, *deliveries: Delivery) -> MessageHandle:
        return MessageHandle(
            instance=self._adapter,
            data=run.data,
            response=Response(sent.raw),
            message_id=sent.id,
            target=run.target,
            deliveries=deliveries,
            attempts=post.tries,
            trace_id=sent.trace_id,
            proactive=post.context is None,
        )

    async def _say(self, run: Run, post: Post) -> SentMessage:
        """Post it; where its text is too long for the platform after all, in several messages."""
        while True:
            try:
                return await self._say_once(run, post)
            except PayloadError as error:
                content = post.body.get("content", "")
                if post.unclear or self._text_limit is None or _TOO_LONG.isdisjoint(error.codes):
                    raise
                if len(content) <= _SURELY_TAKEN:
                    raise
                half = len(content) // 2 + 1
                self._text_limit = min(self._text_limit, half)
                logger.warning(
                    "the platform takes no text of %d characters; it is cut at %d from now on (text_limit): %s",
                    len(content), self._text_limit, error,
                )  # fmt: skip
            beginning, *rest = split_text(content, half)
            if rest:
                await self._say_apart(run, post, beginning)
            post.body["content"] = "".join(rest) or beginning

    async def _say_once(self, run: Run, post: Post) -> SentMessage:
        context = post.context
        if context is not None:
            left = self.replies.seconds_left(context)
            if left <= 0 and not self._fall_back(run, post):
                run.places = 0
                raise self.replies.too_late(context)
            post.until = min(post.until, self._clock() + left) if post.context is not None else post.until
        try:
            return await self._poster.post(post)
        except ReplyContextError:
            # The platform counts differently, or another process of this bot answered too.
            if context is None or post.context is None:
                raise
            self.replies.exhaust(context)
            run.places = 0
            if post.unclear or not self._fall_back(run, post):
                raise
            post.until = self._until(run)
            return await self._poster.post(post)

    async def _say_shown(
        self, run: Run, post: Post, message: PlannedMessage, written: str, shown: Shown
    ) -> tuple[SentMessage, *tuple[Delivery, ...]]:
        """Post markdown with pictures; once more, by another way to them, if the platform cannot fetch one."""
        try:
            return await self._say(run, post), *shown.pictures.values()
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
        return await self._say(run, post), *again.pictures.values()

    def _fall_back(self, run: Run, post: Post) -> bool:
        """Let it go out unasked, where that is allowed."""
        if not self._options.proactive_fallback or post.context is None:
            return False
        logger.warning("%s takes no more replies, so the answer goes out unasked", post.context.name)
        post.context, run.places = None, 0
        return True

    async def _say_with(self, run: Run, post: Post, medium: Ready, opening: str = "") -> tuple[SentMessage, Delivery]:
        """Upload the medium and post the message, both once more if the platform will not have this upload."""
        file_info, delivery = await self._file_info(run, post, medium, opening)
        post.not_for = _UPLOAD_AGAIN
        try:
            return await self._say(run, post), delivery
        except OpenAPIError as error:
            if _UPLOAD_AGAIN.isdisjoint(error.codes):
                raise
            logger.warning("the platform will not have this medium any more, uploading it again: %s", error)
        post.not_for = frozenset()
        await self._uploads.forget(medium, file_info, run.target)
        _, delivery = await self._file_info(run, post, medium, opening)
        return await self._say(run, post), delivery

    async def _say_apart(self, run: Run, post: Post, content: str) -> None:
        """Post text that goes ahead of a message, as one message more.

        Raises:
            ReplyContextError: No reply is left for it. Nothing of this message is sent.
            OpenAPIError: It was refused for a reason that holds for the message too.
        """
        if post.context is not None:
            try:
                run.places += self.replies.reserve(post.context, 1, fewer=self._options.proactive_fallback)
            except ReplyContextError:
                run.places += 1
                raise
        body: dict[str, Any] = {"msg_type": MsgType.TEXT.value, "content": content}
        if "message_reference" in post.body:
            body["message_reference"] = post.body.pop("message_reference")
        run.planned += 1
        try:
            run.outcomes.append(await self._post_one(run, PlannedMessage(body), None, 0))
        except OpenAPIError as error:
            if is_hopeless(error, run):
                raise
            run.outcomes.append(error)
        post.until = self._until(run)

    async def _file_info(self, run: Run, post: Post, medium: Ready, opening: str) -> tuple[str, Delivery]:
        """Get a `file_info` into the message. The time that this takes is not taken from the calls, unless asked."""
        limit = asyncio.timeout(self._upload_seconds(run, post))
        try:
            async with limit:
                file_info, delivery = await self._uploads.file_info(medium, run.target)
        except TimeoutError as error:
            if not limit.expired():
                raise
            if post.context is not None and (run.timeout is None or self.replies.seconds_left(post.context) <= 0):
                run.places = 0
                raise self.replies.too_late(post.context) from error
            raise not_in_time(f"the {medium.kind} was not at the platform", run) from error
        if run.timeout is None:
            post.until = self._until(run)
        post.body["media"] = {"file_info": file_info}
        if "content" in post.body and (delivery.kind == MediaKind.FILE.value or delivery.size > _LARGEST_PICTURE_BYTES):
            content = post.body.pop("content")  # the platform shows no text beside a card
            if content != opening:  # nobody wants a message that only calls his name
                await self._say_apart(run, post, content)
        return file_info, delivery

    def _upload_seconds(self, run: Run, post: Post) -> float | None:
        """Return how long the upload may take: what the author allows, and no longer than a reply can be sent."""
        seconds = math.inf if run.timeout is None else post.until - self._clock()
        if post.context is not None and not self._options.proactive_fallback:
            seconds = min(seconds, self.replies.seconds_left(post.context))
        return None if seconds == math.inf else max(0.0, seconds)

    def _until(self, run: Run) -> float:
        return self._clock() + (_CALLS_SECONDS if run.timeout is None else run.timeout)

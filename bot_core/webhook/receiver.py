"""One bot's part of the webhook: takes what the listener lets in, and hands it out in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from bot_core.errors import AuthenticationError, GatewayError, OpenAPIError
from bot_core.gateway.actions import Dispatch
from bot_core.gateway.shard import DeliverCallback, OnReady
from bot_core.slots import Delivery, current_delivery
from bot_core.status import ShardStatus, SupportsStatus
from bot_core.webhook._door import Door
from bot_core.webhook.lending import lent_server
from bot_core.webhook.options import WebhookOptions
from bot_core.webhook.signature import BotKey

__all__ = ("BothReceivers", "LogIn", "Receiver", "WebhookReceiver")

# Events that were acknowledged and wait while the bot has too much to do; with more the platform is asked to send
# them again, which it does three times.
_MOST_WAITING: Final = 256
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

# The platform was told that they are taken: they must not wait for the next process, which would never get them.
_ACKNOWLEDGED: Final = Delivery(lambda: None, final=True)

logger = logging.getLogger("bot_core.webhook")

LogIn: TypeAlias = Callable[[], Awaitable[Dispatch]]
"""Proves appid and secret, and returns what READY would have told."""


class Receiver(Protocol):
    """Where the events of one account come from: the gateway, the webhook, or both."""

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Hand every event to `deliver` until `stop`; faults that pass are survived.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
        """
        ...

    def stop(self) -> None:
        """Make `run` return soon; may be called at any time, and again."""
        ...


class WebhookReceiver:
    """Receives the events of one account by webhook.

    Args:
        appid: The account.
        client_secret: Its secret, which makes the key.
        options: Where to listen.
        log_in: Proves appid and secret once the address answers; a refusal ends `run`. `None`: somebody else does.
        clock: Wall clock in seconds.
        most_waiting: How many events may wait for the bot.

    Attributes:
        listening: Is set while the address answers.
        port: The port that it listens on, while it does.
    """

    def __init__(
        self,
        appid: str,
        client_secret: str,
        options: WebhookOptions,
        *,
        log_in: LogIn | None = None,
        clock: Callable[[], float] = time.time,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.appid = appid
        self.listening = asyncio.Event()
        self.port = options.port
        self._client_secret = client_secret
        self._options = options
        self._log_in = log_in
        self._clock = clock
        self._most_waiting = most_waiting
        self._waiting: deque[Dispatch] = deque()
        self._wake = asyncio.Event()
        self._stopped = False
        self._complained = False
        self._since: float | None = None
        self._last_event: float | None = None

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Listen, and hand every event to `deliver`, in order, until `stop`. The port is free again afterwards.

        Args:
            deliver: While it waits, events are kept; beyond a limit the platform is asked to send them again later.
            on_ready: Is told what READY would have told, once appid and secret are proven.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            ConfigurationError: The address cannot be used, or `cryptography` is not installed.
        """
        if self._stopped:
            return
        options = self._options
        key = BotKey.of(self._client_secret)
        door = Door(
            appid=self.appid, key=key, max_age_seconds=options.max_age_seconds, take=self._take, clock=self._clock
        )
        async with lent_server(options) as server:
            with server.door(options.path, door):
                self.port = server.port
                self.listening.set()
                self._since = self._clock()
                self._say_where()
                try:
                    await self._serve(deliver, on_ready)
                finally:
                    self.listening.clear()
                    self._since = None

    def shard_status(self) -> tuple[ShardStatus, ...]:
        """Return how the address is doing, in the words for a connection: it is `live` while it answers."""
        return (
            ShardStatus(
                way="webhook",
                index=0,
                count=1,
                state="offline" if self._since is None else "live",
                connected_since=_moment(self._since),
                last_event=_moment(self._last_event),
                heartbeat_seconds=None,
                identifies=0,
                resumes=0,
                went_down="",
            ),
        )

    def stop(self) -> None:
        """Make `run` return soon; what was acknowledged is handed out before. May be called again."""
        self._stopped = True
        self._wake.set()

    async def _serve(self, deliver: DeliverCallback, on_ready: OnReady | None) -> None:
        with _first_error():
            async with asyncio.TaskGroup() as tasks:
                logging_in = tasks.create_task(self._prove(on_ready), name=f"webhook login {self.appid}")
                token = current_delivery.set(_ACKNOWLEDGED)
                try:
                    await self._hand_out(deliver)
                finally:
                    current_delivery.reset(token)
                logging_in.cancel()

    def _take(self, dispatch: Dispatch) -> bool:
        """Take one event, if there is room."""
        if self._stopped:
            return False
        self._last_event = self._clock()
        if len(self._waiting) >= self._most_waiting:
            if not self._complained:
                self._complained = True
                logger.warning(
                    "bot %s cannot keep up: %d events wait, the platform is asked to send further ones again",
                    self.appid,
                    len(self._waiting),
                )
            return False
        self._waiting.append(dispatch)
        self._wake.set()
        return True

    async def _hand_out(self, deliver: DeliverCallback) -> None:
        while True:
            while self._waiting:
                await deliver(self._waiting.popleft())
            self._complained = False
            if self._stopped:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _prove(self, on_ready: OnReady | None) -> None:
        """Prove appid and secret; while the platform is away, try again for ever."""
        pause = _FIRST_PAUSE_SECONDS
        while self._log_in is not None:
            try:
                ready = await self._log_in()
            except AuthenticationError:
                raise
            except OpenAPIError as error:
                logger.warning("bot %s cannot log in: %s; next try in %g s", self.appid, error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                if on_ready is not None:
                    await on_ready(ready)
                return

    def _say_where(self) -> None:
        options = self._options
        scheme = "https" if options.certfile is not None else "http"
        host = f"[{options.host}]" if ":" in options.host else options.host
        note = "" if options.certfile is not None else "; a proxy before it has to do TLS"
        logger.info(
            "bot %s receives by webhook on %s://%s:%d%s%s",
            self.appid, scheme, host, self.port, options.path, note,
        )  # fmt: skip


class BothReceivers:
    """Receives by two ways at once, while moving from one to the other. What comes by both is for `deliver` to drop.

    Args:
        gateway: The old way; the platform may end it.
        webhook: The new one.
    """

    def __init__(self, gateway: Receiver, webhook: Receiver) -> None:
        self._both = (gateway, webhook)

    async def run(self, deliver: DeliverCallback, on_ready: OnReady | None = None) -> None:
        """Run both until `stop`; the first that fails ends the other, and its error comes out as it is.

        A connection that the platform ends for good does not: it is told once, and the webhook goes on.

        Raises:
            AuthenticationError: The platform does not accept appid and secret.
            ConfigurationError: The webhook's address cannot be used.
        """
        gateway, webhook = self._both

        async def connect() -> None:
            try:
                await gateway.run(deliver, on_ready)
            except GatewayError as error:
                logger.error("%s; from now on events come by webhook alone (receive='webhook' says the same)", error)  # noqa: TRY400 - one line tells it

        with _first_error():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(connect(), name="receiver gateway")
                tasks.create_task(webhook.run(deliver, on_ready), name="receiver webhook")

    def shard_status(self) -> tuple[ShardStatus, ...]:
        """Return how both are doing."""
        return tuple(status for one in self._both if isinstance(one, SupportsStatus) for status in one.shard_status())

    def stop(self) -> None:
        """Make `run` return soon; may be called at any time, and again."""
        for one in self._both:
            one.stop()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@contextmanager
def _first_error() -> Iterator[None]:
    """Let the error that ended a task group come out as it is: callers know what it means."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from None

"""One cell of the table of `benchmarks.arrival`: one bot, one kind of medium, given in one way, under one condition."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks._arrival_drivers import Hosts
from benchmarks._arrival_media import INTRANET, PLATFORM_NAMES, PRIVATE, PUBLIC, Item, Names, Stock
from bot_core import AmiyaBot, Chain, Message
from bot_core.adapter import MessageHandle
from bot_core.openapi.values import FileType
from bot_core.qq_group.adapter import QQGroupAdapter
from bot_core.qq_group.settings import AdapterSettings
from bot_core.qq_group.timing import Timing
from bot_core.sandbox import Arrived, Fault, FaultMode, Sandbox, SandboxOptions
from qqmedia import MediaHost

__all__ = ("CONDITIONS", "REFUSED_SOURCE", "SOURCES", "Cell", "Condition", "add_faults", "sandbox_for")

SOURCES: Final = ("bytes", "path", "public URL", "private URL")
REFUSED_SOURCE: Final = "intranet URL"
_HOSTS: Final = {"public URL": PUBLIC, "private URL": PRIVATE, REFUSED_SOURCE: INTRANET}

_FILE_TYPES: Final = {
    "image": FileType.IMAGE, "voice": FileType.VOICE, "video": FileType.VIDEO, "file": FileType.FILE
}  # fmt: skip
_CALLS: Final = ("files", "upload_prepare", "upload_part", "upload_part_finish", "messages")
_IN_FLIGHT: Final = 32
_GROUPS: Final = 16
_PATIENCE_SECONDS: Final = 120.0
# Pauses between tries are shortened by this, or the table would take hours.
_HASTE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is wrong.

    Attributes:
        options: Of the sandbox.
        faults: What happens to calls by chance, each fault with its own probability.
        down: The driver takes nothing.
        refused: The formats are such as the platform refuses, and the first upload of each medium is refused whatever
            it is (but for files, which have no format to be refused). They go one at a time then.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    down: bool = False
    refused: bool = False


CONDITIONS: Final = (
    Condition(name="all well"),
    Condition(name="driver down", down=True),
    Condition(name="URL unreachable", options={"fetch_ports": (80, 443)}),
    Condition(name="413", options={"inline_body_bytes": 2048}),
    Condition(name="850019", options={"strict_images": True}, refused=True),
    Condition(
        name="5xx 10 %",
        faults=(  # half of them are carried out all the same
            Fault(mode=FaultMode.ANSWER, status=502, html=True, probability=0.05, seed=1),
            Fault(mode=FaultMode.FAIL_AFTER, status=504, html=True, probability=0.05, seed=2),
        ),
    ),
    Condition(
        name="429 10 %", faults=(Fault(mode=FaultMode.ANSWER, status=429, code=40023001, probability=0.1, seed=3),)
    ),
    Condition(name="answer lost 10 %", faults=(Fault(mode=FaultMode.LOSE_ANSWER, probability=0.1, seed=4),)),
)


def sandbox_for(condition: Condition, driver: str) -> SandboxOptions:
    """Return how the platform behaves. It fetches from no private address, except where the double of S3 has one."""
    return SandboxOptions(
        public_names=PLATFORM_NAMES, refuse_private=driver != "s3", identify_window_seconds=0,
        session_start_total=10_000, kept=100_000, **condition.options,
    )  # fmt: skip


@dataclass(slots=True)
class Cell:
    """What is to be sent, and what became of it.

    Attributes:
        wanted: How many are sent.
        arrived: How many arrived, whole and as what they are.
        twice: How many arrived more than once.
        refused: How many ended in an error.
        ways: How they went.
        errors: The texts of the errors, each once.
        seconds: How long it took.
        broken: The bot or its driver did not end well.
    """

    source: str
    kind: str
    driver: str
    condition: Condition
    wanted: int
    arrived: int = 0
    twice: int = 0
    refused: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    broken: bool = False

    @property
    def must_arrive(self) -> bool:
        """Whether it is to arrive; else it is to be refused with an error."""
        return self.source != REFUSED_SOURCE

    @property
    def good(self) -> bool:
        """Whether all became what it must."""
        if self.broken:
            return False
        if self.must_arrive:
            return self.arrived == self.wanted and not self.twice
        return self.refused == self.wanted and not self.arrived

    @property
    def appid(self) -> str:
        """Of the bot; each cell has its own."""
        return f"{self.driver}-{self.source}-{self.kind}".replace(" ", "-")

    async def run(self, sandbox: Sandbox, hosts: Hosts, stock: Stock) -> None:
        """Send it all, and fill in what became of it."""
        began = time.perf_counter()
        name = f"{self.appid}-{self.condition.name}".replace(" ", "-").replace("%", "")
        items = stock.items(self.kind, refused=self.condition.refused)[: self.wanted]
        said: dict[str, Item] = {}
        try:
            async with hosts.host(self.driver, name, down=self.condition.down) as host:
                await self._converse(sandbox, host, items, stock.port, said)
        except Exception as error:  # noqa: BLE001 - the other cells go on, and the table tells of this one
            self.errors.append(f"{type(error).__name__}: {error}")
            self.broken = True
        self._count(sandbox, said)
        self.seconds = time.perf_counter() - began

    async def _converse(
        self, sandbox: Sandbox, host: MediaHost, items: Sequence[Item], port: int, said: dict[str, Item]
    ) -> None:
        """Let a bot answer with each of them, and note in `said` which message asked for which."""
        done = [asyncio.Event() for _ in items]
        bot = AmiyaBot(appid=self.appid, token="", adapter=_adapter(sandbox, host))

        @bot.on_message(keywords="send", allow_direct=True)
        async def send(data: Message) -> None:
            number = int(data.text.split()[-1])
            try:
                handle = await data.send(self._chain(data, items[number], port))
                assert isinstance(handle, MessageHandle)
                self.ways.update(one.way if one.kind == self.kind else "card" for one in handle.deliveries)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                self._note(error)
            finally:
                done[number].set()

        slots = asyncio.Semaphore(1 if self.condition.refused else _IN_FLIGHT)

        async def ask(number: int) -> None:
            async with slots:
                private, user = number % 2 == 1, f"user {number % _GROUPS}"
                if self.condition.refused and self.kind != "file":
                    sandbox.faults.answer("files", status=400, code=850019)
                group = None if private else f"group {number % _GROUPS}"
                one = await sandbox.say(f"send {number}", user=user, group=group, private=private, appid=self.appid)
                said[one.id] = items[number]
                await done[number].wait()

        running = asyncio.create_task(bot.start(), name=self.appid)
        try:
            await sandbox.connected(30, appid=self.appid)
            async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as asking:
                for number in range(len(items)):
                    asking.create_task(ask(number), name=f"ask {number}")
        except TimeoutError:
            self.errors.append(f"not done within {_PATIENCE_SECONDS:g} s")
        await bot.close()
        await running

    def _chain(self, data: Message, item: Item, port: int) -> Chain:
        given: Any = {"bytes": item.content, "path": str(item.path)}.get(self.source)
        if given is None:
            given = f"http://{_HOSTS[self.source]}:{port}{item.url}"
        chain = Chain(data, at=False)
        match self.kind:
            case "image":
                return chain.image(given)
            case "voice":
                return chain.voice(given)
            case "video":
                return chain.video(given)
        return chain.file(given, item.path.name)

    def _note(self, error: Exception) -> None:
        self.refused += 1
        text = f"{type(error).__name__}: {error}"
        if len(self.errors) < 5:
            self.errors.append(text)

    def _count(self, sandbox: Sandbox, said: Mapping[str, Item]) -> None:
        arrivals: dict[str, list[Arrived]] = {}
        for one in sandbox.arrived:
            if one.appid == self.appid:
                arrivals.setdefault(one.msg_id or "", []).append(one)
        self.twice = sum(len(each) > 1 for each in arrivals.values()) + len(arrivals.get("", ()))
        self.arrived = sum(
            any(self._is_right(one, item) for one in arrivals.get(msg_id, ())) for msg_id, item in said.items()
        )

    def _is_right(self, arrived: Arrived, item: Item) -> bool:
        """Return whether it is what was meant, or was made of it."""
        media = arrived.media
        if media is None:
            return False
        refused = self.condition.refused
        if self.kind == "video" and refused:  # nothing else can be made of it here
            return media.file_type is FileType.FILE and media.sha256 == item.arrives_as(self.source)
        if media.file_type is not _FILE_TYPES[self.kind]:
            return False
        if self.kind == "voice" and (refused or not self.source.endswith("URL")):
            return media.content_type == "audio/silk"
        if self.kind == "image" and refused:
            return media.content_type in ("image/jpeg", "image/png")
        return media.sha256 == item.arrives_as(self.source)


def _adapter(sandbox: Sandbox, host: MediaHost) -> Any:
    settings = AdapterSettings(
        client_secret="secret", builder=host, api_base=sandbox.api_base, inline_limit=3_670_016, resolver=Names(),
        timing=Timing(sleep=lambda seconds: asyncio.sleep(seconds * _HASTE)),
    )  # fmt: skip
    return lambda appid, _token: QQGroupAdapter(appid, settings)


def add_faults(sandbox: Sandbox, condition: Condition) -> None:
    """Let calls go wrong by chance."""
    for kind in _CALLS:
        for fault in condition.faults:
            sandbox.faults.add(kind, fault)

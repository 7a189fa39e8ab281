"""Plays the scenes: a sandbox in this process, a bot in its own, and people who talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

from rich.console import Console

from bot_core.demo._bot_process import BotFailedError, BotProcess, example_bot, free_port
from bot_core.demo._check import Medium, Received, Verdict, check
from bot_core.demo._keep import forget, keep
from bot_core.demo._media import DemoMedia, make_media
from bot_core.demo._scenes import SCENES, Expected, Scene, Step
from bot_core.demo._show import Outcome, Show
from bot_core.errors import SandboxError
from bot_core.openapi.values import FileType
from bot_core.sandbox import Arrived, Said, Sandbox, SandboxAccount, SandboxOptions
from qqmedia import DriverUnavailableError, MediaError
from qqmedia.plugins import discover
from qqmedia.voice import inspect_silk

__all__ = ("run_demo",)

EXIT_ALL_ARRIVED: Final = 0
EXIT_SOMETHING_MISSING: Final = 1
EXIT_TERMINATED: Final = 143  # 128 + SIGTERM, as shells have it

_GROUP: Final = "demo group"
_SECRET: Final = "demo-secret"  # noqa: S105 - of accounts that exist for seconds, on loopback
# Each driver's bot is an account of its own, so that nothing of one run is left over for the next.
_APPIDS: Final = {"local": "102000001", "direct": "102000002", "cos": "102000003"}
# A storage behind a port that nobody listens on, and another way where it does not answer.
_STORAGE_DOWN: Final = {
    "QQMEDIA_DRIVER": "cos,direct",
    "QQMEDIA_COS_BUCKET": "demo-1250000000",
    "QQMEDIA_COS_REGION": "ap-guangzhou",
    "QQMEDIA_COS_SECRET_ID": "demo",
    "QQMEDIA_COS_SECRET_KEY": _SECRET,
    "QQMEDIA_HOST_RETRIES": "1",  # who waits for the demo knows that it will not come back
}
_WAYS: Final = {"url": "url", "file_data": "bytes", "upload_id": "chunks"}

_CONNECT_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 15.0
_LITTLE_PATIENCE_SECONDS: Final = 3.0  # once something did not arrive: the whole demo stays under a minute

_NOT_PLAYED: Final = Verdict(right=False, text="not played: there was no bot any more")


def run_demo(
    output: Path,
    *,
    bot_file: Path | None = None,
    console: Console | None = None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> int:
    """Play the conversation, show it, save what arrived to `output`, and return the exit code.

    A scene whose driver needs a package that is not installed is left out, and the first line says so.

    0: everything arrived as it was sent. 1: something did not, and the table says what. 143: SIGTERM came. Whatever
    happens, the bot's process has ended when this returns or raises, and nothing is left in the temporary folder.

    Args:
        output: Gets ``sent``, ``arrived`` and the logs of the bot; made if it is not there.
        bot_file: Another bot than the example bot: a program that answers what `SCENES` says.
        console: Where to print.
        patience_seconds: How long to wait for an answer; once one has not come, at most 3 s for each that follows.

    Raises:
        ConfigurationError: What makes the demo's mp3 and mp4 is not installed.
        OSError: `output` cannot be written.
    """
    show = Show(console or Console())
    with tempfile.TemporaryDirectory(prefix="qqmedia-demo-", ignore_cleanup_errors=True) as scratch:
        media = make_media(output.absolute() / "sent")
        forget(output / "arrived")
        scenes = _playable(show)
        performance = _Performance(
            output, Path(scratch), (bot_file or example_bot()).absolute(), media, show,
            scenes=scenes, patience=patience_seconds,
        )  # fmt: skip
        try:
            asyncio.run(performance.play())
        except asyncio.CancelledError:
            return EXIT_TERMINATED
    played = performance.outcomes
    keep(played, output / "arrived")
    outcomes = [
        *(_checked(outcome, media) for outcome in played),
        *_not_played(scenes)[len(played) :],
        *performance.surplus,
    ]
    show.table(outcomes)
    return _conclude(outcomes, output, show)


class _Performance:
    """One run of the demo.

    Attributes:
        outcomes: Of every message that was waited for, in the order of the scenes.
        surplus: Of messages that nobody had asked for.
    """

    def __init__(
        self,
        output: Path,
        scratch: Path,
        bot_file: Path,
        media: DemoMedia,
        show: Show,
        *,
        scenes: Sequence[Scene],
        patience: float,
    ) -> None:
        self.outcomes: list[Outcome] = []
        self.surplus: list[Outcome] = []
        self._output = output
        self._scratch = scratch
        self._bot_file = bot_file
        self._media = media
        self._show = show
        self._scenes = scenes
        self._file_infos: set[str] = set()
        self._patience = patience

    async def play(self) -> None:
        """Play all scenes, or as many as the bot lives to see."""
        _end_on_sigterm()
        accounts = tuple(SandboxAccount(appid=appid, secret=_SECRET) for appid in _APPIDS.values())
        options = SandboxOptions(accounts=accounts, connect_timeout_seconds=_CONNECT_SECONDS)
        async with Sandbox.open(options) as sandbox:
            self._show.line(f"a QQ platform on {sandbox.api_base}, a bot from {self._bot_file}")
            try:
                for driver, scenes in groupby(self._scenes, key=lambda scene: scene.driver):
                    async with self._bot(sandbox, driver) as bot:
                        await self._act(sandbox, bot, tuple(scenes))
            except BotFailedError as error:
                self._show.trouble(str(error))

    async def _act(self, sandbox: Sandbox, bot: BotProcess, scenes: Sequence[Scene]) -> None:
        """Play the scenes of one bot, then look whether it said more than it was asked for."""
        asked: list[tuple[Scene, Step, Said]] = []
        await self._arrival(sandbox, bot, _APPIDS[scenes[0].driver])
        for scene in scenes:
            self._show.scene(SCENES.index(scene) + 1, scene)
            _make_trouble(sandbox, scene)
            for step in scene.steps:
                self._show.said(scene, step)
                asked.append((scene, step, await self._step(sandbox, bot, scene, step)))
            sandbox.faults.clear()
        for scene, step, said in asked:
            for arrived in (await sandbox.replies(said, 0))[len(step.answers) :]:
                received = await self._receive(arrived, since=said.monotonic)
                verdict = Verdict(right=False, text=f"one message more than expected: {received.text!r}")
                self.surplus.append(Outcome(scene=scene, step=step, received=received, verdict=verdict))

    @asynccontextmanager
    async def _bot(self, sandbox: Sandbox, driver: str) -> AsyncIterator[BotProcess]:
        temporary = self._scratch / driver / "tmp"
        await asyncio.to_thread(temporary.mkdir, parents=True)
        settings = {
            **sandbox.environment,
            "QQ_APPID": _APPIDS[driver],
            "QQ_SECRET": _SECRET,
            "QQMEDIA_DRIVER": driver,
            "QQMEDIA_STATE": str(self._scratch / driver / "state"),
            # What a killed bot leaves goes with our folder.
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        }
        if driver == "local":
            settings["QQMEDIA_LOCAL_HOST"] = "127.0.0.1"
            settings["QQMEDIA_LOCAL_PORT"] = str(free_port())
            settings["QQMEDIA_LOCAL_RESOURCE_PATH"] = str(self._scratch / driver / "resource")
        elif driver == "cos":
            settings |= _STORAGE_DOWN | {"QQMEDIA_COS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
        log = self._output / f"bot-{driver}.log"
        async with BotProcess.open(self._bot_file, folder=self._media.folder, settings=settings, log=log) as bot:
            yield bot

    async def _arrival(self, sandbox: Sandbox, bot: BotProcess, appid: str) -> None:
        try:
            await bot.while_alive(sandbox.connected(_CONNECT_SECONDS, appid=appid))
        except SandboxError as error:
            raise BotFailedError(f"{error}; {await bot.last_words()}") from error

    async def _step(self, sandbox: Sandbox, bot: BotProcess, scene: Scene, step: Step) -> Said:
        said = await bot.while_alive(
            sandbox.say(
                step.says,
                user=scene.user,
                group=None if scene.private else _GROUP,
                private=scene.private,
                appid=_APPIDS[scene.driver],
            )
        )
        for count, expected in enumerate(step.answers, 1):
            try:
                arrived = await bot.while_alive(sandbox.replies(said, count, self._patience))
            except TimeoutError as error:
                await self._give_up(bot, scene, step, step.answers[count - 1 :], str(error))
                break
            received = await self._receive(arrived[count - 1], since=said.monotonic)
            self._show.received(scene, received)
            self.outcomes.append(Outcome(scene=scene, step=step, expected=expected, received=received))
        return said

    async def _give_up(
        self, bot: BotProcess, scene: Scene, step: Step, missing: Sequence[Expected], problem: str
    ) -> None:
        self._patience = min(self._patience, _LITTLE_PATIENCE_SECONDS)
        self._show.trouble(f"   {problem}; {await bot.last_words()}")
        verdict = Verdict(right=False, text=problem)
        self.outcomes += (Outcome(scene=scene, step=step, expected=each, verdict=verdict) for each in missing)

    async def _receive(self, arrived: Arrived, *, since: float) -> Received:
        medium = None
        if arrived.media is not None:
            content = await arrived.media.read()
            medium = Medium(
                kind=_kind(arrived.media.file_type),
                way=self._way(arrived),
                url=arrived.media.url,
                content_type=arrived.media.content_type,
                seconds=_seconds(content) if arrived.media.file_type is FileType.VOICE else None,
                content=content,
            )
        return Received(text=arrived.content, medium=medium, milliseconds=(arrived.monotonic - since) * 1000)

    def _way(self, arrived: Arrived) -> str:
        """Tell how a medium came: a `file_info` that was used before means that nothing was uploaded this time."""
        file_info = str(arrived.body["media"]["file_info"])
        if file_info in self._file_infos:
            return "cache"
        self._file_infos.add(file_info)
        return _WAYS[arrived.media.way] if arrived.media is not None else "bytes"


def _playable(show: Show) -> tuple[Scene, ...]:
    """Return the scenes whose drivers can be used here: a storage that is down takes an SDK that may be missing."""
    discovery, missing = discover(block=()), set()
    for driver in _APPIDS:
        try:
            discovery.driver(driver)
        except DriverUnavailableError as error:
            missing.add(driver)
            titles = ", ".join(scene.title for scene in SCENES if scene.driver == driver)
            show.line(f"left out: {titles} ({error})")
    return tuple(scene for scene in SCENES if scene.driver not in missing)


def _make_trouble(sandbox: Sandbox, scene: Scene) -> None:
    match scene.trouble:
        case "unreachable":  # twice, as it is asked for once more
            why = "download of the url failed: no connection within 5 s"
            sandbox.faults.answer("files", status=400, code=850026, message=why, times=2)
        case "expired":
            sandbox.expire_files()


def _kind(file_type: FileType) -> str:
    return file_type.name.lower()


def _seconds(content: bytes) -> float | None:
    with contextlib.suppress(MediaError):
        return inspect_silk(content).seconds
    return None


def _not_played(scenes: Sequence[Scene]) -> list[Outcome]:
    """Return what becomes of the scenes when there is no bot."""
    return [
        Outcome(scene=scene, step=step, expected=expected, verdict=_NOT_PLAYED)
        for scene in scenes
        for step in scene.steps
        for expected in step.answers
    ]


def _checked(outcome: Outcome, media: DemoMedia) -> Outcome:
    if outcome.expected is None or outcome.received is None:
        return outcome
    return replace(outcome, verdict=check(outcome.expected, outcome.received, media))


def _conclude(outcomes: list[Outcome], output: Path, show: Show) -> int:
    wrong = [outcome for outcome in outcomes if not outcome.right]
    where = f"what arrived is in {output / 'arrived'}, what was sent in {output / 'sent'}"
    if not wrong:
        show.line(f"all {len(outcomes)} messages arrived as they were sent; {where}", style="bold green")
        return EXIT_ALL_ARRIVED
    show.trouble(f"{len(wrong)} of {len(outcomes)} messages did not arrive as they were sent; {where}")
    return EXIT_SOMETHING_MISSING


def _end_on_sigterm() -> None:
    """Let SIGTERM end the demo as Ctrl-C does, with the bot ended and the temporary folder gone."""
    task = asyncio.current_task()
    if task is not None:
        with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows; not in the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)

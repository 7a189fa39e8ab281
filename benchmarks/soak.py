"""``python -m benchmarks.soak``: fifty things a second for a quarter of an hour, while something breaks all the time.

What the platform had was to be answered, once. Only faults after which the platform still has it are among those here.
Events are remembered for ten minutes, and replies in groups for seven: after that, memory is to stay as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks._stage import RATE, Row, Stage
from bot_core.sandbox import Arrived, Sandbox, SandboxOptions

LOOK_EVERY_SECONDS: Final = 5

FAULTS: Final[dict[str, Callable[[Sandbox], object]]] = {
    "cut": lambda s: s.drop_connections(),
    "close 4009": lambda s: s.close_connections(4009),
    "op 7": lambda s: s.ask_to_reconnect(),
    "op 9 true": lambda s: s.invalidate_sessions(resumable=True),
    "op 9 false": lambda s: s.invalidate_sessions(resumable=False),
    "hung socket": lambda s: s.hang_connections(),
    "missing ACK": lambda s: s.faults.lose_answer("heartbeat", times=3),
    "token revoked": lambda s: s.revoke_tokens(),
    "token revoked, cut": lambda s: (s.revoke_tokens(), s.drop_connections()),
    "503 on reconnect": lambda s: (s.faults.answer("websocket", status=503, html=True), s.drop_connections()),
    "late Hello, cut": lambda s: (s.faults.stall("hello", seconds=1), s.drop_connections()),
    "resume cut": lambda s: (s.faults.cut("hello"), s.drop_connections()),
    "redelivery": lambda s: s.faults.repeat_events(times=20),
    "out of order": lambda s: s.faults.delay_event(),
    "noise": lambda s: s.send_frame("{"),
}


def used_by(pid: int) -> tuple[float, int]:
    """Return MB of memory and how many descriptors a process has; zeros where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
        memory = next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))
        return memory, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0.0, 0


class Watch:
    """Looks every few seconds at what the bot uses."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.monotonic()
        self._seen: list[tuple[float, float, int]] = []

    async def run(self) -> None:
        """Look until cancelled, and say it once a minute."""
        while True:
            now = time.monotonic() - self._began
            self._seen.append((now, *used_by(self._pid)))
            if len(self._seen) % (60 // LOOK_EVERY_SECONDS) == 1:
                print("{:5.0f} s: {:.1f} MB, {} descriptors".format(*self._seen[-1]), flush=True)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def __str__(self) -> str:
        seen = self._seen
        memory = " -> ".join(f"{seen[len(seen) * third // 3 - bool(third)][1]:.1f}" for third in range(4))
        descriptors = " -> ".join(str(seen[len(seen) * third // 3 - bool(third)][2]) for third in range(4))
        return (
            f"at the start and after each third: memory {memory} MB, descriptors {descriptors}, "
            f"at most {max(one[2] for one in seen)}\n"
            f"memory in the second half {self._slope(1 / 2):+.2f} MB a minute, "
            f"in the last third {self._slope(2 / 3):+.2f}"
        )

    def _slope(self, since: float) -> float:
        rest = self._seen[int(len(self._seen) * since) :]
        return statistics.linear_regression([one[0] for one in rest], [one[1] for one in rest]).slope * 60


async def soak(seconds: float, seed: int, pause: tuple[float, float]) -> int:
    """Run it, and print what became of it."""
    chance = random.Random(seed)
    answers, happened = Counter[str](), Counter[str]()
    options = SandboxOptions(heartbeat_interval_ms=1000, connect_timeout_seconds=90, replay_events=20_000)
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox.open(options) as sandbox:
            stage = Stage(sandbox, Path(folder), Row("soak"))

            def count(happening: object) -> None:
                if isinstance(happening, Arrived):
                    answers[happening.msg_id or ""] += 1

            async def trouble() -> None:
                while True:
                    await asyncio.sleep(chance.uniform(*pause))
                    name = chance.choice(list(FAULTS))
                    happened[name] += 1
                    FAULTS[name](sandbox)

            sandbox.subscribe(count)
            child = await stage.bot()
            await stage.speak(10 * RATE)
            watch, end = Watch(child.process.pid), time.monotonic() + seconds
            troubling = asyncio.create_task(trouble(), name="trouble")
            watching = asyncio.create_task(watch.run(), name="watch")
            while time.monotonic() < end:
                await stage.speak(RATE)
            troubling.cancel()
            watching.cancel()
            sandbox.faults.clear()
            await stage.speak(10 * RATE)
            patience = time.monotonic() + 90
            while any(not answers[said.id] for said in stage.said) and time.monotonic() < patience:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            await asyncio.sleep(2)
            lost = [said for said in stage.said if not answers[said.id]]
            twice = sum(answers[said.id] > 1 for said in stage.said)
            print(f"{sum(happened.values())} faults:", ", ".join(f"{name} {times}" for name, times in happened.items()))
            print(f"said {len(stage.said)}, answered {len(stage.said) - len(lost)}, lost {len(lost)}, twice {twice}")
            print(watch)
            print(f"identifies {sandbox.calls['identify']}, resumes {sandbox.calls['resume']}")
            if lost:
                print("lost:", ", ".join(said.text for said in lost[:20]), *child.lines()[-60:], sep="\n  ")
            await child.end()
    return 1 if lost or twice else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, nargs=2, default=(3, 12), help="seconds between two faults")
    given = parser.parse_args()
    sys.exit(asyncio.run(soak(given.seconds, given.seed, tuple(given.pause))))

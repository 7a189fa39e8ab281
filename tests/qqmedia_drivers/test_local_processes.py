"""Several processes on one folder and one port: each shard of a bot may be its own process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from qqmedia import ConfigurationError, Reach, StoragePermissionError
from tests.qqmedia_drivers.local_kit import free_port
from tests.waiting import until

# A bot without a bot: opens the driver, puts what it is told to, says where it is, and ends when its input ends.
CHILD = """
import asyncio, hashlib, json, os, sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
import time
from qqmedia import MediaKind, QQMediaError, Upload
from qqmedia_drivers.local import qqmedia_register_drivers

@dataclass
class Context:
    state_dir: Path
    name: str = "local"
    platform_on_loopback: bool = True
    time = staticmethod(time.time)
    in_thread = staticmethod(asyncio.to_thread)

def say(**facts):
    print(json.dumps(facts), flush=True)

async def main(settings, state, contents, user, ttl):
    spec = qqmedia_register_drivers()
    model = spec.settings()
    if user:
        await asyncio.to_thread(spec.open, model(), Context(Path(state)))
        import qqmedia_drivers.local._driver
        os.setuid(user)
    loop = asyncio.get_running_loop()
    try:
        async with spec.open(model(**settings), Context(Path(state))) as driver:
            urls = []
            for content in contents:
                body = content.encode()
                digest = hashlib.sha256(body).hexdigest()
                urls.append(await driver.put(Upload(kind=MediaKind.IMAGE, content_type="image/png", size=len(body),
                    sha256=digest, key=digest + ".png", filename="x.png", ttl=timedelta(seconds=ttl), content=body)))
            say(urls=urls, reach=driver.reach)
            await asyncio.to_thread(sys.stdin.read)
    except QQMediaError as error:
        say(error=type(error).__name__, text=str(error))

asyncio.run(main(**json.loads(sys.argv[1])))
"""


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        assert line, (await self.process.stderr.read()).decode() if self.process.stderr else ""
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(10):
            assert await self.process.wait() == 0

    async def kill(self) -> None:
        self.process.kill()
        assert await self.process.wait() != 0


Start = Callable[..., Awaitable[Child]]


@pytest_asyncio.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    children: list[Child] = []

    async def run(*contents: str, user: int = 0, ttl: int = 3600, **settings: Any) -> Child:
        arguments = {"settings": settings, "state": str(tmp_path), "contents": contents, "user": user, "ttl": ttl}
        child = Child(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", CHILD, json.dumps(arguments), cwd=tmp_path,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )
        )  # fmt: skip
        children.append(child)
        return child

    yield run
    for child in children:
        if child.process.returncode is None:
            child.process.kill()
        await child.process.communicate()


async def fetch(url: str) -> tuple[int, bytes]:
    """Ask on a connection of its own, so that the system may give it to any process."""
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.read()


def boxes(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".qqmedia/*") if path.is_dir())


@pytest.mark.asyncio
async def test_processes_that_start_at_once_all_serve_what_any_of_them_has(start: Start) -> None:
    port = await asyncio.to_thread(free_port)
    children = await asyncio.gather(*(start(f"of {number}", "common", port=port) for number in range(4)))
    urls = [(await child.says())["urls"] for child in children]
    for number, (own, common) in enumerate(urls):
        for _ in range(8):
            assert await fetch(own) == (200, f"of {number}".encode())
            assert await fetch(common) == (200, b"common")
    await children[0].end()
    for _ in range(8):
        assert await fetch(urls[1][0]) == (200, b"of 1")
        assert await fetch(urls[0][1]) == (200, b"common")
        assert (await fetch(urls[0][0]))[0] == 404
    for child in children[1:]:
        await child.end()
    assert not await asyncio.to_thread(Path("resource/.qqmedia").exists)


@pytest.mark.asyncio
async def test_every_process_knows_how_long_an_object_of_another_lives(start: Start) -> None:
    port = await asyncio.to_thread(free_port)
    for ttl in (600, 3600, 7200):  # the second is what is usual
        child = await start(f"for {ttl} s", port=port, ttl=ttl)
        url = (await child.says())["urls"][0]
        for _ in range(8):
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                seconds = int(answer.headers["Cache-Control"].split("max-age=")[1].partition(",")[0])
            assert ttl - 60 < seconds <= ttl, (ttl, seconds)


@pytest.mark.asyncio
async def test_a_start_clears_what_killed_processes_left_and_nothing_else(start: Start, tmp_path: Path) -> None:
    port = await asyncio.to_thread(free_port)
    killed, living = await start("of the killed", port=port), await start("of the living", port=port)
    dead_url, live_url = (await killed.says())["urls"][0], (await living.says())["urls"][0]
    mine = tmp_path / "resource" / "cat.png"
    note = tmp_path / "resource" / ".qqmedia" / "notes.txt"
    await asyncio.to_thread(lambda: (mine.write_bytes(b"cat"), note.write_bytes(b"mine")))
    await killed.kill()
    assert len(await asyncio.to_thread(boxes, mine.parent)) == 2
    third = await start(port=port)
    await third.says()
    assert len(await asyncio.to_thread(boxes, mine.parent)) == 2  # of the living and of the third
    for _ in range(6):
        assert (await fetch(dead_url))[0] == 404
        assert await fetch(live_url) == (200, b"of the living")
    await living.kill()
    await third.kill()
    await (await start(port=port)).says()
    assert len(await asyncio.to_thread(boxes, mine.parent)) == 1
    assert await asyncio.to_thread(mine.read_bytes) == b"cat"
    assert await asyncio.to_thread(note.read_bytes) == b"mine"


@pytest.mark.asyncio
async def test_where_the_port_cannot_be_shared_the_second_takes_over(
    start: Start, open_local: Any, make_upload: Any
) -> None:
    child = await start("of the first", port=0, host="127.0.0.1")  # a free port is not one to be shared
    url = (await child.says())["urls"][0]
    port = int(url.split(":")[2].split("/")[0])
    async with open_local(port=port) as driver:
        own = await driver.put(make_upload())
        assert (await fetch(own))[0] == 200  # the first one finds it
        assert await fetch(url) == (200, b"of the first")
        await child.end()
        async with asyncio.timeout(5):
            while True:
                try:
                    assert (await fetch(own))[0] == 200
                    break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.03)


@pytest.mark.asyncio
async def test_what_has_expired_is_not_served_by_another_process_either(
    start: Start, open_local: Any, make_upload: Any, clock: Any
) -> None:
    other = (await (await start("x", port=0, host="127.0.0.1")).says())["urls"][0].rpartition("/")[0]
    async with open_local() as driver:
        name = (await driver.put(make_upload())).rpartition("/")[2]
        assert (await fetch(f"{other}/{name}"))[0] == 200
        await driver.delete(make_upload().key)
        assert (await fetch(f"{other}/{name}"))[0] == 404
        clock.now = 1_000_000.0  # for the other process, everything put now expired long ago
        assert (await fetch(await driver.put(make_upload())))[0] == 200
        assert (await fetch(f"{other}/{name}"))[0] == 404


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"resource_path": "elsewhere"}, r"resource_path='.*elsewhere' here, '.*resource' there"),
        ({"host": "127.0.0.1"}, r"host='127.0.0.1' here, '0.0.0.0' there"),
    ],
)
async def test_another_process_with_other_options_on_the_port_is_an_error_that_says_which(
    start: Start, open_local: Any, changes: dict[str, Any], named: str
) -> None:
    port = await asyncio.to_thread(free_port)
    child = await start("x", port=port)
    await child.says()
    with pytest.raises(ConfigurationError, match=named):
        async with open_local(**{"port": port, "host": "0.0.0.0"} | changes):
            pass
    await child.kill()
    async with open_local(**{"port": port, "host": "0.0.0.0"} | changes):
        pass  # the dead have no say


@pytest.mark.asyncio
async def test_another_folder_is_another_state_and_its_port_is_simply_taken(
    start: Start, open_local: Any, context: Any, tmp_path: Path
) -> None:
    port = await asyncio.to_thread(free_port)
    await (await start("x", port=port)).says()
    context.state_dir = tmp_path / "other-state"
    from qqmedia import StorageUnavailableError

    with pytest.raises(StorageUnavailableError, match=f"port {port} is taken"):
        async with open_local(port=port, host="0.0.0.0", resource_path="elsewhere"):
            pass


@pytest.mark.asyncio
async def test_a_second_bot_in_another_folder_that_chose_no_port_runs_and_says_why_it_serves_nothing(
    start: Start, open_local: Any, make_upload: Any, caplog: pytest.LogCaptureFixture
) -> None:
    port = await asyncio.to_thread(free_port)
    await (await start("x", port=port)).says()
    async with open_local(port=port, host="0.0.0.0", resource_path="elsewhere", as_default="port") as driver:
        assert await driver.put(make_upload()) is None
        assert driver.reach is Reach.PRIVATE
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "resource_path" in warning
    assert f"port {port}" in warning


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_written_is_an_error_where_it_was_given(start: Start, tmp_path: Path) -> None:
    import os

    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = tmp_path / "resource"
    await asyncio.to_thread(lambda: (folder.mkdir(), tmp_path.chmod(0o755), (tmp_path / "local").mkdir()))
    port = await asyncio.to_thread(free_port)
    given = await (await start("x", user=65534, port=0, resource_path=str(folder))).says()
    assert given["error"] == StoragePermissionError.__name__
    assert str(folder) in given["text"]
    default = await (await start("x", user=65534, port=0)).says()
    assert default == {"urls": [None], "reach": "private"}
    assert port


@pytest.mark.asyncio
async def test_closing_leaves_no_task_and_no_thread(open_local: Any, make_upload: Any) -> None:
    import threading

    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(open_local())
        await driver.put(make_upload())
        assert [thread for thread in threading.enumerate() if thread.name.startswith("qqmedia-")]
    await until(lambda: not [one for one in threading.enumerate() if one.name.startswith("qqmedia-")])
    assert asyncio.all_tasks() == {asyncio.current_task()}

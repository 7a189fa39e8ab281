"""What is kept of uploads: bounded in memory, and in a file that several processes share and that may break."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from bot_core.qq_group.file_info import FileInfoKey, FileInfoStore, MemoryFileInfoStore
from bot_core.qq_group.file_info_sqlite import SQLiteFileInfoStore, open_file_info_store
from bot_core.sandbox import Sandbox
from qqmedia import ConfigurationError
from tests.bot_core.qq_group.conftest import png
from tests.bot_core.qq_group.uploading import outbox
from tests.waiting import until, until_in_thread

pytestmark = pytest.mark.asyncio


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def key(sha256: str = "aa", *, appid: str = "1", scene: str = "groups", chat: str = "") -> FileInfoKey:
    return FileInfoKey(appid, scene, 1, sha256, chat)


async def test_every_part_of_a_key_counts() -> None:
    store = MemoryFileInfoStore()
    others = [
        key("ab"), key(appid="2"), key(scene="users"), key(chat="G1"), key()._replace(file_type=2), key("a", appid="1a")
    ]  # fmt: skip
    await store.put(key(), "INFO", None)
    assert [await store.get(other) for other in others] == [None] * len(others)
    assert await store.get(key()) == "INFO"


async def test_a_hundred_thousand_fit_into_64_mb() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        store = MemoryFileInfoStore()
        for number in range(101_000):
            await store.put(key(f"{number:064x}"), f"{number:0250d}", 3600)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert await store.get(key(f"{999:064x}")) is None
    assert await store.get(key(f"{1_000:064x}")) == f"{1_000:0250d}"
    assert grown <= 64 * 1024 * 1024, f"{grown / 1024 / 1024:.1f} MiB"


# --- the file


async def test_what_was_kept_is_there_after_a_restart_until_its_time_is_over(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "new folder" / "cache.db"
    async with SQLiteFileInfoStore.open(path, clock=clock) as store:
        await store.put(key("a"), "A", 100)
        await store.put(key("b"), "B", None)
        await store.put(key("b"), "B2", None)
        await store.put(key("c"), "C", 100)
        await store.drop(key("c"))
        await store.drop(key("c"))
    async with SQLiteFileInfoStore.open(path, clock=clock) as store:
        assert [await store.get(key(one)) for one in "abc"] == ["A", "B2", None]
        clock.now += 100
        assert [await store.get(key(one)) for one in "ab"] == [None, "B2"]


async def test_it_is_bounded_and_clears_what_has_expired(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "cache.db"
    async with SQLiteFileInfoStore.open(path, limit=10, clock=clock) as store:
        for number in range(1, 501):
            await store.put(key(str(number)), "X", number)
        await store.put(key("forever"), "X", None)
    assert await asyncio.to_thread(_rows, path) == 11
    clock.now += 495
    async with SQLiteFileInfoStore.open(path, limit=10, clock=clock) as store:
        assert await store.get(key("forever")) == "X"
    assert await asyncio.to_thread(_rows, path) == 6


def _rows(path: Path) -> int:
    database = sqlite3.connect(path)
    try:
        return int(database.execute("SELECT count(*) FROM file_info").fetchone()[0])
    finally:
        database.close()


CHILD = """
import asyncio, sys
from bot_core.qq_group.file_info import FileInfoKey
from bot_core.qq_group.file_info_sqlite import SQLiteFileInfoStore

async def main():
    async with SQLiteFileInfoStore.open(sys.argv[1]) as store:
        for number in range(80):
            await store.put(FileInfoKey(sys.argv[2], "groups", 1, str(number)), sys.argv[2], 3600)

asyncio.run(main())
"""


async def test_two_processes_write_at_once_and_see_each_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    root = Path(__file__).parents[3]
    async with SQLiteFileInfoStore.open(path) as store:
        children = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(path), appid, cwd=root, stderr=-1)
            for appid in ("1", "2")
        ]
        for number in range(80):
            await store.put(key(str(number), appid="3"), "3", 3600)
        for child in children:
            _, err = await child.communicate()
            assert (child.returncode, err) == (0, b"")
        for appid in "123":
            for number in range(80):
                assert await store.get(key(str(number), appid=appid)) == appid
    assert not caplog.records


@pytest.mark.parametrize("damage", ["no database", "torn", "of another version"])
async def test_a_damaged_file_begins_anew_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "cache.db"

    def spoil() -> None:
        if damage == "no database":
            path.write_bytes(b"these are not the bytes of a database" * 100)
            return
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE file_info (key BLOB PRIMARY KEY, file_info TEXT, good_until REAL)")
        if damage == "torn":
            database.executemany("INSERT INTO file_info VALUES (?, ?, 1)", [(str(n), "x" * 500) for n in range(200)])
        else:
            database.execute("PRAGMA user_version = 99")
        database.commit()
        database.close()
        if damage == "torn":
            content = bytearray(path.read_bytes())
            content[4096 : 4096 * 4] = b"\xff" * (4096 * 3)
            path.write_bytes(content)

    await asyncio.to_thread(spoil)
    was = await asyncio.to_thread(path.read_bytes)
    async with SQLiteFileInfoStore.open(path) as store:
        await store.put(key(), "INFO", 100)
        assert await store.get(key()) == "INFO"
    aside = await asyncio.to_thread((tmp_path / "cache.db.damaged").read_bytes)
    assert len(aside) == len(was)
    if damage == "no database":  # somebody's own file, perhaps
        assert aside == was
    [line] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "damaged" in line.getMessage()
    assert str(path) in line.getMessage()


async def test_what_was_put_aside_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    for content in (b"a picture, named by mistake", b"the cache, damaged later"):
        await asyncio.to_thread(path.write_bytes, content)
        async with SQLiteFileInfoStore.open(path) as store:
            await store.put(key(), "INFO", 100)
    assert await asyncio.to_thread((tmp_path / "cat.png.damaged").read_bytes) == b"a picture, named by mistake"


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"

    def make() -> bytes:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE notes (text)")
        database.execute("PRAGMA user_version = 7")
        database.commit()
        database.close()
        return path.read_bytes()

    was = await asyncio.to_thread(make)
    with pytest.raises(ConfigurationError, match=r"QQMEDIA_CACHE .*notes\.db', which is the database of another"):
        async with open_file_info_store(path):
            pass
    assert await asyncio.to_thread(path.read_bytes) == was


async def test_a_file_that_breaks_while_it_is_open_costs_uploads_and_no_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    async with SQLiteFileInfoStore.open(path) as store:
        for number in range(300):
            await store.put(key(str(number)), "x" * 9000, None)

    def overwrite() -> None:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))

    async with SQLiteFileInfoStore.open(path) as store:  # more than it keeps of the file in memory
        await asyncio.to_thread(overwrite)
        for number in range(300):
            await store.get(key(str(number)))
        await store.put(key("new"), "NEW", 100)
        assert await store.get(key("new")) == "NEW"
    assert len([one for one in caplog.records if "begins anew" in one.getMessage()]) == 1


async def test_a_closing_that_is_cancelled_before_its_turn_closes_the_file_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    leave = asyncio.Event()
    putting: list[asyncio.Task[None]] = []
    other = await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False, isolation_level=None)

    async def use() -> None:
        async with SQLiteFileInfoStore.open(path, busy_seconds=20) as store:
            await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
            putting.append(asyncio.create_task(store.put(key("a"), "A", 100)))
            await leave.wait()

    using = asyncio.create_task(use())
    await until(lambda: putting)
    leave.set()
    await asyncio.wait([using], timeout=0.02)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    await asyncio.to_thread(other.execute, "ROLLBACK")
    await asyncio.to_thread(other.close)
    await putting[0]
    await until_in_thread(lambda: not Path(f"{path}-wal").exists())  # SQLite removes it when nobody has the file open


async def test_a_file_that_another_process_holds_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    async with SQLiteFileInfoStore.open(path, busy_seconds=0.05) as store:
        await store.put(key("a"), "A", 100)
        other = await asyncio.to_thread(sqlite3.connect, path, check_same_thread=False, isolation_level=None)
        await asyncio.to_thread(other.execute, "BEGIN EXCLUSIVE")
        await store.put(key("b"), "B", 100)
        assert await store.get(key("a")) == "A"  # readers are not held up
        await asyncio.to_thread(other.execute, "ROLLBACK")
        await asyncio.to_thread(other.close)
        await store.put(key("b"), "B", 100)
        assert await store.get(key("b")) == "B"
    [line] = [one.getMessage() for one in caplog.records]
    assert "was passed over" in line


async def test_a_place_that_cannot_be_written_is_an_error_that_names_the_variable(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "file").write_bytes, b"")
    for path in (tmp_path, tmp_path / "file" / "cache.db"):
        with pytest.raises(ConfigurationError, match="QQMEDIA_CACHE names"):
            async with open_file_info_store(path):
                pass


async def test_a_look_takes_less_than_a_millisecond(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"

    def fill() -> None:
        database = sqlite3.connect(path, isolation_level=None)
        rows = ((key(f"{number:064x}").digest(), f"{number:0250d}", 1e12) for number in range(100_000))
        database.execute("BEGIN")
        database.executemany("INSERT INTO file_info VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
        database.close()

    async with SQLiteFileInfoStore.open(path):
        await asyncio.to_thread(fill)
    async with SQLiteFileInfoStore.open(path) as store:
        taken = []
        for number in range(0, 100_000, 1000):
            began = time.perf_counter()
            assert await store.get(key(f"{number:064x}")) == f"{number:0250d}"
            taken.append(time.perf_counter() - began)
    assert sorted(taken)[len(taken) // 2] <= 0.001


async def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def kind() -> type[FileInfoStore]:
        async with open_file_info_store() as store:
            return type(store)

    assert await kind() is MemoryFileInfoStore
    monkeypatch.setenv("QQMEDIA_CACHE", str(tmp_path / "cache.db"))
    assert await kind() is SQLiteFileInfoStore


async def test_a_bot_that_starts_again_uploads_nothing_again(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQMEDIA_CACHE", str(tmp_path / "cache.db"))
    ways = []
    for group in ("G1", "G2"):
        async with outbox(sandbox) as out:
            ways.append((await out.image(png(1), group)).way)
    assert ways == ["bytes", "cache"]
    assert sandbox.calls["files"] == 1
    # What the platform forgot meanwhile is uploaded again, and remembered anew.
    sandbox.expire_files()
    async with outbox(sandbox) as out:
        assert (await out.image(png(1))).way == "bytes"
        assert (await out.image(png(1))).way == "cache"

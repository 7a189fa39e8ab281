"""Keeps each `file_info` in a file, so that a restart uploads nothing again. Several processes may share it.

It is a cache: what is wrong with it costs an upload and a line in the log, never a message.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from bot_core.qq_group.file_info import FileInfoKey, FileInfoStore, MemoryFileInfoStore
from qqmedia import ConfigurationError
from qqmedia.threads import Threads

__all__ = ("SQLiteFileInfoStore", "open_file_info_store")

_VARIABLE: Final = "QQMEDIA_CACHE"
# About 400 bytes each on the disk.
_KEEP_AT_MOST: Final = 100_000
# Expired ones are cleared after so many new ones.
_CLEAR_EVERY: Final = 500
# For how long another process may hold the file.
_BUSY_SECONDS: Final = 2.0
_SCHEMA_VERSION: Final = 1
# What SQLite keeps beside the file.
_BESIDE: Final = ("-wal", "-shm", "-journal")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS file_info (
    key BLOB PRIMARY KEY,
    file_info TEXT NOT NULL,
    good_until REAL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_info_good_until ON file_info (good_until);
"""

T = TypeVar("T")
logger = logging.getLogger("bot_core.qq_group")


class _ForeignDatabaseError(Exception):
    """The file is in order, and has tables, and none of them is ours."""


class SQLiteFileInfoStore:
    """Keeps them in one SQLite file, one call after another in a thread. Open it with `open`.

    Args:
        path: The file; it is made where it is not there.
        limit: How many; those that expire first go first.
        clock: Seconds since the epoch, the same in every process.
        busy_seconds: For how long to wait while another process holds the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit: int = _KEEP_AT_MOST,
        clock: Callable[[], float] = time.time,
        busy_seconds: float = _BUSY_SECONDS,
    ) -> None:
        self._path = path
        self._limit = limit
        self._clock = clock
        self._busy_seconds = busy_seconds
        self._threads = Threads(1)
        self._database: sqlite3.Connection | None = None
        self._new = 0
        self._broken = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        limit: int = _KEEP_AT_MOST,
        clock: Callable[[], float] = time.time,
        busy_seconds: float = _BUSY_SECONDS,
    ) -> AsyncIterator[SQLiteFileInfoStore]:
        """Open the file, or make it. One that is damaged is put aside for a fresh one, with a warning.

        Raises:
            ConfigurationError: It cannot be opened or made, or is the database of another program.
        """
        store = cls(Path(path), limit=limit, clock=clock, busy_seconds=busy_seconds)
        try:
            await store._run(store._connect)
            yield store
        finally:
            await store._threads.finish(store._close, _closed)

    async def get(self, key: FileInfoKey) -> str | None:
        """Return the `file_info`, or `None` when there is none that is still good."""
        found = await self._run(
            self._execute,
            "SELECT file_info FROM file_info WHERE key = ? AND (good_until IS NULL OR good_until > ?)",
            key.digest(),
            self._clock(),
        )
        return str(found[0][0]) if found else None

    async def put(self, key: FileInfoKey, file_info: str, seconds: float | None) -> None:
        """Keep it for `seconds`, or without an end (`None`)."""
        until = None if seconds is None else self._clock() + seconds
        await self._run(self._execute, "REPLACE INTO file_info VALUES (?, ?, ?)", key.digest(), file_info, until)
        self._new += 1
        if self._new % _CLEAR_EVERY == 0:
            await self._run(self._clear)

    async def drop(self, key: FileInfoKey) -> None:
        """Forget it; do nothing when it is not there."""
        await self._run(self._execute, "DELETE FROM file_info WHERE key = ?", key.digest())

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._threads.start(function, *arguments)

    # --- in the thread

    def _connect(self) -> None:
        try:
            self._path = self._path.expanduser()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise self._unusable(error) from error
            self._begin_anew(error)
        except _ForeignDatabaseError:
            raise ConfigurationError(
                f"{_VARIABLE} names {str(self._path)!r}, which is the database of another program; give the path of "
                "a file that is not there yet"
            ) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a ~ that means nobody
            raise self._unusable(error) from error
        self._clear()

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            _make_ready(database)
        except BaseException:
            database.close()
            raise
        return database

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Put a damaged file aside. Where that cannot be done, go on without one."""
        self._close()
        aside = Path(f"{self._path}.damaged")
        logger.warning(
            "the file_info cache %s is damaged (%s) and begins anew; media are uploaded again. What was there is in %s",
            self._path, error, aside,
        )  # fmt: skip
        try:
            _put_aside(self._path, aside)
            self._database = self._opened()
        except (OSError, sqlite3.Error) as still:
            self._broken = True
            logger.warning(
                "the file_info cache %s cannot be used, so nothing is remembered across restarts; remove it, or set "
                "%s to another file: %s",
                self._path, _VARIABLE, still,
            )  # fmt: skip

    def _execute(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement; a fault counts as "nothing there"."""
        if self._database is None:
            return []
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is_damage(error) and not self._broken:
                self._begin_anew(error)
            else:  # held by another process, disk full
                logger.warning("the file_info cache %s failed and was passed over: %s", self._path, error)
            return []

    def _clear(self) -> None:
        """Remove what has expired, and what is too much."""
        self._execute("DELETE FROM file_info WHERE good_until <= ?", self._clock())
        counted = self._execute("SELECT count(*) FROM file_info")
        surplus = counted[0][0] - self._limit if counted else 0
        if surplus > 0:
            self._execute(
                "DELETE FROM file_info WHERE key IN (SELECT key FROM file_info ORDER BY "
                "good_until IS NULL, good_until LIMIT ?)",
                surplus,
            )

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"{_VARIABLE} names {str(self._path)!r}, which cannot be opened or made: {error}; give the path of a file "
            "in a folder that this user may write to"
        )


def _closed() -> Exception:
    return RuntimeError("the file_info cache is closed")


@asynccontextmanager
async def open_file_info_store(path: str | os.PathLike[str] | None = None) -> AsyncIterator[FileInfoStore]:
    """Open the store at `path`, by default at ``QQMEDIA_CACHE``; where neither is given, one in memory.

    Raises:
        ConfigurationError: The file cannot be opened or made.
    """
    where = path or os.environ.get(_VARIABLE)
    if not where:
        yield MemoryFileInfoStore()
        return
    async with SQLiteFileInfoStore.open(where) as store:
        yield store


def _make_ready(database: sqlite3.Connection) -> None:
    """Bring it into the form that is used here; raise where it is damaged, in a form that is not known, or not ours."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "file_info" not in tables:
        raise _ForeignDatabaseError
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    [[version]] = database.execute("PRAGMA user_version")
    if version not in (0, _SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"it is of version {version}, expected {_SCHEMA_VERSION}")
    [[verdict]] = database.execute("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    database.executescript(_SCHEMA)
    database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _put_aside(path: Path, aside: Path) -> None:
    """Move it away: it may be somebody's picture, named by mistake. What was put aside first stays."""
    for suffix in _BESIDE:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    if aside.exists():
        path.unlink(missing_ok=True)
    else:
        path.rename(aside)


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # ours, or of a kind without a code
        return not isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

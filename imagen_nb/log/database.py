"""The SQLite file under the log: how it is opened, journalled, locked and closed, and what its errors mean.

Several threads, notebooks and processes write one file. So every write takes the lock at its beginning (`BEGIN
IMMEDIATE`: a deferred transaction that reads and then writes fails as soon as two do it), lasts for one transition,
and waits up to 30 s for the others. A commit is on the disk when it returns, in either journal mode. What it costs
is the disk's time, so transactions of threads that queue for the lock are committed together, and undone each alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from imagen_nb.errors import Hint, LogError
from imagen_nb.log.schema import metadata

FILE_NAME = "log.sqlite"
SCHEMA_VERSION = 1
_MOVE_IT = Hint("Move it away, or choose another folder with {}.", "home=", "--home")
_APPLICATION_ID = 0x696D6E62  # "imnb": tells a log from any other SQLite file
_WAIT_S = 30.0
_CHUNK = 100
_MOST_TOGETHER = 32
_COMMIT_WAIT_S = 0.05
_ASK_AGAIN_S = (0.001, 0.006)
_FORK_WAIT_S = 5.0


class Database:
    """The log's connections: `reading()` and `writing()` give one for the length of a transaction.

    Opening makes the file and its tables where there are none. Raises `LogError` where that cannot be done, and for
    a file that is no log, is damaged, or was written by a newer version. Safe to use from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writers = threading.Lock()
        self._queueing = 0
        self._together: _Together | None = None
        self._users = threading.Condition()
        self._in_use = 0
        self._is_closed = False
        self._file: tuple[int, int] | None = None
        self._engine = _engine(path)
        self._writing_engine = self._engine.execution_options(is_writing=True)
        self._end = weakref.finalize(self, _dispose, self._engine, os.getpid())
        try:
            with self._mapped():
                choose_journal(self._engine, path)
            with self.writing() as conn:
                _ensure_schema(conn, path)
            self._file = _identity(path)
        except BaseException:
            self.close()
            raise
        _opened.add(self)

    @property
    def is_there(self) -> bool:
        """Whether the file that was opened still is where it was."""
        return self._file == _identity(self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that only reads. Raises `LogError`."""
        with self._mapped(), self._use(), self._engine.begin() as conn:
            yield conn

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that holds the write lock; committed when this ends. Raises `LogError`."""
        with self._mapped(), self._use():
            with self._turn() as together, together.part():
                if self._is_lost:
                    raise _lost(self.path)
                yield together.conn
            self._await(together)

    def close(self) -> None:
        """Wait for running transactions and close every connection. Closing twice is fine."""
        with self._users:
            self._is_closed = True
            self._users.wait_for(lambda: self._in_use == 0, timeout=_WAIT_S)
        self._end()

    def _rest(self) -> None:
        """Before a fork: let transactions end, close every connection, and keep new ones from being made.

        SQLite notes in the process which locks it holds on a file. A child would inherit the notes without the locks,
        and then wait for its parent's transaction for ever, or take for locked what is not.
        """
        self._users.acquire()
        self._users.wait_for(lambda: self._in_use == 0, timeout=_FORK_WAIT_S)
        self._engine.dispose()

    def _go_on(self) -> None:
        self._users.release()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[_Together]:
        """One's turn to write, in the transaction that is open already or a new one; the last in the queue commits."""
        with self._users:
            self._queueing += 1
        try:
            # Not for ever: where a stranger holds the file, each in the queue would wait for it anew.
            if not self._writers.acquire(timeout=_WAIT_S):
                raise sqlite3.OperationalError("database is locked")
        finally:
            with self._users:
                self._queueing -= 1
        try:
            together = self._together = self._together or _Together(self._writing_engine)
            try:
                yield together
            finally:
                together.size += 1
                if not self._queueing or together.size >= _MOST_TOGETHER or together.error is not None:
                    self._commit(together)
        finally:
            self._writers.release()

    def _commit(self, together: _Together) -> None:
        try:
            together.commit()
        finally:
            if together.ended.is_set():  # else an interrupt came before the commit, and somebody must still do it
                self._together = None

    def _await(self, together: _Together) -> None:
        """Wait until the transaction is on the disk. Raises what kept it from getting there."""
        while not together.ended.wait(_COMMIT_WAIT_S):
            with self._writers:  # whoever was to come next was interrupted
                if self._together is together:
                    self._commit(together)
        if together.error is not None:
            raise together.error

    @contextlib.contextmanager
    def _use(self) -> Iterator[None]:
        with self._users:
            if self._is_closed:
                raise LogError("the log is closed", "Open a new workspace to go on.")
            self._in_use += 1
        try:
            yield
        finally:
            with self._users:
                self._in_use -= 1
                self._users.notify_all()

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            raise (_lost(self.path) if self._is_lost else log_error(error, self.path)) from None

    @property
    def _is_lost(self) -> bool:
        return self._file is not None and not self.is_there


class _Together:
    """A transaction that several threads write in, one after the other."""

    def __init__(self, engine: sa.Engine) -> None:
        self.conn = engine.connect()
        self.size = 0
        self.ended = threading.Event()
        self.error: Exception | None = None
        try:
            self._transaction = self.conn.begin()
        except BaseException:
            self.conn.close()
            raise

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """One thread's part, which is undone alone when it fails; unless SQLite, on a full disk, has undone it all."""
        raw: Any = self.conn.connection.dbapi_connection
        raw.execute("SAVEPOINT part")
        try:
            yield
            raw.execute("RELEASE part")
        except BaseException as error:
            try:
                raw.execute("ROLLBACK TO part")
                raw.execute("RELEASE part")
            except sqlite3.Error:
                self.error = error if isinstance(error, Exception) else _interrupted()
            raise

    def commit(self) -> None:
        """Commit, and let everybody know how that went; a doubt is a failure, since on success money is spent."""
        try:
            if self.error is None:
                self._transaction.commit()
        except Exception as error:  # noqa: BLE001 - each of the waiting threads raises it
            self.error = error
        except BaseException:
            self.error = _interrupted()
            raise
        finally:
            self.conn.close()
            self.ended.set()


def _lost(path: Path) -> LogError:
    return LogError(
        f"the log was moved or deleted while it was open: {path}",
        "Run the cell again, or open a new Workspace: either begins a new log there.",
    )


def _interrupted() -> LogError:
    return LogError("the log could not be written: another thread was interrupted meanwhile", "Run the cell again.")


def columns_of(conn: sa.Connection, query: sa.Select[Any]) -> list[list[Any]]:
    """The result by the column, as the driver gives the values.

    For reading very many rows, where a `Row` and typed values cost too much; and not all at once, because so many
    tuples would only keep the garbage collector busy.
    """
    cursor: Any = conn.execute(query).cursor
    columns: list[list[Any]] = [[] for _ in query.selected_columns]
    while rows := cursor.fetchmany(_CHUNK):
        for column, values in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return columns


def log_error(error: BaseException, path: Path) -> LogError:
    """What an error of SQLite or its driver means for the user, in two lines."""
    text = str(getattr(error, "orig", None) or error)
    for pattern, message, hint in _MEANINGS:
        if re.search(pattern, text, re.IGNORECASE):
            return LogError(f"{message}: {path}", hint)
    return LogError(f"the log {path} cannot be used: {text.splitlines()[0]}", "Nothing is sent without a durable row.")


_MEANINGS = (
    ("locked|busy", "the log is held by another program for too long", "Close what has it open, and try again."),
    ("is full", "the disk is full, the log could not be written", "Free some space and try again; no row was lost."),
    (
        "readonly|read-only",
        "the log is read-only",
        Hint("Change its permissions, or choose another folder with {}.", "home=", "--home"),
    ),
    ("unable to open", "the log cannot be opened", "Check that the folder exists and that you may write in it."),
    ("not a database", "this file is not a log", _MOVE_IT),
    (
        "malformed|corrupt|no such (table|column)",
        "the log is damaged",
        "Keep a copy, move it away and go on with a new one; `sqlite3 log.sqlite .recover` may restore the rows.",
    ),
    ("I/O error", "the disk refused to read or write the log", "Check the disk and its free space, then try again."),
)


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=pool.QueuePool,
        pool_size=4,
        max_overflow=-1,
        connect_args={"timeout": _WAIT_S, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, and beyond it the folder is synced when a rollback journal goes, so that no commit can come undone.
        connection.execute("PRAGMA synchronous = EXTRA")

    @event.listens_for(engine, "begin")
    def _begin(conn: sa.Connection) -> None:
        connection: Any = conn.connection.dbapi_connection
        if conn.get_execution_options().get("is_writing"):
            _begin_writing(connection)
        else:
            connection.execute("BEGIN")

    return engine


def _begin_writing(connection: Any) -> None:
    """Take the write lock, asking every few milliseconds.

    SQLite's own waiting asks ever more seldom, and with several busy writers the one that has waited longest gets
    the lock last.
    """
    deadline = time.monotonic() + _WAIT_S
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(*_ASK_AGAIN_S))  # noqa: S311 - only to be out of step with the others
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(_WAIT_S * 1000)}")


def _dispose(engine: sa.Engine, pid: int) -> None:
    if os.getpid() == pid:  # the connections of a forked child are its parent's
        engine.dispose()


def _rest_all() -> None:
    _resting[:] = _opened
    for database in _resting:
        database._rest()  # noqa: SLF001 - it is this module's own


def _go_on_all() -> None:
    while _resting:
        _resting.pop()._go_on()  # noqa: SLF001 - it is this module's own


_opened: weakref.WeakSet[Database] = weakref.WeakSet()
_resting: list[Database] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_rest_all, after_in_parent=_go_on_all, after_in_child=_go_on_all)


def _ensure_schema(conn: sa.Connection, path: Path) -> None:
    version = conn.exec_driver_sql("PRAGMA user_version").scalar_one()
    if conn.exec_driver_sql("PRAGMA application_id").scalar_one() != _APPLICATION_ID:
        if conn.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            raise LogError(f"this file is not a log: {path}", _MOVE_IT)
        metadata.create_all(conn)
        conn.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
    elif version > SCHEMA_VERSION:
        raise LogError(
            f"the log was written by a newer imagen-nb (format {version}, this one knows {SCHEMA_VERSION}): {path}",
            Hint("Upgrade imagen-nb, or choose another folder with {}.", "home=", "--home"),
        )
    # Written each time, so that a folder in which nothing can be committed is found out now and not at the first run.
    conn.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


# ----------------------------------------------------------------------------------------------------
# Which journal the log is kept with. A rollback journal, except in a new log where SQLite has no WAL-reset bug
# and the disk is this machine's own. A log that is in WAL mode already is brought back from it by an SQLite
# that has the bug.

_SWITCH_WAIT_MS = 2000
# fmt: off
_NETWORK = frozenset({
    "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fakeowner", "gfs2", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs",
})
# fmt: on


def choose_journal(engine: sa.Engine, path: Path) -> None:
    """Set the journal of a new log, and leave WAL where it is not safe. Raises `LogError` where that cannot be done."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        is_new = cursor.execute("PRAGMA page_count").fetchone()[0] == 0
        is_safe = has_safe_wal(sqlite3.sqlite_version_info) and not is_network(path.resolve(), _mounts())
        if is_new and is_safe:
            with contextlib.suppress(sqlite3.OperationalError):  # a neighbour is making the same log: its choice holds
                cursor.execute("PRAGMA journal_mode = WAL")
        elif mode == "wal" and not is_safe:
            _leave_wal(cursor, path)
        cursor.close()
    finally:
        connection.close()


def _leave_wal(cursor: Any, path: Path) -> None:
    usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
    cursor.execute(f"PRAGMA busy_timeout = {_SWITCH_WAIT_MS}")
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode = DELETE")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        raise LogError(
            f"another program has the log open in a mode (WAL) that SQLite {sqlite3.sqlite_version} may damage: {path}",
            "Close the other notebook first, or use the same Python in both.",
        )
    cursor.execute(f"PRAGMA busy_timeout = {usual}")


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether an SQLite of this version is free of the WAL-reset bug, which can damage a log with several writers."""
    branches = ((3, 44, 6), (3, 50, 7))
    return version >= (3, 51, 3) or any(version[:2] == fixed[:2] and version >= fixed for fixed in branches)


def is_network(path: Path, mounts: str) -> bool:
    """Whether a path lies on a network filesystem, by the text of `/proc/mounts`; without one, a UNC path does."""
    if str(path).startswith(("\\\\", "//")):
        return True
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(_unescaped(fields[1])) if len(fields) > 2 else None  # noqa: PLR2004 - device, point, type
        if point and len(point.parts) > longest and (path == point or point in path.parents):
            kind, longest = fields[2], len(point.parts)
    return kind in _NETWORK or kind.startswith("fuse")


def _mounts() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _unescaped(text: str) -> str:
    """A mount point as `/proc/mounts` writes it, with an octal number for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)

"""The SQLite file under the log: how it is opened, journalled, locked and closed, and what its errors mean.

Several threads, notebooks and processes write one file. So every write takes the lock at its beginning (`BEGIN
IMMEDIATE`: a deferred transaction that reads and then writes fails as soon as two do it), lasts for one transition,
and waits up to 30 s for the others. A commit is on the disk when it returns. The journal is a rollback journal,
whatever the SQLite: one that is deleted at each commit works on network filesystems too, and has no WAL-reset bug.

A commit waits five times for the disk: 2 ms on one that is fast and idle, 10 to 25 on another. With four commits to a
row and tens of rows under way, a sweep would wait for them. So what threads write at the same time, each in its turn,
is committed once, and undone each alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from imagen_nb.errors import Hint, LogError
from imagen_nb.log.schema import metadata

FILE_NAME = "log.sqlite"
SCHEMA_VERSION = 2
_APPLICATION_ID = 0x696D6E62  # "imnb": tells a log from any other SQLite file
_MOVE_IT = Hint("Move it away, or choose another folder with {}.", "home=", "--home")
_WAIT_S = 30.0
_ASK_AGAIN_S = (0.001, 0.006)
_LEAVE_WAL_S = 2.0
_FORK_WAIT_S = 5.0


class Database:
    """The log's connections: `reading()` and `writing()` give one for the length of a transaction.

    Opening makes the file and its tables where there are none. Raises `LogError` where that cannot be done, and for
    a file that is no log, is damaged, or was written by a newer version. Safe to use from several threads. With a
    `refusal`, which says why nothing can be written there, it is opened to be read, and writing raises that.
    """

    def __init__(self, path: Path, refusal: LogError | None = None) -> None:
        self.path = path
        self._refusal = refusal
        self._line: deque[threading.Event] = deque()  # of threads that want to write; it is the first one's turn
        self._line_lock = threading.Lock()
        self._batch: _Batch | None = None
        self._under_way = 0
        self._is_closed = False
        self._file: tuple[int, int] | None = None
        self._engine = _engine(path, is_read_only=refusal is not None)
        self._end = weakref.finalize(self, self._engine.dispose)
        with _transactions:
            _databases.add(self)
        try:
            if refusal is not None:
                with self.reading() as conn:
                    _check_format(conn, path)
            else:
                with self._use():
                    _leave_wal(self._engine, path)
                with self.writing() as conn:
                    _ensure_schema(conn, path)
            self._file = _identity(path)
        except BaseException:
            self.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether the file that was opened still is where it was."""
        return self._file == _identity(self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that only reads. Raises `LogError`."""
        with self._use(), self._engine.begin() as conn:
            conn.exec_driver_sql("BEGIN")
            yield conn

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that holds the write lock; committed when this ends. Raises `LogError`."""
        if self._refusal is not None:
            raise LogError(self._refusal.message, self._refusal.hint)
        with self._use():
            with self._turn() as batch, batch.part() as conn:
                if self._is_lost:
                    raise _missing_log(self.path)
                yield conn
            batch.wait()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[_Batch]:
        """One's turn to write, in the order of asking. Who leaves nobody behind in the line commits for all before."""
        mine = threading.Event()
        with self._line_lock:
            self._line.append(mine)
            self._line[0].set()
        try:
            if not mine.wait(_WAIT_S):
                raise sqlite3.OperationalError("database is locked")
            if self._batch is None or not self._batch.is_open:
                self._batch = _Batch(self._engine)
            yield self._batch
        finally:
            with self._line_lock:
                self._line.remove(mine)
                if self._line:
                    self._line[0].set()
                elif self._batch is not None and self._batch.is_open:
                    self._batch.commit()

    def close(self) -> None:
        """Wait for running transactions and close every connection. Closing twice is fine."""
        with _transactions:
            self._is_closed = True
            _transactions.wait_for(lambda: not self._under_way, timeout=_WAIT_S)
        self._end()

    @contextlib.contextmanager
    def _use(self) -> Iterator[None]:
        """While this lasts the log is neither closed nor forked; errors of SQLite come out as `LogError`."""
        with _transactions:
            if self._is_closed:
                raise LogError("the log is closed", "Open a new workspace to go on.")
            self._under_way += 1
        try:
            yield
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            raise (_missing_log(self.path) if self._is_lost else _log_error(error, self.path)) from None
        finally:
            with _transactions:
                self._under_way -= 1
                _transactions.notify_all()

    @property
    def _is_lost(self) -> bool:
        return self._file is not None and not self.is_there


class _Batch:
    """A transaction that threads write in, each in its turn. It counts as failed until it is committed."""

    def __init__(self, engine: sa.Engine) -> None:
        self.is_open = True
        self._error: Exception | None = LogError(
            "the log could not be written: another thread was interrupted meanwhile", "Run the cell again."
        )
        self._has_ended = threading.Event()
        self._conn = engine.connect()
        self._raw: Any = self._conn.connection.dbapi_connection
        try:
            self._transaction = self._conn.begin()
            _begin_writing(self._raw)
        except BaseException:
            self._conn.close()
            raise

    @contextlib.contextmanager
    def part(self) -> Iterator[sa.Connection]:
        """One thread's part, which is undone alone when it fails; unless SQLite, on a full disk, has undone it all."""
        self._raw.execute("SAVEPOINT part")
        try:
            yield self._conn
            self._raw.execute("RELEASE part")
        except BaseException as error:
            try:
                self._raw.execute("ROLLBACK TO part")
                self._raw.execute("RELEASE part")
            except sqlite3.Error:
                self._end(error)
            raise

    def commit(self) -> None:
        """Commit what is in it, and let everybody know how that went."""
        try:
            self._transaction.commit()
            self._end(None)
        except BaseException as error:
            self._end(error)
            if not isinstance(error, Exception):
                raise

    def wait(self) -> None:
        """Wait until it is on the disk. Raises what kept it from there; a doubt too, for on success money is spent."""
        self._has_ended.wait(2 * _WAIT_S)
        if self._error is not None:
            raise self._error

    def _end(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, Exception):
            self._error = error
        self.is_open = False
        self._conn.close()
        self._has_ended.set()


def _engine(path: Path, *, is_read_only: bool) -> sa.Engine:
    url = sa.URL.create("sqlite+pysqlite", database=str(path))
    if is_read_only:
        # In WAL mode even a reader writes beside the file, unless the file is said not to change.
        with path.open("rb") as file:
            is_wal = file.read(20)[18:] == b"\2\2"
        is_still = is_wal and not path.with_name(f"{path.name}-wal").exists()
        url = url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true", "immutable": str(int(is_still))})
    engine = sa.create_engine(
        url,
        poolclass=pool.QueuePool,
        pool_size=4,
        max_overflow=-1,
        connect_args={"timeout": _WAIT_S, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL, and beyond it the folder is synced when the journal goes, so that no commit can come undone.
        connection.execute("PRAGMA synchronous = EXTRA")
        if is_read_only:
            _show_missing_columns(connection.execute)

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


def _leave_wal(engine: sa.Engine, path: Path) -> None:
    """Bring a log that an earlier version keeps in WAL mode back from it, with all that is in its `-wal` file.

    That needs the file for oneself, and where it cannot be had nothing is written: two modes at once are not safe.
    """
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            cursor.execute(f"PRAGMA busy_timeout = {int(_LEAVE_WAL_S * 1000)}")
            with contextlib.suppress(sqlite3.OperationalError):
                cursor.execute("PRAGMA journal_mode = DELETE")
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                raise LogError(
                    f"another program has the log open in a mode (WAL) that is not used any more: {path}",
                    "Close the other notebook first; the log is brought to the new mode, and nothing in it is lost.",
                )
            cursor.execute(f"PRAGMA busy_timeout = {int(_WAIT_S * 1000)}")


def _check_format(conn: sa.Connection, path: Path) -> None:
    """Raise `LogError` for a file that is no log, and for a log of a newer version."""
    if conn.exec_driver_sql("PRAGMA application_id").scalar_one() != _APPLICATION_ID:
        raise LogError(f"this file is not a log: {path}", _MOVE_IT)
    version = conn.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > SCHEMA_VERSION:
        raise LogError(
            f"the log was written by a newer imagen-nb (format {version}, this one knows {SCHEMA_VERSION}): {path}",
            Hint("Upgrade imagen-nb, or choose another folder with {}.", "home=", "--home"),
        )


def _ensure_schema(conn: sa.Connection, path: Path) -> None:
    if conn.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        _check_format(conn, path)
        for table in metadata.sorted_tables:
            there = _columns_there(table, conn.exec_driver_sql)
            for column in table.columns if there else ():
                if column.name not in there:  # may be empty: a process of that version goes on writing its rows
                    kind = column.type.compile(conn.dialect)
                    conn.exec_driver_sql(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}')
    else:
        conn.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
    metadata.create_all(conn)
    # Written each time, so that a folder in which nothing can be committed is found out now and not at the first run.
    conn.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _columns_there(table: sa.Table, execute: Callable[[str], Any]) -> set[str]:
    """The columns that the file has of this table: an earlier version's lacks some, or is not there."""
    return {row[1] for row in execute(f"PRAGMA main.table_info({table.name})").fetchall()}


def _show_missing_columns(execute: Callable[[str], Any]) -> None:
    """Let a log of an earlier version that may not be written be read as if it had all columns and tables."""
    for table in metadata.sorted_tables:
        there = _columns_there(table, execute)
        names = [f'{"" if column.name in there else "NULL AS "}"{column.name}"' for column in table.columns]
        if there != {column.name for column in table.columns}:
            rows = f"FROM main.{table.name}" if there else "WHERE 0"
            execute(f"CREATE TEMP VIEW {table.name} AS SELECT {', '.join(names)} {rows}")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


# -- what SQLite's errors mean ---------------------------------------------------------------------------------------


def _log_error(error: BaseException, path: Path) -> LogError:
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
    (
        "unable to open",
        "the log cannot be opened",
        "Check that the folder is there, that you may write in it, and that not too many files are open (ulimit -n).",
    ),
    ("not a database", "this file is not a log", _MOVE_IT),
    (
        "malformed|corrupt|no such (table|column)",
        "the log is damaged",
        "Keep a copy, move it away and go on with a new one; `sqlite3 log.sqlite .recover` may restore the rows.",
    ),
    ("I/O error", "the disk refused to read or write the log", "Check the disk and its free space, then try again."),
)


def _missing_log(path: Path) -> LogError:
    return LogError(
        f"the log was moved or deleted while it was open: {path}",
        "Run the cell again, or open a new Workspace: either begins a new log there.",
    )


# -- forking ---------------------------------------------------------------------------------------------------------

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_transactions = threading.Condition()
"""Guards the databases and how many transactions are under way in each; held while the process forks."""


def _close_connections() -> None:
    """Before a fork: let transactions end, close every connection, and keep new ones from being made.

    SQLite notes in the process which locks it holds on a file. A child would inherit the notes without the locks, and
    with a connection of its own wait for ever for its parent's transaction, or take for locked what is not. So it
    inherits no connection at all, and there is none that it might close, or roll back, for its parent.
    """
    _transactions.acquire()
    _transactions.wait_for(lambda: not any(each._under_way for each in _databases), timeout=_FORK_WAIT_S)  # noqa: SLF001 - this module's own
    for database in _databases:
        database._engine.dispose()  # noqa: SLF001 - this module's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_close_connections, after_in_parent=_transactions.release, after_in_child=_transactions.release
    )

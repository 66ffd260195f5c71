"""The file under the log: its journal, and what its errors say."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from logged import PROVIDER, prediction, request

from imagen_nb.errors import LogError
from imagen_nb.log import database
from imagen_nb.log.database import FILE_NAME, SCHEMA_VERSION
from imagen_nb.log.log import Log

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Not root for a while: nothing is forbidden to root."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        yield
        os.seteuid(0)
    else:
        yield


def pragma(log: Log, name: str) -> Any:
    with log.reading() as conn:
        return conn.exec_driver_sql(f"PRAGMA {name}").scalar()


def two_lines(raised: pytest.ExceptionInfo[LogError]) -> str:
    assert len(str(raised.value).splitlines()) == 2
    assert "None" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    return raised.value.message


def test_a_commit_is_on_the_disk(log: Log) -> None:
    """A rollback journal that is deleted, synced beyond FULL, foreign keys checked, other writers waited for."""
    assert pragma(log, "journal_mode") == "delete"
    assert pragma(log, "synchronous") == 3
    assert pragma(log, "foreign_keys") == 1
    assert pragma(log, "busy_timeout") == 30_000
    log.intend([request()], provider=PROVIDER)
    with log._database.writing() as conn:
        assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_log_in_wal_mode_is_brought_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that an earlier version keeps so loses nothing; while another program has it open, opening is refused."""
    with Log(home) as log:
        log.intend([request()], provider=PROVIDER)
    other = sqlite3.connect(home / FILE_NAME, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE runs SET note = 'in the -wal file'")
    monkeypatch.setattr(database, "_LEAVE_WAL_S", 0.05)
    with pytest.raises(LogError, match="WAL") as raised:
        Log(home)
    two_lines(raised)
    other.close()
    with Log(home) as log:
        assert pragma(log, "journal_mode") == "delete"
        assert [run.note for run in log.runs()] == ["in the -wal file"]
    assert not (home / f"{FILE_NAME}-wal").exists()


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    """A home that is a file says so at once."""
    path = tmp_path / "file"
    path.write_text("not a folder")
    with pytest.raises(LogError, match="cannot be written") as raised:
        Log(path)
    assert str(path) in two_lines(raised)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users as POSIX has them")
def test_an_unwritable_home_is_an_error_when_it_is_opened(open_folder: Path, nobody: None) -> None:  # noqa: ARG001
    """Before anything is asked for, not at the first run."""
    folder = open_folder / "imagen_runs"
    with pytest.raises(LogError, match="cannot be written: Permission denied") as raised:
        Log(folder if os.geteuid() == NOBODY else Path("/imagen_runs"))
    two_lines(raised)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make another's file")
def test_a_read_only_log_is_an_error_when_it_is_opened(open_folder: Path) -> None:
    """A file one may read but not write, and a folder in which no journal can be made."""
    Log(open_folder).close()
    (open_folder / "sessions").chmod(0o777)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(LogError, match="the log is read-only") as raised:
            Log(open_folder)
        two_lines(raised)
        os.seteuid(0)
        (open_folder / FILE_NAME).chmod(0o666)
        os.seteuid(NOBODY)
        with pytest.raises(LogError, match=r"cannot be opened|read-only") as raised:
            Log(open_folder)
        two_lines(raised)
    finally:
        os.seteuid(0)


def test_another_programs_file_is_left_alone(home: Path) -> None:
    """No table is added to a database that is not a log."""
    home.mkdir()
    theirs = sqlite3.connect(home / FILE_NAME)
    theirs.execute("CREATE TABLE theirs (x)")
    with pytest.raises(LogError, match="is not a log") as raised:
        Log(home)
    two_lines(raised)
    assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    theirs.close()


def test_a_newer_log_is_left_alone(home: Path) -> None:
    """The error says to upgrade."""
    with Log(home) as log, log._database.writing() as conn:
        conn.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LogError, match="newer imagen-nb") as raised:
        Log(home)
    assert "Upgrade" in raised.value.hint
    two_lines(raised)


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_a_damaged_log_is_named(home: Path, damage: str) -> None:
    """A file that is no database, and a database with a hole, are each one clear error."""
    with Log(home) as log:
        log.intend([request("x" * 2000) for _ in range(50)], provider=PROVIDER)
    path = home / FILE_NAME
    content = bytearray(path.read_bytes())
    if damage == "text":
        path.write_text("this is not a database, it is a note about one\n" * 100)
    else:
        content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
        path.write_bytes(content)

    def use() -> None:
        with Log(home) as log:
            log.runs()

    with pytest.raises(LogError, match=r"damaged|not a log") as raised:
        use()
    assert str(path) in two_lines(raised)


def test_a_full_disk_is_said_before_anything_is_sent(log: Log) -> None:
    """No row, no run id; what was accepted before stays, and the log works again when there is room."""
    (run_id,) = log.intend([request()], provider=PROVIDER)
    log.accept(run_id, prediction())

    @sa.event.listens_for(log._database._engine, "begin")
    def shrink(conn: sa.Connection) -> None:
        conn.exec_driver_sql("PRAGMA max_page_count = 1")

    with pytest.raises(LogError, match="the disk is full") as raised:
        log.intend([request("x" * 5000) for _ in range(100)], provider=PROVIDER)
    two_lines(raised)
    sa.event.remove(log._database._engine, "begin", shrink)
    with log._database.writing() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert log.get(run_id).prediction_id == "p1"
    assert log.count() == 1
    assert len(log.intend([request()], provider=PROVIDER)) == 1


def test_when_the_disk_fills_up_only_what_was_promised_is_there(log: Log) -> None:
    """Of many threads, the rows of those that were told so are in the log, and no others."""

    @sa.event.listens_for(log._database._engine, "begin")
    def shrink(conn: sa.Connection) -> None:
        conn.exec_driver_sql("PRAGMA max_page_count = 80")

    def write(number: int) -> list[str]:
        try:
            return log.intend([request("x" * 3000) for _ in range(1 + 20 * (number % 2))], provider=PROVIDER)
        except LogError as error:
            messages.add(error.message.partition(":")[0])
            return []

    messages: set[str] = set()
    promised = [*write(0), *write(0)]
    with ThreadPoolExecutor(12) as threads:
        promised += chain.from_iterable(threads.map(write, range(48)))
    assert messages == {"the disk is full, the log could not be written"}
    assert sorted(run.id for run in log.runs()) == sorted(promised)
    assert log.verify() == []


def test_a_log_that_is_held_for_too_long_is_an_error(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that keeps the write lock is waited for, but not for ever."""
    other = sqlite3.connect(log.home / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database, "_WAIT_S", 0.2)
    with pytest.raises(LogError, match="held by another program") as raised:
        log.intend([request()], provider=PROVIDER)
    two_lines(raised)
    other.execute("ROLLBACK")
    other.close()
    assert len(log.intend([request()], provider=PROVIDER)) == 1


def test_all_who_queue_for_a_held_log_give_up_in_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in the queue waits for about as long as the first, not for all before it."""
    other = sqlite3.connect(log.home / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database, "_WAIT_S", 0.3)

    def write(_number: int) -> float:
        start = time.monotonic()
        with pytest.raises(LogError, match="held by another program"):
            log.intend([request()], provider=PROVIDER)
        return time.monotonic() - start

    with ThreadPoolExecutor(16) as threads:
        assert max(threads.map(write, range(16))) < 2.5
    other.close()


def test_a_log_deleted_while_it_is_open_is_an_error(log: Log) -> None:
    """Removing the folder under a running notebook is met with an error in two lines, not with silence."""
    log.intend([request()], provider=PROVIDER)
    shutil.rmtree(log.home)
    with pytest.raises(LogError, match="moved or deleted") as raised:
        log.intend([request()], provider=PROVIDER)
    two_lines(raised)


def test_an_interrupted_commit_is_no_success(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt while a row is committed: whoever asked may not go on and send, and others can write."""

    def interrupt(_self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sa.engine.RootTransaction, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            log.intend([request()], provider=PROVIDER)
    assert log.count() == 0
    assert len(log.intend([request()], provider=PROVIDER)) == 1


def test_a_failed_transaction_leaves_nothing(log: Log) -> None:
    """Rows and events are written together or not at all."""

    def fail() -> None:
        with log._database.writing() as conn:
            conn.exec_driver_sql("DELETE FROM events")
            raise KeyboardInterrupt

    log.intend([request()], provider=PROVIDER)
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert log.verify() == []

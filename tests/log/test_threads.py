"""Threads that write at once share commits, which cost the disk's time, and fail alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from imagen_nb.errors import LogError
from imagen_nb.log.database import Database
from imagen_nb.log.schema import experiments

MANY = 24


def _add(database: Database, name: str, barrier: threading.Barrier | None = None) -> None:
    if barrier:
        barrier.wait(10)
    with database.writing() as conn:
        conn.execute(sa.text("INSERT INTO experiments (name, created_at) VALUES (:name, 0)"), {"name": name})


def _names(database: Database) -> set[str]:
    with database.reading() as conn:
        return set(conn.execute(sa.select(experiments.c.name)).scalars())


def test_what_each_of_many_threads_writes_is_there_when_it_is_told_so(tmp_path: Path) -> None:
    """Many transactions at once need fewer commits than there are, and none is lost."""
    database = Database(tmp_path / "log.sqlite")
    commits: list[object] = []
    sa.event.listen(database._engine, "commit", commits.append)
    barrier = threading.Barrier(MANY)

    def write(number: int) -> bool:
        _add(database, str(number), barrier)
        return str(number) in _names(database)

    with ThreadPoolExecutor(MANY) as pool:
        assert all(pool.map(write, range(MANY)))
    writes = len(commits) - MANY  # a reading transaction ends in a commit too
    database.close()
    assert 1 <= writes < MANY


def test_a_transaction_that_fails_is_undone_alone(tmp_path: Path) -> None:
    """A mistake in one thread's part leaves the parts that share its commit as they are."""
    database = Database(tmp_path / "log.sqlite")
    _add(database, "taken")
    barrier = threading.Barrier(MANY)

    def write(number: int) -> bool:
        try:
            _add(database, "taken" if number % 3 == 0 else str(number), barrier)
        except LogError:
            return False
        return True

    with ThreadPoolExecutor(MANY) as pool:
        went_well = list(pool.map(write, range(MANY)))
    assert went_well == [number % 3 != 0 for number in range(MANY)]
    assert _names(database) == {"taken", *(str(number) for number in range(MANY) if number % 3)}
    database.close()


class Occupied:
    """A thread that is in the middle of writing a name until it is let go."""

    def __init__(self, database: Database, name: str) -> None:
        self.error: Exception | None = None
        self._database, self._name = database, name
        self._inside, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        assert self._inside.wait(10)

    def let_go(self) -> None:
        self._go.set()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        try:
            with self._database.writing() as conn:
                conn.execute(sa.text("INSERT INTO experiments (name, created_at) VALUES (:n, 0)"), {"n": self._name})
                self._inside.set()
                assert self._go.wait(10)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            self.error = error


def test_who_waits_in_vain_leaves_no_one_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that gives up its place in the line leaves the commit of those before it to somebody."""
    database = Database(tmp_path / "log.sqlite")
    first = Occupied(database, "first")
    with monkeypatch.context() as patched:
        patched.setattr("imagen_nb.log.database._WAIT_S", 0.05)
        with pytest.raises(LogError, match="held"):
            _add(database, "second")
    first.let_go()
    first.join()
    assert first.error is None
    assert _names(database) == {"first"}
    database.close()


def test_an_interrupted_commit_is_a_success_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt while the transaction of several threads is committed: none of them may go on and send."""
    database = Database(tmp_path / "log.sqlite")
    first = Occupied(database, "first")

    def let_go_when_another_waits() -> None:
        until = time.monotonic() + 10
        while len(database._line) < 2 and time.monotonic() < until:
            time.sleep(0.001)
        first.let_go()

    def interrupt(_self: object) -> None:
        raise KeyboardInterrupt

    helper = threading.Thread(target=let_go_when_another_waits)
    with monkeypatch.context() as patched:
        patched.setattr(sa.engine.RootTransaction, "commit", interrupt)
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            _add(database, "second")
        first.join()
    helper.join()
    assert isinstance(first.error, LogError)
    assert "interrupted" in first.error.message
    assert _names(database) == set()
    _add(database, "third")
    assert _names(database) == {"third"}
    database.close()

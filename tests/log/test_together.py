"""Threads that queue for the log share a commit, and fail alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from imagen_nb.errors import LogError
from imagen_nb.log.database import Database
from imagen_nb.log.schema import experiments

MANY = 24


def _added(database: Database, name: str, barrier: threading.Barrier | None = None) -> None:
    if barrier:
        barrier.wait(10)
    with database.writing() as conn:
        conn.execute(sa.text("INSERT INTO experiments (name, created_at) VALUES (:name, 0)"), {"name": name})


def _names(database: Database) -> set[str]:
    with database.reading() as conn:
        return set(conn.execute(sa.select(experiments.c.name)).scalars())


def test_threads_that_queue_share_commits(tmp_path: Path) -> None:
    """Many transactions at once need fewer commits than there are, and each is there when its writing() ends."""
    database = Database(tmp_path / "log.sqlite")
    commits: list[object] = []
    sa.event.listen(database._engine, "commit", commits.append)
    barrier = threading.Barrier(MANY)

    def write(number: int) -> bool:
        _added(database, str(number), barrier)
        return str(number) in _names(database)

    with ThreadPoolExecutor(MANY) as pool:
        assert all(pool.map(write, range(MANY)))
    writes = len(commits) - MANY  # a reading transaction ends in a commit too
    database.close()
    assert 1 <= writes < MANY


def test_a_transaction_that_fails_is_undone_alone(tmp_path: Path) -> None:
    """A mistake in one thread's part leaves the parts that share its commit as they are."""
    database = Database(tmp_path / "log.sqlite")
    _added(database, "taken")
    barrier = threading.Barrier(MANY)

    def write(number: int) -> bool:
        try:
            _added(database, "taken" if number % 3 == 0 else str(number), barrier)
        except LogError:
            return False
        return True

    with ThreadPoolExecutor(MANY) as pool:
        went_well = list(pool.map(write, range(MANY)))
    assert went_well == [number % 3 != 0 for number in range(MANY)]
    assert _names(database) == {"taken", *(str(number) for number in range(MANY) if number % 3)}
    database.close()


def test_a_writer_that_never_comes_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A thread interrupted in the queue does not leave the others' commit to nobody."""
    database = Database(tmp_path / "log.sqlite")
    database._queueing += 1  # one who will not come
    _added(database, "a")
    assert _names(database) == {"a"}
    database._queueing -= 1
    with pytest.raises(ZeroDivisionError), database.writing():
        _ = 1 / 0
    database.close()

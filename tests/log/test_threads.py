"""Threads that write at once wait for each other, and fail alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    """Many transactions at once wait for each other, and none is lost."""
    database = Database(tmp_path / "log.sqlite")
    barrier = threading.Barrier(MANY)

    def write(number: int) -> bool:
        _add(database, str(number), barrier)
        return str(number) in _names(database)

    with ThreadPoolExecutor(MANY) as pool:
        assert all(pool.map(write, range(MANY)))
    database.close()


def test_a_transaction_that_fails_is_undone_alone(tmp_path: Path) -> None:
    """A mistake in one thread's transaction leaves what the others write as it is."""
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

"""A log that an earlier version wrote opens with nothing lost.

`tests/data/home-0.1.0` was written by imagen-nb 0.1.0, each kind of row once, and `home-0.1.0.json` beside it is what
that version read from it: the frame with its types, and the events. Both stay as they are; a version that changes the
tables gets a home of its own.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imagen_nb.errors import LogError
from imagen_nb.log.database import FILE_NAME, Database
from imagen_nb.log.frame import events, frame
from imagen_nb.log.log import Log

DATA = Path(__file__).parents[1] / "data"
NEWER = ("favourite", "text", "parent")
EXPECTED = json.loads((DATA / "home-0.1.0.json").read_text("utf-8"))


@pytest.fixture
def old_home(home: Path) -> Path:
    """A copy, as opening brings a log up to date."""
    shutil.copytree(DATA / "home-0.1.0", home)
    return home


def plain(table: pd.DataFrame, home: Path) -> dict[str, list[str | None]]:
    rows = table.reset_index().astype(object)
    rows = rows.where(rows.notna(), None)
    texts: dict[str, list[str | None]] = {}
    for name in rows.columns:
        texts[str(name)] = [None if each is None else str(each).replace(str(home), "HOME") for each in rows[name]]
    return texts


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_log_of_0_1_0_is_read_as_that_version_read_it(old_home: Path, mode: str) -> None:
    """Every row, column, type, event and image is there, whichever journal the log was kept with."""
    connection = sqlite3.connect(old_home / FILE_NAME)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.close()
    with Log(old_home) as log:
        table = frame(log)
        found = plain(table, old_home)
        for name, values in EXPECTED["frame"].items():
            assert found[name] == values, name
        for name, kind in EXPECTED["dtypes"].items():
            assert str(table.dtypes[name]) == kind, name
        assert plain(events(log), old_home) == EXPECTED["events"]
        assert log.verify() == []


def test_what_a_killed_process_of_0_1_0_left_in_its_wal_file_is_kept(old_home: Path, tmp_path: Path) -> None:
    """A change that was committed, but never came into the file itself, is there, and the `-wal` file goes."""
    other = sqlite3.connect(old_home / FILE_NAME, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("UPDATE runs SET note = 'only in the -wal file' WHERE seq = 1")
    killed = tmp_path / "killed"
    shutil.copytree(old_home, killed)
    other.close()
    assert (killed / f"{FILE_NAME}-wal").stat().st_size > 0
    with Log(killed) as log:
        assert log.runs()[0].note == "only in the -wal file"
        with log.reading() as conn:
            assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "delete"
    assert [path.name for path in killed.glob(f"{FILE_NAME}*")] == [FILE_NAME]


def test_the_open_rows_of_a_log_of_0_1_0_can_be_taken_up(old_home: Path) -> None:
    """What that version had under way is offered to whoever reconciles or resumes."""
    with Log(old_home) as log:
        assert [str(row.status) for row in log.leftovers()] == ["unknown", "processing", "intent"]
        state = log.resume_state("animals")
        assert len(state.succeeded) == 3
        assert [row.request.prompt for row in state.open.values()] == ["written, and its process died"]
        assert len(state.unsent) == 1


def test_a_log_of_0_1_0_opens_while_another_has_it_open(old_home: Path) -> None:
    """A notebook of an earlier version that reads and writes beside us loses nothing and hinders nobody."""
    other: Any = sqlite3.connect(old_home / FILE_NAME, isolation_level=None)
    count = other.execute("SELECT count(*) FROM runs").fetchone()[0]
    with Log(old_home) as log:
        other.execute("UPDATE runs SET note = 'theirs' WHERE seq = 1")
        log.rate(log.runs()[1].id, note="ours")
        assert [run.note for run in log.runs()[:2]] == ["theirs", "ours"]
        assert log.count() == count
        # It knows the columns that its version had, and writes the version that it has read.
        names = [row[1] for row in other.execute("PRAGMA table_info(runs)") if row[1] not in NEWER]
        row = dict(zip(names, other.execute("SELECT * FROM runs WHERE prediction_id IS NULL").fetchone(), strict=False))
        del row["seq"]
        marks = ", ".join("?" * len(row))
        theirs = f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - column names
        other.execute(theirs, [*{**row, "run_id": "theirs, later"}.values()])
        assert (log.get("theirs, later").favourite, log.get("theirs, later").text) == (False, None)
    other.close()


def test_a_log_of_0_1_0_that_may_not_be_written_is_read(old_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays as it is, and what that version did not write is missing."""
    before = (old_home / FILE_NAME).read_bytes()
    refusal = LogError("the log is read-only", "Ask whose it is.")
    database = Database(old_home / FILE_NAME, refusal)
    monkeypatch.setattr("imagen_nb.log.log.Database", lambda *_: database)
    with Log(old_home) as log:
        table = frame(log)
        assert len(table) == len(EXPECTED["frame"]["run_id"])
        assert not table["favourite"].any()
        assert table["text"].isna().all()
        assert log.runs(favourite=True) == []
        with pytest.raises(LogError, match="read-only"):
            log.rate(log.runs()[0].id, favourite=True)
    assert (old_home / FILE_NAME).read_bytes() == before

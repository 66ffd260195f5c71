"""A home that several use, that is full, damaged or in the way: nothing is sent without a row, and no row is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neighbours
import pandas as pd
import pytest
import sqlalchemy as sa
from ledger import books, until
from origin import Origin
from providers import CANARY

from imagen_nb.errors import LogError, in_shell
from imagen_nb.records import Status
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace

SECONDS = 4.0


def test_four_processes_share_a_home(home: Path) -> None:
    """Four notebooks sweep, read, rate and reconcile at once: no error, and the log is sound and equals the bill."""
    with Simulator(latency=0.02, paint=_dot()) as simulator:
        processes = neighbours.at_work(home, simulator.base_url, SECONDS)
        said = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0, 0]
        books(home, simulator).balance(sum(map(int, said)))


def _dot() -> Any:
    """Paints a small picture in no time."""
    from origin import picture

    return lambda width, height, fmt, **_: picture("PNG" if fmt == "png" else "JPEG")  # noqa: ARG005 - a painter's signature


class Disk:
    """Where the log lies: SQLite finds no more room in it while it `is_full`."""

    def __init__(self, ws: Workspace) -> None:
        self.is_full = False
        sa.event.listen(ws.log._database._engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {1 if self.is_full else 2**30}")  # 1: not a page more than it has


def test_a_full_disk_keeps_requests_from_being_sent(ws: Workspace, api: Origin) -> None:
    """Without a durable row nothing is asked; the error says what to do, and with room it works again."""
    disk = Disk(ws)
    ws.generate("a fox")
    disk.is_full = True
    with pytest.raises(LogError, match="full") as caught:
        ws.generate("a fox" * 5000)
    assert caught.value.hint
    assert len(api.of("create")) == len(ws.frame()) == 1
    disk.is_full = False
    ws.generate("an owl")
    books(ws.log, api).balance(2)


def test_what_was_accepted_while_the_disk_became_full_is_not_lost(ws: Workspace, api: Origin) -> None:
    """A log that fails between the create and its row's end stops the sweep; reconcile() finds all that was billed."""
    api.latency = 0.5
    api.answer = lambda _: {"logs": "x" * 9000}
    disk = Disk(ws)
    runs = ws.submit(ws.plan("a fox", repeat=30), jobs=6)
    until(lambda: len(api.bills) >= 6)
    disk.is_full = True
    with pytest.raises(LogError):
        runs.wait()
    disk.is_full = False
    sent = len(api.of("create"))
    now = books(ws.log, api)
    now.check()
    assert now.statuses["succeeded"] < len(now.bills)
    ws.reconcile()
    now = books(ws.log, api)
    assert len(api.of("create")) == sent == len(now.claimed) == now.images
    assert ws.log.verify() == []


@pytest.mark.parametrize("name", ["images", "temp"])
def test_images_that_cannot_be_kept_now_are_kept_later(ws: Workspace, api: Origin, name: str) -> None:
    """A folder that cannot be made stops the run with an error; its row stays open, and reconcile() gets the image."""
    ws.home.mkdir()
    (ws.home / name).write_text("in the way")
    with pytest.raises(LogError, match="cannot be written"):
        ws.generate("a fox")
    (row,) = ws.log.runs()
    assert not row.status.is_terminal
    (ws.home / name).unlink()
    assert [run.status for run in ws.reconcile()] == [Status.SUCCEEDED]
    books(ws.log, api).balance(1)


@pytest.mark.parametrize(
    "content", [b"not a database" * 99, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "torn"]
)
def test_a_damaged_log_is_said_before_anything_is_sent(home: Path, api: Origin, content: bytes) -> None:
    """Whatever lies in the log's place stays as it is."""
    home.mkdir()
    (home / "log.sqlite").write_bytes(content)
    with Workspace(home, provider=api.base_url, token=CANARY) as ws, pytest.raises(LogError) as caught:
        ws.generate("a fox")
    assert caught.value.hint
    assert api.seen == []
    assert (home / "log.sqlite").read_bytes() == content


def test_a_log_that_is_damaged_in_mid_sweep_stops_it(ws: Workspace, api: Origin) -> None:
    """Nothing more is sent once rows cannot be written, and the kernel lives."""
    runs = ws.submit(ws.plan("a fox", repeat=400), jobs=2)
    until(lambda: len(api.bills) >= 5)
    (ws.home / "log.sqlite").rename(ws.home / "elsewhere.sqlite")
    with pytest.raises(LogError, match="moved or deleted"):
        runs.wait()
    assert len(api.bills) < 400
    (ws.home / "elsewhere.sqlite").rename(ws.home / "log.sqlite")
    ws.close()
    with Workspace(ws.home, provider=api.base_url, token=CANARY, settle_s=0.6) as later:
        later.reconcile()
        now = books(later.log, api)
        assert set(now.claimed) == set(now.bills)
        assert now.images == len(now.bills)


def test_a_home_that_is_no_folder_is_said(tmp_path: Path, api: Origin) -> None:
    """A file in its place is an error in two lines, and nothing is sent."""
    (tmp_path / "file").write_text("in the way")
    with Workspace(tmp_path / "file", provider=api.base_url, token=CANARY) as ws, pytest.raises(LogError) as caught:
        ws.generate("a fox")
    assert caught.value.hint
    assert api.seen == []


def test_the_journal_is_the_same_whatever_the_sqlite(home: Path, api: Origin) -> None:
    """No SQLite's WAL bug and no network's disk can harm a rollback journal, and each commit is synced."""
    with Workspace(home, provider=api.base_url, token=CANARY) as ws:
        assert ws.generate("a fox").status is Status.SUCCEEDED
        with ws.log.reading() as conn:
            assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "delete"
            assert conn.exec_driver_sql("PRAGMA synchronous").scalar_one() == 3


WRONG = {
    "runs": {
        **dict.fromkeys(("predict_s", "total_s", "cost", "repeat", "rating", "created_at"), "soon"),
        **dict.fromkeys(("experiment", "prompt", "model", "error", "params", "slots", "echo"), b"\xff"),
        **dict.fromkeys(("completed_at", "started_at"), 2**62),
        "status": "odd",
        "tag": 17,
    },
    "images": {**dict.fromkeys(("width", "height", "bytes"), "wide"), "file": b"\xff", "mime": b"\xff"},
}


@pytest.mark.parametrize(("table", "column"), [(table, column) for table, of in WRONG.items() for column in of])
def test_one_value_that_is_wrong_hides_no_row(rows: Path, table: str, column: str) -> None:
    """What somebody wrote into the log by hand is missing, or shown as text; all else of the log is there."""
    with contextlib.closing(sqlite3.connect(rows / "log.sqlite")) as file:
        second = f"{'seq' if table == 'runs' else 'run'} = 2"
        (before,) = file.execute(f"SELECT {column} FROM {table} WHERE {second}").fetchone()  # noqa: S608 - ours
        change = f"UPDATE {table} SET {column} = ? WHERE {second}"  # noqa: S608 - ours
        file.execute("PRAGMA ignore_check_constraints = ON")
        file.execute(change, (WRONG[table][column],))
        file.commit()
        try:
            with Workspace(rows, provider="simulator") as ws:
                frame, runs = ws.frame(), ws.log.runs()
                assert len(frame) == len(runs) == 3
                assert set(frame.prompt) >= {"a fox", "an elk"}
                for text in [frame.imagen.gallery().text, *(run._repr_mimebundle_()["text/html"] for run in runs)]:
                    text.encode()
                frame.imagen.export(rows.parent / "log.csv")
        finally:
            file.execute(change, (before,))
            file.commit()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three runs that have an image each."""
    home = tmp_path_factory.mktemp("rows") / "imagen_runs"
    with Origin() as api, Workspace(home, provider=api.base_url) as ws:
        ws.run(ws.plan("{a fox|an owl|an elk}"), experiment="e", tag="t")
    return home


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another")
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_read_only_home_can_be_looked_at(rows: Path, api: Origin, journal: str) -> None:
    """Another's home: its frame, its pictures and a report of them are there; a request says why and is not sent."""
    folder = Path(tempfile.mkdtemp())  # which, unlike that of the tests, others may enter
    try:
        folder.chmod(0o755)
        shutil.copytree(rows, folder / "home", ignore=shutil.ignore_patterns("thumbnails", "temp"))
        with contextlib.closing(sqlite3.connect(folder / "home" / "log.sqlite")) as file:
            file.execute(f"PRAGMA journal_mode = {journal}")
        before = sorted(folder.rglob("*"))
        with Workspace(rows, provider=api.base_url, token=CANARY) as ws:
            _look_at(ws)  # which imports what it needs: Python's own files may be closed to others
            ws.reconcile()
        with Workspace(folder / "home", provider=api.base_url, token=CANARY) as ws, as_nobody():
            frame = _look_at(ws)
            for ask in (lambda: ws.generate("a fox"), lambda: ws.rate(frame.index[0], 5), ws.reconcile):
                with pytest.raises(LogError, match=r"cannot be written: Permission denied|read-only") as caught:
                    ask()
                assert "--home" in in_shell(caught.value.hint)
        assert api.seen == []
        assert sorted(folder.rglob("*")) == before
    finally:
        shutil.rmtree(folder)


def _look_at(ws: Workspace) -> pd.DataFrame:
    frame = ws.frame()
    assert len(frame) == 3
    assert frame.imagen.gallery().html.count("data:image/webp") == 3
    assert ws.log.runs()[0]._repr_mimebundle_()["text/html"].count("data:image/webp") == 1
    with tempfile.TemporaryDirectory() as elsewhere:
        report = frame.imagen.report(Path(elsewhere) / "report.html")
        assert report.read_text("utf-8").count("data:image/webp") >= 3
    return frame


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """As a user who owns nothing."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)

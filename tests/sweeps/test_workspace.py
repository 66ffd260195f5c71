"""A workspace opens what is asked for, when it is asked for it, and nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import requests

from imagen_nb.errors import LogError
from imagen_nb.log.images import image_place
from imagen_nb.log.log import Log
from imagen_nb.simulator import Simulator
from imagen_nb.workspace import Workspace


def _opened(home: Path) -> set[object]:
    """The threads of this process, and the files in a home."""
    return {*threading.enumerate(), *home.rglob("*")}


def test_viewing_a_stored_run_starts_nothing(home: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run from the log is shown without a server, a session or a connection, whoever the provider is."""
    with Workspace(home, provider=simulator.base_url) as ws:
        run_id = ws.generate("a fox").id
    monkeypatch.setattr("imagen_nb.workspace._simulator", None)
    with Log(home) as log:
        run = log.get(run_id)
        Workspace(home, provider="simulator").show(run)  # makes the thumbnail, and imports what it needs
        before = _opened(home)
        ws = Workspace(home, provider="simulator")
        for shown in (ws.show(run), ws.show(log.get(run_id)), run._repr_mimebundle_()):
            assert "data:image" in shown["text/html"]
        assert image_place(ws.home, run.images[0].sha256, run.images[0].mime) == run.images[0].path
        assert _opened(home) <= before
        assert not ws.is_open


def test_reading_the_log_starts_no_server(home: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames, ratings and runs come from the log alone."""
    with Workspace(home, provider=simulator.base_url) as ws:
        run_id = ws.generate("a fox").id
    monkeypatch.setattr("imagen_nb.workspace._simulator", None)
    before = set(threading.enumerate())
    with Workspace(home, provider="simulator") as ws:
        ws.rate(run_id, 4)
        ws.show(ws.log.get(run_id))
        assert list(ws.frame().rating) == [4]
        assert set(threading.enumerate()) <= before


def test_runs_can_be_read_and_shown_when_their_workspace_is_closed(home: Path, simulator: Simulator) -> None:
    """The handle keeps its frame and its display after close(); a log that was moved away is said."""
    with Workspace(home, provider=simulator.base_url) as ws:
        runs = ws.run(ws.plan("a {fox|owl}"))
    assert list(runs.frame().index) == [run.id for run in runs]
    assert "2 of 2 succeeded" in runs._repr_mimebundle_()["text/plain"]
    (home / "log.sqlite").rename(home / "elsewhere.sqlite")
    with pytest.raises(LogError):
        runs.frame()
    assert not (home / "log.sqlite").exists()


def test_runs_show_themselves(home: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """show() displays the handle; outside of a notebook that is its text."""
    with Workspace(home, provider=simulator.base_url) as ws:
        ws.run(ws.plan("a {fox|owl}")).show()
    assert "2 of 2" in capsys.readouterr().out


def test_the_simulator_of_this_process_answers_nobody_else(home: Path) -> None:
    """Others on this machine can reach its port, and read no prompt there; its token is in no file."""
    with Workspace(home) as ws:
        run = ws.generate("a fox in a letter")
        url = ws.provider.base_url
        for path in ("/v1/predictions", f"/v1/predictions/{run.prediction_id}"):
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer simulator"}):
                reply = requests.get(f"{url}{path}", headers=headers, timeout=10)
                assert reply.status_code == 401
                assert "fox" not in reply.text
        assert ws.provider.token is not None
        token = ws.provider.token.reveal()
        assert token not in repr(vars(ws)) + repr(ws.provider)
        assert [path for path in home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()] == []

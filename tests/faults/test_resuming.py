"""An interrupt, a restart or a refusal in the middle: what goes on afterwards repeats nothing and forgets nothing."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from acts import fin, rst, says
from crash import EXPERIMENT, SETTLE_S, planned, sweeping
from ledger import books, until
from origin import Origin
from providers import CANARY

from imagen_nb.errors import AuthenticationError
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

COUNT = 12


def test_an_interrupted_sweep_keeps_what_it_has_and_goes_on(home: Path, api: Origin) -> None:
    """SIGINT in mid-sweep: every row is settled, what runs is canceled; --resume asks only for what is missing."""
    api.latency = lambda number: 0.1 if number < 4 else 60.0
    with sweeping(home, api.base_url, COUNT, jobs=3, token=CANARY, stderr=False) as process:
        until(lambda: len(api.bills) >= 6)
        process.send_signal(signal.SIGINT)
        assert process.wait(15.0) != 0
    now = books(home, api)
    now.check()
    assert set(now.bills) == set(now.claimed)
    assert {str(row.status) for row in now.rows} == {"succeeded", "canceled"}
    kept = {row.prediction_id for row in now.rows if row.status is Status.SUCCEEDED}
    assert len(kept) >= 3
    api.latency = 0.05
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as ws:
        runs = ws.run(planned(ws, COUNT), experiment=EXPERIMENT, resume=True)
        assert {run.status for run in runs} == {Status.SUCCEEDED}
        assert kept <= {run.prediction_id for run in runs}
        assert runs.progress().skipped == len(kept)
    now = books(home, api)
    assert set(now.bills) == set(now.claimed)
    assert len(api.bills) == COUNT + now.statuses["canceled"]


def test_a_restart_in_mid_sweep_picks_up_what_runs(home: Path, api: Origin) -> None:
    """A workspace closed and opened again resumes: predictions that went on meanwhile are collected, not repeated."""
    api.latency = 1.0
    with sweeping(home, api.base_url, COUNT, jobs=4, token=CANARY) as process:
        until(lambda: len(api.bills) >= 6)
        process.kill()
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as ws:
        ws.run(planned(ws, COUNT), experiment=EXPERIMENT, resume=True)
        books(ws.log, api).balance(COUNT)


def test_a_reconcile_that_is_refused_can_be_done_again(ws: Workspace, api: Origin) -> None:
    """A 401 ends it; with a token that works, the same workspace settles every row that was not come to."""
    api.lists = False
    api.fault("create", after=[rst], times=3)
    ws.run(ws.plan("a fox", repeat=3))
    api.lists = True
    api.fault("any", instead=[says({"title": "Unauthenticated", "status": 401}, 401)])
    for _ in range(2):
        left = ws.reconcile()
        assert {run.status for run in left} == {Status.UNKNOWN}
        assert "does not accept the token" in str(left[0].error)
    api.heal()
    assert {run.status for run in ws.reconcile()} == {Status.SUCCEEDED}
    books(ws.log, api).balance(3)


def test_a_resume_that_stops_early_leaves_the_rest_to_be_resumed(ws: Workspace, api: Origin) -> None:
    """Rows taken up again and not sent, for want of budget, are free for the next --resume in the same workspace."""
    api.fault("create", instead=[says({"title": "Unauthenticated", "status": 401}, 401)])
    plan = ws.plan("a fox", repeat=4)
    with pytest.raises(AuthenticationError):
        ws.run(plan, experiment="e", jobs=4)
    rows = len(ws.frame())
    api.heal()
    runs = ws.run(plan, experiment="e", resume=True, budget=0.05, jobs=1)
    assert len(runs) == 1
    assert set(ws.frame().status[1:]) <= {"failed"}  # as they were, and not waiting to be sent
    ws.run(plan, experiment="e", resume=True)
    assert rows <= 4
    books(ws.log, api).balance(4)


def test_two_who_resume_at_once_share_the_open_rows(home: Path, api: Origin) -> None:
    """Of two notebooks that take up the same leftovers, each row goes to one of them."""
    api.lists = False
    api.fault("create", instead=[fin], times=3)
    api.fault("create", after=[rst], times=3)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as ws:
        plan = ws.plan("a fox", repeat=6)
        ws.run(plan, experiment="e")
    api.lists = True
    ready = threading.Barrier(2)

    def resume() -> None:
        with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as other:
            ready.wait(10.0)
            other.run(plan, experiment="e", resume=True)

    threads = [threading.Thread(target=resume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    books(home, api).balance(6)


def test_a_cancel_that_the_provider_does_not_know_leaves_the_row_open(ws: Workspace, api: Origin) -> None:
    """What may still be running, and billed, is not written off: reconcile() collects it."""
    api.latency = 1.5
    api.fault("cancel", instead=[says({"detail": "no such call", "status": 404}, 404)])
    runs = ws.submit(ws.plan("a fox", repeat=3), jobs=3)
    until(lambda: len(api.bills) == 3)
    began = time.monotonic()
    runs.cancel().wait()
    assert time.monotonic() - began < 5.0
    assert {run.status for run in runs} == {Status.UNKNOWN}
    assert {run.status for run in ws.reconcile()} == {Status.SUCCEEDED}
    books(ws.log, api).balance(3)

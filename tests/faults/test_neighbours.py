"""Two workspaces on one home at once: what one of them has under way is not the other's to cancel, claim or repeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from acts import rst
from crash import abandon, hold_at
from ledger import books, until
from origin import Origin
from providers import CANARY

from imagen_nb.records import Status
from imagen_nb.sweeps.recover import CreateSearch, SentCreate, WhyNotFound
from imagen_nb.workspace import Workspace


@pytest.fixture
def other(home: Path, api: Origin) -> Iterator[Workspace]:
    """A second notebook on the same home."""
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as opened:
        yield opened


def test_a_cancel_leaves_an_equal_request_of_another_notebook_alone(
    ws: Workspace, other: Workspace, api: Origin
) -> None:
    """Both hold a create open for the same prompt; canceling one of them never ends the other."""
    api.latency = 3.0
    kept = ws.submit(ws.plan("a fox"))
    until(lambda: len(api.bills) == 1)
    dropped = other.submit(other.plan("a fox"))
    until(lambda: len(api.bills) == 2)
    dropped.cancel()
    assert kept.wait(30.0)[0].status is Status.SUCCEEDED
    dropped.wait(30.0)
    books(ws.log, api).check()
    assert len(api.bills) == 2


@pytest.mark.parametrize("is_same", [False, True], ids=["another notebook", "another cell"])
def test_reconciling_does_not_take_what_a_create_of_another_notebook_waits_for(
    home: Path, ws: Workspace, other: Workspace, api: Origin, is_same: bool
) -> None:
    """A leftover that was never sent, and the same cell run again: the prediction stays the cell's, billed once."""
    hold = hold_at(api, "create", is_done=False, times=1)
    dead = Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6)
    dead.submit(dead.plan("a fox"))
    assert hold.reached.wait(20.0)
    abandon(dead)
    hold.lift()
    api.latency = 3.0
    again = ws.submit(ws.plan("a fox"))
    until(lambda: len(api.bills) == 1)
    (left,) = (ws if is_same else other).reconcile()
    assert again.wait()[0].status is Status.SUCCEEDED
    assert (left.status, left.prediction_id) == (Status.FAILED, None)
    assert len(api.of("create")) == 2
    assert len(api.bills) == 1


def test_two_who_resume_an_experiment_at_once_send_each_request_once(
    ws: Workspace, other: Workspace, api: Origin
) -> None:
    """Also a request that neither had begun: one writes its row, the other counts it as done elsewhere."""
    plan = ws.plan("fox {n}", n=[str(n) for n in range(12)])
    api.latency = 0.2
    start = threading.Barrier(2)

    def resume(workspace: Workspace) -> None:
        start.wait(10.0)
        workspace.run(plan, experiment="e", resume=True, jobs=3)

    threads = [threading.Thread(target=resume, args=[each]) for each in (ws, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    books(ws.log, api).balance(12)


def test_a_row_settled_elsewhere_meanwhile_is_not_sent_again(ws: Workspace, other: Workspace, api: Origin) -> None:
    """A sweep comes to a row hours after it began: it takes the row as it is then, not as it was."""
    api.lists = False
    api.fault("create", after=[rst], times=1)
    ws.run(ws.plan("b"), experiment="e", hold=0)  # unknown, and billed
    api.lists = True
    api.latency = 3.0
    runs = ws.submit(ws.plan(["a", "b"]), experiment="e", resume=True, jobs=1, hold=0)
    until(lambda: len(api.bills) == 2)
    api.fault("file", instead=[rst])
    (left,) = other.reconcile()
    assert (left.status, left.prediction_id is not None) == (Status.UNKNOWN, True)
    api.heal()
    api.latency = 0.0
    assert {run.status for run in runs.wait()} == {Status.SUCCEEDED}
    books(ws.log, api).balance(2)


def test_a_search_ends_for_a_row_that_got_its_prediction_meanwhile(ws: Workspace, api: Origin) -> None:
    """Somebody else's prediction with the same prompt is on offer; the row has its own, and is left as it is."""
    (run, _) = ws.run(ws.plan(["b", "c"]), hold=0)
    ws.connections.api.create(run.request, deadline=time.monotonic() + 20.0)
    search = CreateSearch(ws.connections.api, ws.log, ws.provider.name, ws.spec, stop=threading.Event(), settle_s=0.6)
    assert search.find(SentCreate(run.id, run.request, datetime.now(timezone.utc))) is WhyNotFound.HELD
    assert ws.log.get(run.id) == run
    assert len(api.bills) == 3


# -- two sweeps of one workspace are neighbours too --------------------------------------------------------------------


def test_a_cancel_leaves_an_equal_request_of_another_cell_alone(ws: Workspace, api: Origin) -> None:
    """Two cells hold a create open for the same prompt; canceling the second never ends the first."""
    api.latency = 3.0
    kept = ws.submit(ws.plan("a fox"))
    until(lambda: len(api.bills) == 1)
    dropped = ws.submit(ws.plan("a fox"))
    until(lambda: len(api.bills) == 2)
    dropped.cancel()
    assert kept.wait(30.0)[0].status is Status.SUCCEEDED
    assert api.bills[0].canceled is None


def test_reconcile_does_not_let_go_of_a_row_that_another_cell_has_taken_up(
    home: Path, ws: Workspace, other: Workspace, api: Origin
) -> None:
    """It settles a row as never sent and goes on; --resume sends that row meanwhile: nobody else is offered it."""
    api.latency = 6.0
    hold = hold_at(api, "create", is_done=False, times=1, skip=1)
    dead = Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6)
    plan = dead.plan(["b", "a"])
    dead.submit(plan, experiment="e", jobs=2, hold=0)
    assert hold.reached.wait(20.0)
    until(lambda: any(run.prediction_id for run in dead.log.runs()))
    abandon(dead)
    hold.lift()
    reconciling = threading.Thread(target=ws.reconcile)
    reconciling.start()
    until(lambda: any(run.status is Status.FAILED for run in ws.log.runs()))
    busy = hold_at(api, "create", is_done=False, times=1)
    sent = ws.submit(ws.plan(["a"]), experiment="e", resume=True, hold=0)
    assert busy.reached.wait(20.0)
    reconciling.join(60.0)
    assert other.log.leftovers() == []
    busy.lift()
    assert sent.wait()[0].status is Status.UNKNOWN  # nothing was accepted since that could be a witness
    ws.run(ws.plan(["an owl", "a"]), experiment="e", resume=True, hold=0, jobs=1)
    assert len([bill for bill in api.bills if bill.input["prompt"] == "a"]) == 1

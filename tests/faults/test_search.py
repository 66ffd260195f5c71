"""The search for lost creates itself: it ends for everybody, whatever it meets."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from acts import Script, reply, rst, says
from crash import abandon, hold_at
from ledger import books, until
from origin import Origin, Seen
from providers import CANARY

from imagen_nb.records import Status
from imagen_nb.sweeps import recover
from imagen_nb.workspace import Workspace

NESTED = "[" * 900 + "]" * 900


def test_an_echo_that_is_nested_beyond_measure_hangs_nobody(ws: Workspace, api: Origin) -> None:
    """The list has one with the prompt of a lost create: that one is settled, and so is the one lost after it."""

    def listing(_: Seen) -> Script:
        entry = (
            '{"id": "other", "model": "google/imagen-4", "created_at": "2030-01-01T00:00:00Z", "status": "succeeded"'
        )
        results = f'[{entry}, "input": {{"prompt": "b", "aspect_ratio": {NESTED}}}}}]'
        return [reply(f'{{"next": null, "results": {results}}}'.encode(), content_type="application/json")]

    api.fault("create", after=[rst], times=2)
    api.fault("list", instead=listing, times=1)
    runs = ws.run(ws.plan(["b", "c"], aspect_ratio="1:1"), hold=0, jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_in_it_leaves_nobody_waiting(ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is looked for then stays unknown; what is lost afterwards is looked for again."""
    told = threading.Event()

    def broken(*_: Any) -> Any:
        monkeypatch.undo()
        told.set()
        raise RuntimeError("broken")

    monkeypatch.setattr(recover, "match", broken)
    api.fault("create", after=[rst], times=2)
    runs = ws.run(ws.plan(["b", "c"]), hold=0, jobs=1)
    assert told.is_set()
    assert [run.status for run in runs] == [Status.UNKNOWN, Status.SUCCEEDED]
    until(lambda: not any(thread.name == "imagen-search" for thread in threading.enumerate()))
    assert ws.reconcile()[0].status is Status.SUCCEEDED
    books(ws.log, api).balance(2)


def test_a_model_whose_schema_is_refused_keeps_no_other_from_being_found(home: Path, api: Origin) -> None:
    """Two leftovers, one of a model that nobody describes: both are found by what was sent."""
    api.lists = False
    api.fault("create", after=[rst], times=2)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as first:
        first.run(first.plan("a fox", model=["google/imagen-4", "acme/x"]), hold=0)
    api.lists = True
    api.fault("model", instead=[says({"detail": "not allowed", "status": 403}, 403)])
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as later:
        found = {run.request.model: run.prediction_id is not None for run in later.reconcile()}
    assert found == {"google/imagen-4": True, "acme/x": True}


def test_a_cancel_ends_a_list_that_hangs(ws: Workspace, api: Origin) -> None:
    """The row stays unknown, and reconcile() finds it."""
    api.fault("create", after=[rst], times=1)
    hold = hold_at(api, "list")
    runs = ws.submit(ws.plan("a fox"), hold=0)
    assert hold.reached.wait(20.0)
    began = time.monotonic()
    runs.cancel().wait()
    assert time.monotonic() - began < 20.0
    assert runs[0].status is Status.UNKNOWN
    hold.lift()
    api.heal()
    assert ws.reconcile()[0].status is Status.SUCCEEDED
    books(ws.log, api).balance(1)


@pytest.mark.parametrize("name", ["imagen-fetch", "imagen-search"])
def test_a_moment_without_threads_costs_nothing(
    ws: Workspace, api: Origin, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted is logged and collected; what was lost is looked for by reconcile()."""
    start, refused = threading.Thread.start, []

    def limited(self: threading.Thread) -> None:
        if self.name == name and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    if name == "imagen-search":
        api.fault("create", after=[rst], times=1)
    ws.run(ws.plan(["a", "b", "c"]), hold=10, jobs=1)
    assert refused
    ws.reconcile()
    books(ws.log, api).balance(3)


def test_a_long_sweep_of_equal_requests_does_not_put_off_a_missing_one(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There always is a newer create that is held open: what it may become is not the one lost long before."""
    monkeypatch.setattr(recover, "SLACK", recover.SLACK / 10)
    monkeypatch.setattr(recover, "PATIENCE_S", 6.0)
    api.latency = lambda number: 0.8 + 0.19 * (number % 5)
    api.fault("create", instead=[rst], times=1)
    runs = ws.run(ws.plan("a fox", repeat=45), jobs=6, hold=10)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(45)


def test_two_who_resume_equal_leftovers_do_not_wait_for_each_other(home: Path, api: Origin) -> None:
    """One was billed and one never left: whoever takes up which, one is found and one is sent."""
    billed, unsent = hold_at(api, "create", times=1), hold_at(api, "create", is_done=False, times=1)
    dead = Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6)
    plan = dead.plan("a fox", repeat=2)
    dead.submit(plan, experiment="e", jobs=2, hold=0)
    assert billed.reached.wait(20.0)
    assert unsent.reached.wait(20.0)
    abandon(dead)
    billed.lift()
    unsent.lift()
    with (
        Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as one,
        Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as other,
    ):
        sweeps = [each.submit(plan, experiment="e", resume=True, jobs=1, hold=0) for each in (one, other)]
        for each in sweeps:
            each.wait()
        books(one.log, api).balance(2)

"""A process killed with SIGKILL in any state has lost nothing, and whoever goes on pays for nothing twice."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from acts import rst
from crash import EXPERIMENT, SETTLE_S, hold_at, planned, sweeping
from ledger import Books, books, until
from money import drop_creates
from origin import Origin, throttle
from providers import CANARY

from imagen_nb.log.log import Log
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

COUNT = 4
Condition = Callable[[], object]


def resumed(home: Path, base_url: str, count: int = COUNT) -> set[Status]:
    """How the runs of the experiment ended, after it was gone on with in this process."""
    with Workspace(home, provider=base_url, token=CANARY, settle_s=SETTLE_S) as ws:
        runs = ws.run(planned(ws, count), experiment=EXPERIMENT, resume=True)
        return {run.status for run in runs}


def killed(home: Path, api: Origin, is_there: Condition, *, count: int = COUNT) -> None:
    """Start a sweep and kill it as soon as it is where it should be."""
    with sweeping(home, api.base_url, count, jobs=2, token=CANARY):
        until(is_there)


def statuses(home: Path) -> Books:
    with Log(home) as log:
        return Books((), tuple(log.runs()))


def held(api: Origin, kind: str, **options: int) -> Condition:
    return hold_at(api, kind, **options).reached.is_set


def refused_for_now(api: Origin, home: Path) -> Condition:
    """A row is written, and its create was refused until later; the others wait behind it, with a row or without."""
    api.fault("create", instead=[throttle(60.0)])
    return lambda: api.of("create") and statuses(home).statuses["intent"]


def lost_and_looked_for(api: Origin, _home: Path) -> Condition:
    """The reply was lost, and the list is being read."""
    api.fault("create", after=[rst], times=2)
    return held(api, "list")


def accepted(api: Origin, _home: Path) -> Condition:
    """The log has the ids, and the first look at one of them is on its way."""
    api.latency = 0.2
    return held(api, "get", is_done=False)


def processing(api: Origin, home: Path) -> Condition:
    """The log shows that the provider is at work."""
    api.latency = 3.0
    return lambda: statuses(home).statuses["processing"]


def fetched_in_part(api: Origin, home: Path) -> Condition:
    """The first of two files is published, the second one is on its way."""
    api.answer = lambda bill: {"output": [f"{api.base_url}/files/{bill.id}-{number}.jpg" for number in (1, 2)]}
    hold = hold_at(api, "file", skip=2)
    return lambda: hold.reached.is_set() and list((home / "images").rglob("*.jpg"))


STATES: dict[str, Callable[[Origin, Path], Condition]] = {
    "row written, create not sent": refused_for_now,
    "create sent, not processed": lambda api, _: held(api, "create", is_done=False),
    "create processed, reply not read": lambda api, _: held(api, "create"),
    "reply lost, list being read": lost_and_looked_for,
    "accepted, not looked at yet": accepted,
    "processing": processing,
    "succeeded, image on its way": lambda api, _: held(api, "file"),
    "one image of two fetched": fetched_in_part,
}


@pytest.mark.parametrize("state", STATES)
def test_killed_in_any_state_it_owes_nothing_extra_and_misses_nothing(home: Path, api: Origin, state: str) -> None:
    """SIGKILL there, then --resume: as many bills as requests, each with its row and its images."""
    killed(home, api, STATES[state](api, home))
    books(home, api).check()
    api.heal()
    assert resumed(home, api.base_url) == {Status.SUCCEEDED}
    books(home, api).balance(COUNT)
    assert not list((home / "temp").rglob("*.part"))


def test_killed_while_the_last_row_is_being_written(home: Path, api: Origin) -> None:
    """The images are on disk and the log is not written: they are found again, nothing is half there."""
    hold = hold_at(api, "file", is_done=False)
    with sweeping(home, api.base_url, COUNT, jobs=2, token=CANARY):
        until(hold.reached.is_set)
        lock = sqlite3.connect(home / "log.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        api.heal()
        hold.lift()
        until(lambda: len(list((home / "images").rglob("*.jpg"))) == 2)
    lock.close()
    assert set(statuses(home).statuses) <= {"intent", "starting", "processing"}
    assert resumed(home, api.base_url) == {Status.SUCCEEDED}
    books(home, api).balance(COUNT)


def test_reconcile_after_a_kill_settles_what_was_accepted_and_sends_nothing(home: Path, api: Origin) -> None:
    """Without --resume the accepted get their images, the rest ends as never sent; twice is as good as once."""
    killed(home, api, held(api, "create", skip=2))
    api.heal()
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=SETTLE_S) as ws:
        ws.reconcile()
        assert len(ws.reconcile()) == 0
    now = books(home, api)
    now.check()
    assert len(api.of("create")) == len(api.bills) == now.images
    assert {row.error_code for row in now.rows if not row.images} <= {"not_sent"}


@pytest.mark.parametrize("is_bad", [False, True], ids=["a good day", "a bad day"])
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments(home: Path, seed: int, is_bad: bool) -> None:
    """SIGKILL again and again, on a bad day with creates dropped before and after: every request is billed once."""
    moments = random.Random(seed)  # noqa: S311 - the same moments each time
    wanted = 40
    with Origin(latency=0.2, seed=seed, token=CANARY, list_lag=0.3) as api:
        if is_bad:
            drop_creates(api)
        for _ in range(3):
            before = len(api.bills)
            with sweeping(home, api.base_url, wanted, jobs=8, token=CANARY) as process:
                until(lambda before=before, process=process: len(api.bills) > before or process.poll() == 0)
                time.sleep(moments.random() * 0.6)
            books(home, api).check()
        assert resumed(home, api.base_url, wanted) == {Status.SUCCEEDED}
        books(home, api).balance(wanted)

"""A list that says little, or goes by another clock: nothing is sent twice on the word of what it does not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from acts import fin, rst
from ledger import Books, books
from money import drop_creates
from origin import Bill, Origin
from providers import CANARY, soon

from imagen_nb.records import Status
from imagen_nb.sweeps import recover
from imagen_nb.workspace import Workspace

Shows = Callable[[list[Bill]], list[Bill]]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that shows too little of ours is given up on soon."""
    monkeypatch.setattr(recover, "WITNESS_S", 2.0)


def balance(now: Books) -> None:
    """Whatever was billed is a row's, or there is an open row that it may be of."""
    now.check()
    assert len(now.bills) - len(now.claimed) <= now.statuses["unknown"], now.statuses


LISTS: dict[str, tuple[int, Shows]] = {
    "always empty": (30, lambda _: []),
    "cut at 20": (40, lambda listed: listed[:20]),
    "cut at 100": (110, lambda listed: listed[:100]),
    "oldest first, cut at 20": (30, lambda listed: listed[::-1][:20]),
    "the first one missing": (30, lambda listed: listed[:-1]),
}


@pytest.mark.parametrize("kind", LISTS)
def test_what_a_list_does_not_show_is_not_sent_again_for_that(ws: Workspace, api: Origin, kind: str) -> None:
    """8 % of creates lost before and 8 % after: as many bills as rows at most; what nobody can tell is `unknown`."""
    wanted, api.shows = LISTS[kind]
    drop_creates(api)
    ws.run(ws.plan("fox {n}", n=[str(n) for n in range(wanted)]), jobs=16)
    balance(books(ws.log, api))
    api.heal()
    api.shows = lambda listed: listed
    ws.run(ws.plan("an owl", repeat=2))
    ws.reconcile()
    now = books(ws.log, api)
    balance(now)
    assert now.statuses["unknown"] == 0


def test_a_list_that_is_oldest_first_and_whole_is_as_good_as_any(ws: Workspace, api: Origin) -> None:
    """Its order does not matter: all is billed once and had."""
    api.shows = lambda listed: listed[::-1]
    drop_creates(api)
    ws.run(ws.plan("fox {n}", n=[str(n) for n in range(60)]), jobs=16)
    books(ws.log, api).balance(60)


def test_a_list_later_than_it_may_be_is_found_out(home: Path, api: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows everything 3 s late, where 0.3 s are to be expected: how late it is is seen by what it shows."""
    monkeypatch.setattr(recover, "WITNESS_S", 15.0)
    api.list_lag = 3.0
    drop_creates(api)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.3) as ws:
        ws.run(ws.plan("fox {n}", n=[str(n) for n in range(40)]), jobs=8)
        books(ws.log, api).balance(40)


@pytest.mark.parametrize("date_skew", [15.0, -15.0, 3600.0, -3600.0])
def test_two_clocks_of_a_provider_are_told_apart(ws: Workspace, api: Origin, date_skew: float) -> None:
    """`created_at` and the Date header differ by seconds or an hour: accepted predictions say by how much."""
    api.date_skew = date_skew
    drop_creates(api)
    api.fault("create", after=[rst], skip=1, times=1)
    runs = ws.run(ws.plan("fox {n}", n=[str(n) for n in range(30)]), jobs=16)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(30)


@pytest.mark.parametrize("is_made", [True, False], ids=["made", "not made"])
@pytest.mark.parametrize("date_skew", [0.0, 3600.0], ids=["one clock", "two clocks"])
def test_the_first_create_of_all_waits_for_a_witness(
    ws: Workspace, api: Origin, is_made: bool, date_skew: float
) -> None:
    """One after the other, and the first one is lost: the next accepted ones show what the list is worth."""
    api.date_skew = date_skew
    api.fault("create", **{"after" if is_made else "instead": [rst]}, times=1)
    runs = ws.run(ws.plan("fox {n}", n=["1", "2", "3"]), jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(3)


def test_a_create_alone_in_the_world_stays_unknown_until_there_is_a_witness(ws: Workspace, api: Origin) -> None:
    """Nothing of ours is in the list: it is not sent again, and the row says why; with a later create it is settled."""
    api.fault("create", instead=[fin], times=1)
    plan = ws.plan("a fox")
    (run,) = ws.run(plan, experiment="e")
    assert (run.status, run.error_code) == (Status.UNKNOWN, "uncertain")
    assert "nor enough of ours to say that it is missing" in str(run.error)
    assert ws.reconcile()[0].status is Status.UNKNOWN
    ws.generate("an owl")
    (left,) = ws.reconcile()
    assert (left.id, left.status, left.error_code) == (run.id, Status.FAILED, "not_sent")
    assert ws.run(plan, experiment="e", resume=True)[0].status is Status.SUCCEEDED
    books(ws.log, api).balance(2)


def test_the_list_is_asked_for_an_hour_at_least(ws: Workspace, api: Origin) -> None:
    """What may be ours is never filtered away."""
    api.fault("create", after=[rst], times=1)
    ws.generate("a fox")
    queries = [seen.query for seen in api.of("list")]
    at = api.bills[0].created_at - recover.LOOK_BACK
    assert queries
    assert all(query.split("created_after=")[1] <= at.strftime("%Y-%m-%dT%H%%3A%M%%3A%S") for query in queries)


def test_an_equal_one_of_the_last_hour_keeps_a_lost_one_from_being_missing(ws: Workspace, api: Origin) -> None:
    """Nobody knows by whose clock it is older: the row stays unknown, and nothing is sent again."""
    owl = ws.generate("an owl")
    ws.connections.api.create(replace(owl.request, input={"prompt": "a fox"}), deadline=soon())  # somebody else's
    api.bills[-1].created_at -= timedelta(minutes=55)
    api.fault("create", instead=[fin], times=1)
    runs = ws.run(ws.plan(["a fox", "a cat"]), jobs=1)
    assert [run.status for run in runs] == [Status.UNKNOWN, Status.SUCCEEDED]
    assert "shows one that may be it" in str(runs[0].error)
    assert len(api.bills) == 3

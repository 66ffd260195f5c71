"""A create whose reply is lost is looked for, adopted or sent again: whatever happens, it is billed once."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import origin
import pytest
from acts import Act, Script, cut, fin, hang, page, pause, reply, rst, says, send, unsized
from ledger import books, until
from origin import Origin, Seen
from providers import CANARY

from imagen_nb.log.log import RESUBMISSIONS
from imagen_nb.records import Status
from imagen_nb.sweeps import recover
from imagen_nb.workspace import Workspace

RIGHT = b'{"id": "x", "status": "starting"}'


def lose(api: Origin, script: Script, times: int | None = 1) -> None:
    """Creates for a fox meet the script before anything is made; others are made."""

    def act(seen: Seen) -> Script:
        return script if seen.json()["input"]["prompt"] == "a fox" else [api.respond(seen)]

    api.fault("create", instead=act, skip=1, times=times)


# -- the reply is lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [[fin], [rst], [send(b"HTTP/1.1 2"), fin]], ids=["fin", "rst", "half a line"])
def test_a_create_dropped_before_it_was_processed_is_sent_again_once(
    ws: Workspace, api: Origin, script: list[Act]
) -> None:
    """Nothing was made, the settled list shows others and says so, and one more create makes the one bill."""
    lose(api, script)
    runs = ws.run(ws.plan(["an owl", "a fox"]), jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert len(api.of("create")) == 3
    books(ws.log, api).balance(2)


LOST: dict[str, Script] = {
    "reset": [rst],
    "closed": [fin],
    "500": [page(500, "Internal Server Error")],
    "502": [page(502)],
    "504 without a body": [reply(b"", 504)],
    "truncated": cut(RIGHT, 9),
    "truncated without a length": unsized(RIGHT[:9], 201),
    "HTML": [page(201)],
    "empty": [reply(b"", 201)],
    "no object": [says([], 201)],
    "no id": [says({"id": None, "status": "starting"}, 201)],
    "an id that is a path": [says({"id": "../../account", "status": "starting"}, 201)],
}


@pytest.mark.parametrize("script", LOST.values(), ids=LOST)
def test_a_create_whose_reply_cannot_be_used_is_found_and_adopted(ws: Workspace, api: Origin, script: Script) -> None:
    """The prediction was made: it is found by listing, and nothing is sent twice."""
    api.fault("create", after=script, times=1)
    run = ws.generate("a fox")
    assert run.status is Status.SUCCEEDED
    assert len(api.of("create")) == 1
    books(ws.log, api).balance(1)


@pytest.mark.parametrize("script", [LOST["500"], LOST["502"], LOST["504 without a body"]], ids=["500", "502", "504"])
def test_a_server_error_before_anything_was_made_is_one_bill_too(ws: Workspace, api: Origin, script: Script) -> None:
    """A 5xx does not say whether the prediction exists, so that the list decides."""
    lose(api, script)
    runs = ws.run(ws.plan(["an owl", "a fox"]), jobs=1)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert len(api.of("create")) == 3
    books(ws.log, api).balance(2)


@pytest.mark.parametrize("script", [[hang], [pause(0.4), rst], [pause(0.4), fin]], ids=["timeout", "reset", "closed"])
def test_a_held_create_that_is_lost_is_found_while_it_runs(ws: Workspace, api: Origin, script: list[Act]) -> None:
    """A read that times out, or a drop while the provider holds the create open, costs nothing extra."""
    api.latency = 0.5
    api.fault("create", after=script, times=1)
    run = ws.generate("a fox", timeout=2)
    assert api.of("create")[0].headers["prefer"] == "wait=2"
    assert run.status is Status.SUCCEEDED
    books(ws.log, api).balance(1)


def test_every_repeat_waits_for_a_list_of_its_own_and_there_are_only_so_many(ws: Workspace, api: Origin) -> None:
    """A request that never gets through ends as failed and unbilled; asking for it anew starts over."""
    lose(api, [fin], times=None)
    plan = ws.plan(["an owl", "a fox"])
    (_, run) = ws.run(plan, experiment="e", jobs=1)
    creates, lists = api.of("create")[1:], api.of("list")
    assert (run.status, run.error_code) == (Status.FAILED, "not_sent")
    assert (len(creates), len(api.bills)) == (1 + RESUBMISSIONS, 1)
    for before, after in pairwise(creates):
        assert any(each.at - before.at >= 0.6 and each.at < after.at for each in lists)
    api.heal()
    assert ws.run(plan, experiment="e", resume=True)[1].id == run.id
    books(ws.log, api).balance(2)


# -- the list ----------------------------------------------------------------------------------------------------------


def test_a_list_that_lags_is_given_time(home: Path, api: Origin) -> None:
    """What the list shows only after a while is not sent again meanwhile."""
    api.list_lag = 2.0
    api.fault("create", after=[rst], times=1)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=3.0) as ws:
        assert ws.generate("a fox").status is Status.SUCCEEDED
        assert len(api.of("create")) == 1
        books(ws.log, api).balance(1)


@pytest.mark.parametrize("is_made", [True, False], ids=["made", "not made"])
def test_without_a_list_a_lost_create_stays_unknown_and_is_never_repeated(
    ws: Workspace, api: Origin, is_made: bool
) -> None:
    """Neither the sweep nor reconcile() nor --resume sends it blindly; the row says why it is open."""
    api.lists = False
    api.fault("create", **{"after" if is_made else "instead": [rst]}, times=1)
    plan = ws.plan("a fox")
    for verb in (
        lambda: ws.run(plan, experiment="e"),
        ws.reconcile,
        lambda: ws.run(plan, experiment="e", resume=True),
        ws.reconcile,
    ):
        (run,) = verb()
        assert run.status is Status.UNKNOWN
        assert "does not list" in str(run.error)
    assert len(api.of("create")) == 1
    assert len(ws.frame()) == 1


def test_a_part_of_a_list_is_never_taken_for_the_whole(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the list has more pages than are read, the create counts as not looked for, and not as missing."""
    monkeypatch.setattr(origin, "PAGE", 5)
    monkeypatch.setattr(recover, "PAGES", 2)
    monkeypatch.setattr(recover, "PATIENCE_S", 0.5)
    api.list_lag = 0.0
    api.fault("create", after=[rst], times=1)
    late = threading.Event()
    api.fault("list", instead=lambda seen: _held_until(late, api, seen), times=1)
    lost = ws.submit(ws.plan("a fox"))
    until(lambda: api.of("list"))  # so that the owls are the newer ones
    ws.run(ws.plan("an owl", repeat=20))
    late.set()
    (run,) = lost.wait()
    assert (run.status, len(api.of("create"))) == (Status.UNKNOWN, 21)
    monkeypatch.undo()
    (run,) = ws.reconcile()
    assert run.status is Status.SUCCEEDED
    books(ws.log, api).balance(21)


def _held_until(event: threading.Event, api: Origin, seen: Seen) -> Script:
    event.wait(20.0)
    return [api.respond(seen)]


def test_what_a_part_of_a_list_shows_is_adopted(ws: Workspace, api: Origin) -> None:
    """A list whose next page cannot be followed still shows what it shows."""
    api.list_lag = 0.0
    api.fault("create", after=[rst], times=1)
    api.fault("list", instead=lambda _: [_listed(api, following="nonsense:")])
    assert ws.generate("a fox").status is Status.SUCCEEDED
    books(ws.log, api).balance(1)


def _listed(api: Origin, following: str) -> Act:
    return says({"next": following, "results": [api.prediction(bill) for bill in api.bills]})


def test_a_list_that_fails_for_a_while_is_asked_again(ws: Workspace, api: Origin) -> None:
    """Errors of the list are outwaited; meanwhile nothing is sent again."""
    api.fault("create", after=[rst], times=1)
    api.fault("list", instead=[page(503)], times=6)
    assert ws.generate("a fox").status is Status.SUCCEEDED
    assert len(api.of("create")) == 1
    books(ws.log, api).balance(1)


def test_fifty_identical_requests_claim_each_prediction_once(ws: Workspace, api: Origin) -> None:
    """With one create in ten dropped, before or after, identical requests are 50 bills and 50 images."""
    api.fault("create", instead=[fin], chance=0.05)
    api.fault("create", after=[rst], chance=0.05)
    runs = ws.run(ws.plan("a fox", repeat=50), timeout=60)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert len(api.of("create")) > 50
    books(ws.log, api).balance(50)


# -- others ------------------------------------------------------------------------------------------------------------


def test_a_lost_create_belongs_to_whoever_looks_for_it(home: Path, api: Origin) -> None:
    """While a sweep looks for its lost create, reconcile() elsewhere leaves the row alone."""
    api.list_lag = 60.0
    api.fault("create", after=[rst], times=1)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=30.0) as ws:
        runs = ws.submit(ws.plan("a fox"))
        until(lambda: api.of("list"))
        with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.2) as other:
            assert list(other.frame().status) == ["unknown"]
            assert len(other.reconcile()) == 0
        api.list_lag = 0.0
        assert runs.wait()[0].status is Status.SUCCEEDED
        books(ws.log, api).balance(1)


def test_reconcile_is_safe_twice_and_beside_a_sweep(home: Path, ws: Workspace, api: Origin) -> None:
    """Several reconcile() at once settle each leftover once, while a sweep goes on undisturbed."""
    api.lists = False
    api.fault("create", after=[rst], times=5)
    ws.run(ws.plan("fox {n}", n=["1", "2", "3", "4", "5"]))
    api.lists, api.latency = True, 0.2
    sweep = ws.submit(ws.plan("owl", repeat=20))
    settled: list[str] = []

    def settle() -> None:
        with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as other:
            settled.extend(run.id for run in other.reconcile())

    threads = [threading.Thread(target=settle) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sweep.wait()
    assert len(settled) == len(set(settled)) == 5
    assert len(ws.reconcile()) == 0
    books(ws.log, api).balance(25)

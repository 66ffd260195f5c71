"""A provider that asks to wait, or fails for a while: everybody waits, hardly a request is wasted, nothing is lost."""

from __future__ import annotations

import time
from email.utils import format_datetime

import pytest
from acts import Script, page, rst, says
from ledger import books, until
from origin import Origin, Seen
from providers import CANARY

from imagen_nb.errors import ThrottledError
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace


def refused(api: Origin) -> int:
    """How many creates made nothing."""
    return len(api.of("create")) - len(api.bills)


@pytest.mark.parametrize("form", ["header", "date", "body", "text"])
def test_all_workers_wait_for_a_429_in_any_form(ws: Workspace, api: Origin, form: str) -> None:
    """Eight workers against four a second: all is billed once, and less than one request a worker is refused."""
    api.limit("create", rate=4.0, burst=4.0, form=form)
    runs = ws.run(ws.plan("a fox", repeat=10), jobs=8)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert refused(api) <= 8
    books(ws.log, api).balance(10)


@pytest.mark.parametrize("value", ["-1", "nan", "1e35", "soon", "Wed, 01 Jan 1200 00:00:00 GMT", ""])
def test_a_wait_that_nobody_can_mean_is_replaced(ws: Workspace, api: Origin, value: str) -> None:
    """The create is tried again after a second or so, and passes."""
    api.fault("create", instead=[says({"detail": "slow down", "status": 429}, 429, Retry_After=value)], times=1)
    began = time.monotonic()
    assert ws.generate("a fox").status is Status.SUCCEEDED
    assert time.monotonic() - began < 6.0
    books(ws.log, api).balance(1)


@pytest.mark.parametrize("count", [1, 40])
def test_a_wait_of_a_day_stops_the_sweep_with_a_message(ws: Workspace, api: Origin, count: int) -> None:
    """One request learns it, the sweep ends at once and says so, and --resume goes on when the day is over."""
    api.fault("create", instead=[says({"detail": "Come back tomorrow."}, 429, Retry_After="86400")])
    plan = ws.plan("a fox", repeat=count)
    began = time.monotonic()
    with pytest.raises(ThrottledError) as caught:
        ws.run(plan, experiment="e", jobs=4)
    assert time.monotonic() - began < 5.0
    assert "--resume" in caught.value.hint
    assert (len(api.bills), len(ws.frame()) <= 4) == (0, True)
    api.heal()
    with Workspace(ws.home, provider=api.base_url, token=CANARY) as later:
        later.run(plan, experiment="e", resume=True)
        books(later.log, api).balance(count)


def test_a_storm_of_429_ends_near_the_limits_own_floor(ws: Workspace, api: Origin) -> None:
    """Sixteen workers against 20 a second: little more than the limit itself costs, and few requests in vain."""
    api.limit("create", rate=20.0, burst=20.0)
    api.fault("create", instead=lambda _: [says({"detail": "busy"}, 429)], times=1)
    began = time.monotonic()
    ws.run(ws.plan("a fox", repeat=100))
    took = time.monotonic() - began
    assert took <= 1.5 * (100 - 20) / 20 + 3.0
    assert refused(api) <= 40
    books(ws.log, api).balance(100)


def test_a_rate_that_falls_in_mid_sweep_is_followed(ws: Workspace, api: Origin) -> None:
    """From no limit at all to one create a second: the sweep slows down, and nothing fails."""
    runs = ws.submit(ws.plan("a fox", repeat=20), jobs=6)
    until(lambda: len(api.bills) >= 14)
    api.limit("create", rate=1.0, burst=1.0)
    runs.wait()
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(20)


def test_many_workers_wait_for_few_turns_without_failing(ws: Workspace, api: Origin) -> None:
    """Where the last of the workers has its turn long after one prediction's timeout, nothing fails for it."""
    api.limit("create", rate=2.0, burst=1.0)
    runs = ws.run(ws.plan("a fox", repeat=12), jobs=12, timeout=4.0)
    assert {(run.status, run.error) for run in runs} == {(Status.SUCCEEDED, None)}
    books(ws.log, api).balance(12)


@pytest.mark.parametrize("count", [1, 6])
def test_a_provider_that_lets_nobody_pass_is_given_up(ws: Workspace, api: Origin, count: int) -> None:
    """Refused again and again for as long as one prediction may take, the sweep ends and says why, with no bill."""
    api.fault("create", instead=lambda _: [says({"detail": "busy"}, 429, Retry_After="0.4")])
    began = time.monotonic()
    with pytest.raises(ThrottledError):
        ws.run(ws.plan("a fox", repeat=count), jobs=3, timeout=2.0)
    assert time.monotonic() - began < 15.0
    assert not api.bills
    assert set(ws.frame().error_code) == {"throttled"}
    assert len(ws.frame()) <= 3


def test_a_busy_model_costs_little_time(ws: Workspace, api: Origin) -> None:
    """With 15 % of all creates refused at any pace, 80 pictures take less than half as long again, and 3 s."""
    api.latency = 0.4
    api.fault("create", instead=[says({"detail": "The model is busy."}, 429, Retry_After="1")], chance=0.15)
    began = time.monotonic()
    runs = ws.run(ws.plan("a fox", repeat=80), jobs=16)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert refused(api) >= 5
    # Each refused create holds its worker up for a second.
    assert time.monotonic() - began < 1.5 * (80 * 0.7 + refused(api)) / 16 + 3.0
    books(ws.log, api).balance(80)


def test_one_look_put_off_for_a_day_costs_nothing(ws: Workspace, api: Origin) -> None:
    """The others look on, and so does the one that was told to look again tomorrow."""
    api.latency = 0.3
    api.fault("get", instead=[says({"detail": "slow"}, 429, Retry_After="86400")], times=1)
    began = time.monotonic()
    runs = ws.run(ws.plan("a fox", repeat=20), jobs=4)
    assert time.monotonic() - began < 20.0
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(20)


def test_nothing_more_is_created_while_nothing_can_be_looked_at(ws: Workspace, api: Origin) -> None:
    """Where all looks are put off for a day the sweep stops, names it, and what was made is fetched later."""
    api.latency = 0.3
    for kind in ("get", "cancel"):
        api.fault(kind, instead=[says({"detail": "Come back tomorrow."}, 429, Retry_After="86400")])
    with pytest.raises(ThrottledError, match=r"nothing more is created.*Come back tomorrow") as caught:
        ws.run(ws.plan("a fox", repeat=20), jobs=4, timeout=2.0, hold=0)
    assert "reconcile" in caught.value.hint
    assert len(api.bills) == len(ws.frame()) == 4
    assert {*ws.frame().status, *ws.frame().error_code} == {"unknown", "throttled"}
    with pytest.raises(ThrottledError):
        ws.run(ws.plan("an owl", repeat=20), jobs=4, timeout=2.0, hold=0)
    assert len(api.bills) <= 8
    api.heal()
    ws.reconcile()
    now = books(ws.log, api)
    now.check()
    assert now.images == now.statuses["succeeded"] == len(api.bills)


def test_a_firewall_in_mid_sweep_is_waited_for(ws: Workspace, api: Origin) -> None:
    """One 403 page after others had succeeded is nobody's word about the token: all is made, and billed once."""
    api.fault("create", instead=[page(403, "Attention required")], skip=6, times=2)
    api.fault("create", instead=[says({"detail": "This model is at capacity."}, 409)], skip=9, times=1)
    runs = ws.run(ws.plan("a fox", repeat=20), jobs=4)
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(20)


def test_an_outage_is_outwaited_without_a_storm(ws: Workspace, api: Origin) -> None:
    """While everything answers 503, requests stay few; afterwards every row reaches its end, billed once."""
    api.latency = 1.0
    runs = ws.submit(ws.plan("a fox", repeat=16))
    until(lambda: len(api.bills) == 16)
    before = len(api.seen)
    api.fault("any", instead=[page(503)])
    assert not runs.is_done_within(4.0)
    assert len(api.seen) - before < 16 * 4 * 4
    api.heal()
    runs.wait()
    books(ws.log, api).balance(16)


def test_creates_that_fail_for_a_while_are_each_looked_for(ws: Workspace, api: Origin) -> None:
    """Each create that met a 502 is settled by the list: made or not, it is one bill."""
    api.fault("create", instead=[page(502)], times=6)
    api.fault("create", after=[page(502)], times=6)
    runs = ws.run(ws.plan("fox {n}", n=[str(n) for n in range(16)]))
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    books(ws.log, api).balance(16)


def test_an_interrupt_ends_every_wait(ws: Workspace, api: Origin) -> None:
    """Whoever waits for a turn, for a list or for a prediction stops soon after cancel()."""
    api.latency = 60.0
    api.fault("create", after=[rst], times=1)
    api.list_lag = 60.0
    runs = ws.submit(ws.plan("a fox", repeat=6), jobs=6)
    until(lambda: len(api.bills) == 6 and api.of("list"))
    api.fault("create", instead=lambda seen: _not_now(api, seen))
    more = ws.submit(ws.plan("an owl", repeat=4), jobs=4)
    until(lambda: len(api.of("create")) > 6)
    began = time.monotonic()
    runs.cancel()
    more.cancel()
    assert runs.is_done_within(5.0)
    assert more.is_done_within(5.0)
    assert time.monotonic() - began < 5.0
    now = books(ws.log, api)
    now.check()
    assert now.statuses["unknown"] <= 1


def _not_now(api: Origin, _: Seen) -> Script:
    at = format_datetime(api.bills[0].created_at, usegmt=True)
    return [says({"detail": "resets in ~120s", "status": 429}, 429, Date=at)]

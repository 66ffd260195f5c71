"""One limit for the whole of a run: its timeout, from its POST to its file, whatever the provider does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from acts import drip, fin, hang, rst, says
from ledger import books
from origin import Origin
from providers import CANARY

from imagen_nb.errors import ImagenError
from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

TIMEOUT_S = 2.0
SLOWLY = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b" " * 90000, every=0.05)


def stall_list(api: Origin) -> None:
    api.fault("create", after=[rst])
    api.fault("list", instead=[SLOWLY])


def get_stuck(api: Origin) -> None:
    api.latency = 600.0
    api.fault("cancel", instead=[says({"detail": "no such call", "status": 404}, 404)])


def hang_looks(api: Origin) -> None:
    api.latency = 1.0
    api.fault("get", instead=[hang])


def hang_cancels(api: Origin) -> None:
    api.latency = 600.0
    api.fault("cancel", instead=[hang])


CASES: dict[str, tuple[int | None, Callable[[Origin], None]]] = {
    "a POST that is taken and not answered": (None, lambda api: api.fault("create", after=[hang])),
    "the same, and not held": (0, lambda api: api.fault("create", after=[hang])),
    "a POST that is not taken": (None, lambda api: api.fault("create", instead=[hang])),
    "connections that are always closed": (None, lambda api: api.fault("any", instead=[fin])),
    "a create that drips": (None, lambda api: api.fault("create", after=[SLOWLY])),
    "a list that drips": (None, stall_list),
    "a look that hangs": (0, hang_looks),
    "a file that drips": (None, lambda api: api.fault("file", instead=[SLOWLY])),
    "one that is stuck, and no cancel": (0, get_stuck),
    "one that is stuck, and a cancel that hangs": (None, hang_cancels),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_over_soon_after_its_timeout(home: Path, api: Origin, case: str) -> None:
    """At most 5 s later the cell goes on; one POST may be billed, and none after it; nothing paid for is lost."""
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
        hold, prepare = CASES[case]
        prepare(api)
        began = time.monotonic()
        (run,) = ws.run(ws.plan("a fox"), timeout=TIMEOUT_S, hold=hold)
        assert time.monotonic() - began < TIMEOUT_S + 5.0
        assert len(api.bills) <= 1
        assert all(each.at - began <= TIMEOUT_S + 0.5 for each in api.of("create"))
        assert run.status in (Status.UNKNOWN, Status.CANCELED, Status.SUCCEEDED), run
        api.heal()
        api.latency = 0.0
        for bill in api.bills:
            bill.latency = 0.0
        ws.run(ws.plan("an owl"))
        ws.reconcile()
        now = books(ws.log, api)
        now.check()
        assert set(now.bills) == set(now.claimed)


def test_nothing_is_sent_again_when_the_time_is_over(home: Path, api: Origin) -> None:
    """The list says too late that the create is missing: it ends unsent, and asking for it anew sends it."""
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=2.0) as ws:
        plan = ws.plan(["an owl", "a fox", "a cat"])
        api.fault("create", instead=[fin], skip=1, times=1)
        runs = ws.run(plan, experiment="e", jobs=1, timeout=1.0, hold=0)
        assert len(api.of("create")) == 3
        assert runs[1].status in (Status.FAILED, Status.UNKNOWN)
        ws.run(plan, experiment="e", resume=True)
        books(ws.log, api).balance(3)


def test_silence_is_not_waited_for_as_long_as_a_run_may_take(
    ws: Workspace, api: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A create that is not answered is looked for long before the timeout."""
    monkeypatch.setattr("imagen_nb.api.client.PATIENCE_S", 1.0)
    monkeypatch.setattr("imagen_nb.api.client.HELD_LONGER_S", 1.0)
    api.fault("create", after=[hang], times=2)
    began = time.monotonic()
    for hold in (1, 0):
        assert ws.run(ws.plan("a fox"), hold=hold)[0].status is Status.SUCCEEDED
    assert time.monotonic() - began < 20.0
    books(ws.log, api).balance(2)


def test_a_connection_that_is_not_taken_does_not_outlast_the_timeout(home: Path) -> None:
    """Tries to connect share one timeout."""
    with Workspace(home, provider="http://127.0.0.1:1", token=CANARY) as ws:
        began = time.monotonic()
        with pytest.raises(ImagenError):
            ws.generate("a fox", timeout=1.0)
        assert time.monotonic() - began < 6.0

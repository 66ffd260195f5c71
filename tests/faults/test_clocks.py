"""Clocks that are wrong, or set in the middle, neither lose a prediction nor pay for it twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from acts import Script, rst
from ledger import books
from origin import Origin, Seen
from providers import CANARY

from imagen_nb.records import Status
from imagen_nb.workspace import Workspace

HOUR = timedelta(hours=1)
Jump = Callable[[timedelta], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Sets this machine's clock, as far as the package reads it."""
    shift = timedelta()

    class Set(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain datetime comes out
            return datetime.now(tz) + shift

    for module in ("sweeps.one_request", "sweeps.recover", "api.client", "api.http", "log.log"):
        monkeypatch.setattr(f"imagen_nb.{module}.datetime", Set)

    def set_by(amount: timedelta) -> None:
        nonlocal shift
        shift += amount

    return set_by


@pytest.mark.parametrize("skew", [-3600.0, -40.0, 40.0, 3600.0])
def test_a_provider_whose_clock_differs_is_understood(ws: Workspace, api: Origin, skew: float) -> None:
    """A lost create is found by the provider's own time, be it the first call of all or a later one."""
    api.skew = skew
    api.fault("create", after=[rst], times=1)
    api.fault("create", after=[rst], skip=1, times=1)
    for _ in range(3):
        assert ws.generate("a fox").status is Status.SUCCEEDED
    assert len(api.of("create")) == 3
    books(ws.log, api).balance(3)


@pytest.mark.parametrize("amount", [-HOUR, HOUR], ids=["back", "forth"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before the create", "after it"])
def test_a_clock_that_jumps_an_hour_does_not_hide_a_lost_create(
    ws: Workspace, api: Origin, jump: Jump, amount: timedelta, is_before: bool
) -> None:
    """Whenever the clock is set, the create is found, not sent again, and no wait takes longer for it."""

    def lose(seen: Seen) -> Script:  # noqa: ARG001 - a script's signature
        if not is_before:
            jump(amount)
        return [rst]

    assert ws.generate("an owl").status is Status.SUCCEEDED
    if is_before:
        jump(amount)
    api.fault("create", after=lose, times=1)
    began = time.monotonic()
    assert ws.generate("a fox").status is Status.SUCCEEDED
    assert time.monotonic() - began < 10.0
    assert len(api.of("create")) == 2
    books(ws.log, api).balance(2)


@pytest.mark.parametrize("amount", [-HOUR, HOUR], ids=["back", "forth"])
def test_a_clock_that_jumps_between_two_processes_does_not_hide_a_leftover(
    home: Path, api: Origin, jump: Jump, amount: timedelta
) -> None:
    """What a dead process left is looked for by its row's time, whichever way the clock was set since."""
    api.lists = False
    api.fault("create", after=[rst], times=1)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
        assert ws.run(ws.plan("a fox"))[0].status is Status.UNKNOWN
    api.lists = True
    jump(amount)
    with Workspace(home, provider=api.base_url, token=CANARY, settle_s=0.6) as ws:
        assert ws.reconcile()[0].status is Status.SUCCEEDED
        books(ws.log, api).balance(1)

"""From accepted to terminal, whatever happens to the looks in between."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from acts import hang, page, reply, rst, says
from origin import Origin
from providers import CANARY, api_of, fox, soon

from imagen_nb.api import polling as waiting
from imagen_nb.api.polling import wait
from imagen_nb.errors import AuthenticationError, NotFoundError
from imagen_nb.records import Prediction, Status


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(token=CANARY, latency=0.4) as started:
        yield started


def test_a_prediction_is_waited_for(origin: Origin) -> None:
    """From starting to succeeded, with each change of status told once."""
    client = api_of(origin)
    told: list[str] = []
    created = client.create(fox(), deadline=soon())
    done = wait(client, created, deadline=soon(), watch=lambda seen: told.append(seen.seen_status))
    assert done.status is Status.SUCCEEDED
    assert done.output
    assert told == ["processing", "succeeded"]


def test_a_terminal_prediction_costs_no_look(origin: Origin) -> None:
    """What has ended is not asked about."""
    ended = Prediction("abc", Status.FAILED)
    assert wait(api_of(origin), ended, deadline=soon()) is ended
    assert origin.seen == []


@pytest.mark.parametrize(
    "script",
    [[reply(b"", 404)], [reply(b"", 500)], [rst], [page(200)], [reply(b"", 429)], [says({"detail": "?"})]],
    ids=["404", "500", "reset", "html", "429", "no id"],
)
def test_a_failed_look_loses_nothing(origin: Origin, script: Any) -> None:
    """404 once, 5xx, resets, pages, throttling: the wait goes on, and the end is seen."""
    client = api_of(origin, rng=lambda: 0.0)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=script, times=1)
    assert wait(client, created, deadline=soon()).status is Status.SUCCEEDED


def test_minutes_of_failures_are_outwaited(origin: Origin) -> None:
    """A provider that fails for longer than all tries of a call: the wait still sees the end, with few requests."""
    client = api_of(origin, doze=lambda seconds, stop: None)  # noqa: ARG005 - as doze()
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[reply(b"", 503)], times=12)
    assert wait(client, created, deadline=soon()).status is Status.SUCCEEDED


def test_a_prediction_that_stays_missing_is_gone(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several looks over some seconds that all say 404: then it is not there."""
    monkeypatch.setattr(waiting, "MISSING_S", 0.5)
    with pytest.raises(NotFoundError):
        wait(api_of(origin), Prediction("never", Status.STARTING), deadline=soon())
    assert 4 <= len(origin.seen) <= 6


def test_a_refused_token_ends_the_wait(origin: Origin) -> None:
    """401 is not outwaited."""
    created = api_of(origin).create(fox(), deadline=soon())
    with pytest.raises(AuthenticationError):
        wait(api_of(origin, token="wrong"), created, deadline=soon())


def test_what_never_ends_comes_back_by_the_deadline(origin: Origin) -> None:
    """Stuck processing, or a status nobody knows: the last state at the deadline."""
    origin.latency = 60.0
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[says({"id": created.id, "status": "meditating"})])
    began = time.monotonic()
    told: list[str] = []
    last = wait(client, created, deadline=soon(0.8), watch=lambda seen: told.append(seen.seen_status))
    assert 0.7 < time.monotonic() - began < 10.0
    assert (last.status, last.seen_status) == (Status.PROCESSING, "meditating")
    assert told == ["meditating"]


def test_a_look_that_hangs_ends_by_the_deadline(origin: Origin) -> None:
    """A silent server does not stretch the wait."""
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[hang])
    began = time.monotonic()
    assert not wait(client, created, deadline=soon(0.8)).status.is_terminal
    assert time.monotonic() - began < 10.0


@pytest.mark.parametrize("is_hanging", [False, True])
def test_a_stop_ends_the_wait_at_once(origin: Origin, is_hanging: bool) -> None:
    """Between looks and in the middle of one."""
    origin.latency = 60.0
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    if is_hanging:
        origin.fault("get", instead=[hang])
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    assert not wait(client, created, deadline=soon(60), stop=stop).status.is_terminal
    assert time.monotonic() - began < 10.0


def test_a_known_duration_saves_looks(origin: Origin) -> None:
    """With a history of such predictions one or two looks are enough."""
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    asked: list[int] = []

    def history() -> list[float]:
        asked.append(1)
        return [0.4] * 100

    wait(client, created, deadline=soon(), history=history)
    assert asked
    assert len(origin.of("get")) <= 4


def test_a_resumed_prediction_is_as_old_as_it_is(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began minutes ago is overdue, and looked at accordingly, not as if it had just begun."""
    seen: list[float] = []

    def gap(elapsed: float, *_: Any) -> float:
        seen.append(elapsed)
        return 0.01

    monkeypatch.setattr(waiting, "poll_gap", gap)
    client = api_of(origin)
    created = client.create(fox(), deadline=soon())
    old = Prediction(created.id, Status.PROCESSING, created_at=datetime.now(timezone.utc) - timedelta(seconds=300))
    wait(client, old, deadline=soon())
    assert seen[0] == pytest.approx(300.0, abs=2.0)


def test_two_hundred_predictions_are_seen_soon_with_few_looks() -> None:
    """0.5 s each, 32 at a time, without history at first: seen within 0.13 s on average, with at most 4.6 looks."""
    with Origin(token=CANARY, latency=0.5) as origin:
        client = api_of(origin)
        history: list[float] = []

        def one(number: int) -> float:
            created = client.create(fox(str(number)), deadline=soon(60))
            done = wait(client, created, deadline=soon(60), history=lambda: history[-200:], typical=10.0)
            bill = origin.bill(created.id)
            assert bill is not None
            history.append(done.total_s or 0.0)
            return time.monotonic() - bill.done_at

        with ThreadPoolExecutor(32) as pool:
            lags = list(pool.map(one, range(200)))
        assert statistics.mean(lags) <= 0.13
        assert len(origin.of("get")) / 200 <= 4.6

"""From accepted to terminal, whatever happens to the looks in between, and when the next one is due."""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from acts import hang, page, reply, rst, says
from hypothesis import given
from hypothesis import strategies as st
from origin import Origin
from providers import CANARY, api_of, fox, soon

from imagen_nb.api import polling
from imagen_nb.api.polling import poll_gap, wait
from imagen_nb.errors import AuthenticationError, NotFoundError, ThrottledError
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
    client = api_of(origin, sleep=lambda seconds, stop: None)  # noqa: ARG005 - as sleep()
    created = client.create(fox(), deadline=soon())
    origin.fault("get", instead=[reply(b"", 503)], times=12)
    assert wait(client, created, deadline=soon()).status is Status.SUCCEEDED


def test_a_prediction_that_stays_missing_is_gone(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several looks over some seconds that all say 404: then it is not there."""
    monkeypatch.setattr(polling, "MISSING_S", 0.5)
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


def test_a_wait_whose_looks_are_all_refused_says_so(origin: Origin) -> None:
    """Told to look again tomorrow until the time is up: the provider's words are the error, and it was asked again."""
    created = api_of(origin).create(fox(), deadline=soon())
    origin.fault("get", instead=[says({"detail": "Come back tomorrow."}, 429, Retry_After="86400")])
    with pytest.raises(ThrottledError, match="Come back tomorrow"):
        wait(api_of(origin), created, deadline=soon(2.5))
    assert 2 <= len(origin.of("get")) <= 6


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

    monkeypatch.setattr(polling, "poll_gap", gap)
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


# -- when to look again ------------------------------------------------------------------------------------------------


def _polled(
    draw: Callable[[random.Random], float],
    gap: Callable[[float, Sequence[float], float | None], float] = poll_gap,
    *,
    typical: float | None = None,
    wanted: int = 200,
    slots: int = 32,
    known: int = 0,
) -> tuple[float, float]:
    """Mean lag in seconds and mean number of polls of a sweep whose durations `draw` gives, `known` of them before."""
    rng = random.Random(1)  # noqa: S311 - reproducible
    history = [draw(rng) for _ in range(known)]
    lags, polls = [], []
    events: list[tuple[float, int, float, float, int]] = []
    order = itertools.count()

    def begin(now: float) -> None:
        if next(begun) < wanted:
            heapq.heappush(events, (now + gap(0.0, history[-200:], typical), next(order), now, draw(rng), 1))

    begun = itertools.count()
    for slot in range(slots):
        begin(0.01 * slot)
    while events:
        now, _, start, duration, count = heapq.heappop(events)
        if now - start >= duration:
            history.append(duration)
            lags.append(now - start - duration)
            polls.append(count)
            begin(now + 0.01)
        else:
            again = now + gap(now - start, history[-200:], typical)
            heapq.heappush(events, (again, next(order), start, duration, count + 1))
    return statistics.mean(lags), statistics.mean(polls)


def _every_half_second(elapsed: float, history: Sequence[float], typical: float | None) -> float:  # noqa: ARG001 - the same shape
    return 0.5


@pytest.mark.parametrize("typical", [None, 10.0])
def test_steady_predictions_are_seen_at_once(typical: float | None) -> None:
    """From 1.5 to 4 s each, the first 32 without any history: 0.06 s late on average, with fewer than 4.6 looks each.

    Over many durations, because looks come at fixed times while there is no history: at any single duration, 2 s
    among them, a look may happen to fall right after the end and flatter the figure.
    """
    figures = [
        _polled(lambda rng, s=tenths / 10: s + rng.uniform(0, 0.02), typical=typical) for tenths in range(15, 41)
    ]
    lags, polls = zip(*figures, strict=True)
    assert statistics.mean(lags) <= 0.06
    assert max(lags) <= 0.13
    assert max(polls) <= 4.6


@pytest.mark.parametrize(
    ("draw", "typical"),
    [
        (lambda rng: rng.uniform(8, 15), 10.0),
        (lambda rng: rng.uniform(8, 15), None),
        (lambda rng: rng.lognormvariate(2.3, 0.3), 10.0),
        (lambda rng: rng.choice([2.0, 12.0]) + rng.uniform(0, 1), None),
    ],
    ids=["8-15 s", "8-15 s, unknown", "lognormal", "two humps"],
)
def test_spread_predictions_are_seen_sooner_with_fewer_looks(
    draw: Callable[[random.Random], float], typical: float | None
) -> None:
    """Where durations vary, both the lag and the number of looks are below those of a fixed half second."""
    lag, polls = _polled(draw, typical=typical)
    fixed_lag, fixed_polls = _polled(draw, _every_half_second)
    assert lag < fixed_lag
    assert polls < fixed_polls


@pytest.mark.parametrize("known", [5, 20, 200])
def test_what_the_log_knows_saves_looks(known: int) -> None:
    """Of about 2 s each, after a few in earlier sessions: at most 5.2 looks, and looks times lag near what can be had.

    Their product is at least 0.49 s for that spread, with looks as dense as the square root of the hazard.
    """
    lag, polls = _polled(lambda rng: rng.lognormvariate(0.693, 0.25), known=known)
    assert polls <= 5.2
    assert polls * lag <= 0.56


def test_slow_models_are_asked_half_as_often() -> None:
    """At 20 to 45 s a fixed half second costs 65 looks; here little more than half of that, for under 0.3 s of lag."""
    lag, polls = _polled(lambda rng: rng.uniform(20, 45), typical=30.0)
    _, fixed_polls = _polled(lambda rng: rng.uniform(20, 45), _every_half_second)
    assert polls < 0.6 * fixed_polls
    assert lag < 0.3


@pytest.mark.parametrize("seconds", [(8, 15), (20, 45), (60, 120)], ids=str)
def test_a_first_prediction_is_seen_as_soon_as_by_a_fixed_half_second(seconds: tuple[float, float]) -> None:
    """Without any history nobody waits noticeably longer for a slow first image than with the official client."""

    def lag(gap: Callable[[float, Sequence[float], float | None], float]) -> float:
        figures = [
            _polled(lambda rng, skip=skip: [rng.uniform(*seconds) for _ in range(skip)][-1], gap, wanted=1, slots=1)
            for skip in range(1, 100)
        ]
        return statistics.mean(each for each, _ in figures)

    assert lag(poll_gap) <= lag(_every_half_second) + 0.03


def test_nothing_is_asked_before_anything_can_have_ended() -> None:
    """With a long steady history the first look comes when the first could be done, or after the longest gap."""
    assert 2.5 < poll_gap(0.0, [3.0] * 100) <= 3.0
    assert poll_gap(0.0, [60.0] * 100) == polling.LONGEST_GAP_S


def test_what_is_overdue_is_looked_at_less_and_less() -> None:
    """Past everything known the gap grows with the delay."""
    gaps = [poll_gap(2.0 + late, [2.0] * 50) for late in (0.01, 1.0, 10.0, 100.0)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.06
    assert gaps[-1] == polling.LONGEST_GAP_S


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e5), max_size=30), st.none() | st.floats(0, 1e4))
def test_a_gap_is_always_within_its_bounds(elapsed: float, history: list[float], typical: float | None) -> None:
    """Any history gives a gap between 0.05 and 5 seconds."""
    assert polling.SHORTEST_GAP_S <= poll_gap(elapsed, history, typical) <= polling.LONGEST_GAP_S


@pytest.mark.parametrize("date_skew", [3600.0, -3600.0])
def test_a_predictions_age_goes_by_the_clock_that_says_when_it_was_made(date_skew: float) -> None:
    """A Date header an hour off does not make it look overdue, or not begun: its end is seen as soon as ever."""
    with Origin(token=CANARY, latency=0.5, date_skew=date_skew) as origin:
        client = api_of(origin)
        began = time.monotonic()
        last = wait(client, client.create(fox(), deadline=soon()), deadline=soon(30), history=[0.4, 0.5, 0.6])
        assert last.status is Status.SUCCEEDED
        assert time.monotonic() - began < 3.0

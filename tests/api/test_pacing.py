"""The arithmetic of waiting, checked by simulation with a clock of its own."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_nb.api import pace as pacing
from imagen_nb.api.pace import Bucket, Quota, backoff, http_date, poll_gap, retry_after

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


# -- backing off -------------------------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_its_cap() -> None:
    """Each failure doubles the wait, until the cap; jitter takes off at most half."""
    assert [backoff(n, jitter=1.0) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff(3, jitter=0.0) == 1.0
    assert backoff(10_000, jitter=1.0) == 30.0


def test_quota_stops_repeats_when_nothing_succeeds() -> None:
    """Without a success forty repeats are allowed; every success earns a fifth of another one."""
    quota: Quota | None = Quota()
    repeats = 0
    while (quota := quota.spent()) is not None:
        last = quota
        repeats += 1
    assert repeats == 40
    for _ in range(5):
        last = last.refilled()
    assert last.spent() is not None
    assert Quota().refilled() == Quota()


# -- what a 429 says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"Retry-After": "7"}, None, 7.0),
        ({"retry-after": " 1.5 "}, None, 1.5),
        ({"Retry-After": "86400"}, None, 86400.0),
        ({"Retry-After": format_datetime(NOON + timedelta(seconds=9), usegmt=True)}, None, 9.0),
        ({"Retry-After": "3"}, {"retry_after": 8}, 3.0),
        ({}, {"retry_after": 8}, 8.0),
        ({}, {"retry_after": "8.5"}, 8.5),
        ({}, {"error": {"retry_after": 4}}, 4.0),
        ({}, {"detail": "Reduced to 6 requests per minute with burst 1. It resets in ~7s."}, 7.0),
        ({}, {"error": {"message": "please try again in 20 seconds"}}, 20.0),
        ({}, "slow down, retry after 2 minutes", 120.0),
        ({}, {"detail": "try again in 250ms"}, 0.25),
        ({"ratelimit-reset": "12"}, {}, 12.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], body: Any, expected: float) -> None:
    """Seconds, a date, a field of the body, a sentence, a reset header: in this order."""
    assert retry_after(headers, body, NOON) == pytest.approx(expected)


def test_retry_after_date_is_taken_against_the_servers_own_clock() -> None:
    """An HTTP-date says how long to wait by the Date of the same reply, however wrong our clock is."""
    headers = {
        "Retry-After": format_datetime(NOON + timedelta(hours=5, seconds=6), usegmt=True),
        "Date": format_datetime(NOON + timedelta(hours=5), usegmt=True),
    }
    assert retry_after(headers, None, NOON) == 6.0


@pytest.mark.parametrize(
    "value",
    ["-1", "0", "nan", "inf", "1e35", "", "soon", "7 bananas", "Wed, 21 Oct 2015 07:28:00 GMT", "\uff19e99", "\0"],
)
def test_absurd_retry_after_falls_back_to_the_body(value: str) -> None:
    """A header that cannot be meant is passed over, and without a better word nothing is known."""
    assert retry_after({"Retry-After": value}, {"retry_after": 5}, NOON) == 5.0
    assert retry_after({"Retry-After": value}, {"detail": "no"}, NOON) is None


_BODIES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["retry_after", "detail", "error", "message"]), inner)
    ),
)


@given(st.text(), _BODIES)
def test_retry_after_never_raises_and_stays_sane(header: str, body: Any) -> None:
    """Whatever a server writes, the wait is None or a positive number of seconds below a month."""
    found = retry_after({"Retry-After": header}, body, NOON)
    assert found is None or 0 < found <= 30 * 86400


@given(st.text())
def test_http_date_never_raises(text: str) -> None:
    """A header that is no date is no date."""
    found = http_date(text)
    assert found is None or found.utcoffset() == timedelta(0)


# -- how fast to ask ---------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A provider's token bucket on simulated time."""

    rate: float
    burst: float
    form: str = "whole"
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def refuses(self, now: float) -> float | None:
        """None for a create that passes, else the seconds its 429 names (-1: it names none)."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1 - 1e-9:
            self.tokens -= 1
            return None
        wait = (1 - self.tokens) / self.rate
        return {"whole": math.ceil(wait), "exact": wait, "none": -1.0}[self.form]


@dataclass
class Sweep:
    """What a simulated sweep came to."""

    seconds: float = 0.0
    accepted: int = 0
    refused: int = 0
    bucket: Bucket | None = None


class Crowd:
    """Workers that all send creates through one bucket, as the gate does it; a queue of events instead of threads."""

    def __init__(self, server: Server, wanted: int, workers: int, *, seed: int = 0) -> None:
        self.server, self.wanted = server, wanted
        self.bucket = Bucket.fresh(10.0, 0.0)
        self.epoch, self.result = 0, Sweep()
        self._rng = random.Random(seed)  # noqa: S311 - reproducible
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, Any]] = []
        for _ in range(workers):
            self._at(0.0, "want", None)

    def run(self, change: tuple[float, Server] | None = None) -> Sweep:
        while self._events:
            now, _, kind, value = heapq.heappop(self._events)
            if change is not None and now > change[0]:
                self.server, change = change[1], None
            getattr(self, f"_{kind}")(now, value)
            self.result.seconds = now
        self.result.bucket = self.bucket
        return self.result

    def _at(self, when: float, kind: str, value: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), kind, value))

    def _queue(self, now: float) -> None:
        self.bucket, wait = self.bucket.take(now)
        self._at(now + wait, "turn", self.epoch)

    def _want(self, now: float, _: None) -> None:
        if self.wanted > 0:
            self.wanted -= 1
            self._queue(now)

    def _turn(self, now: float, epoch: int) -> None:
        if epoch != self.epoch:
            self._queue(now)
        else:
            self._at(now + self._rng.uniform(0.05, 0.15), "reply", (now, self.server.refuses(now)))

    def _reply(self, now: float, reply: tuple[float, float | None]) -> None:
        asked_at, pause = reply
        if pause is None:
            self.result.accepted += 1
            self.bucket = self.bucket.recovered()
            self._at(now, "want", None)
            return
        self.result.refused += 1
        self.bucket = self.bucket.slowed(now, None if pause < 0 else pause, asked_at=asked_at)
        self.epoch += 1
        self._queue(now)


@pytest.mark.parametrize("workers", [16, 64])
@pytest.mark.parametrize(("rate", "burst"), [(10.0, 60.0), (8.0, 60.0), (5.0, 60.0), (2.0, 10.0), (0.1, 1.0)], ids=str)
def test_three_thousand_creates_end_near_the_limits_own_floor(rate: float, burst: float, workers: int) -> None:
    """Whatever the limit, a sweep takes at most 1.05 times what the limit itself costs, and under 1 % is refused."""
    result = Crowd(Server(rate, burst), 3000, workers).run()
    assert result.accepted == 3000
    assert result.seconds <= 1.05 * (3000 - burst) / rate
    assert result.refused < 30


@pytest.mark.parametrize("form", ["exact", "none"])
def test_any_form_of_refusal_is_learned_from(form: str) -> None:
    """A storm of refusals that name fractions of a second, or nothing, still ends within 1.1 times the floor."""
    result = Crowd(Server(5.0, 60.0, form), 3000, 32).run()
    assert result.accepted == 3000
    assert result.seconds <= 1.1 * 2940 / 5
    assert result.refused < 45


def test_a_rate_that_falls_to_six_a_minute_in_mid_sweep_is_followed() -> None:
    """From ten a second to six a minute: everything passes, and few requests are wasted on learning it."""
    result = Crowd(Server(10.0, 60.0), 1500, 16).run(change=(60.0, Server(0.1, 1.0)))
    assert result.accepted == 1500
    assert result.refused < 30
    assert result.seconds <= 60.0 + 1.1 * (1500 - 610) / 0.1


def test_a_limit_that_is_lifted_is_noticed() -> None:
    """The learned rate grows with what passes, and gets back to where it began."""
    result = Crowd(Server(0.1, 1.0), 1500, 16).run(change=(500.0, Server(10.0, 60.0)))
    assert result.bucket is not None
    assert result.bucket.rate == 10.0


def test_what_was_learned_is_forgotten_after_a_rest() -> None:
    """Five minutes without a request, and the bucket starts with its own rate again, one request at a time."""
    slow = Bucket.fresh(10.0, 0.0).slowed(1.0, 10.0)
    assert slow.rate == pytest.approx(7.0)
    rested, wait = slow.take(1000.0)
    assert (rested.rate, wait) == (10.0, 0.0)
    assert rested.take(1000.0)[1] == pytest.approx(0.1)


def test_a_closed_door_opens_for_one_at_a_time() -> None:
    """After a pause turns are given out one by one, at the learned rate: nobody storms the door."""
    bucket = Bucket.fresh(10.0, 0.0).slowed(0.0, 7.0)
    turns = []
    for _ in range(4):
        bucket, wait = bucket.take(2.0)
        turns.append(wait)
    assert turns == pytest.approx([5.0, 5.0 + 1 / 7, 5.0 + 2 / 7, 5.0 + 3 / 7])
    assert bucket.closed_for(2.0) == 5.0


def test_refusals_of_one_volley_count_once() -> None:
    """Thirty requests refused together slow the bucket once; a longer pause among them is kept."""
    bucket = Bucket.fresh(10.0, 0.0).slowed(1.0, 2.0, asked_at=0.5)
    once = bucket.rate
    for _ in range(29):
        bucket = bucket.slowed(1.1, 4.0, asked_at=0.5)
    late = bucket.slowed(9.0, 1.0, asked_at=0.9)
    assert bucket.rate == late.rate == once
    assert bucket.at == pytest.approx(5.1)
    assert late.at == pytest.approx(10.0)


def test_refusals_without_a_word_pause_for_longer_and_longer() -> None:
    """Where no wait is named, the pause doubles with each refusal, up to about half a minute."""
    bucket, now, pauses = Bucket.fresh(10.0, 0.0), 0.0, []
    for _ in range(8):
        bucket = bucket.slowed(now)
        pauses.append(bucket.at - now)
        now = bucket.at
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 32, 32])


@given(st.lists(st.tuples(st.sampled_from(["take", "slow", "pass"]), st.floats(0, 1e4)), max_size=60))
def test_a_bucket_stays_within_its_bounds(steps: list[tuple[str, float]]) -> None:
    """Whatever happens, rate, wait and tokens stay finite and on the right side of zero."""
    bucket, now = Bucket.fresh(10.0, 0.0), 0.0
    for kind, step in steps:
        now += step
        if kind == "take":
            bucket, wait = bucket.take(now)
            assert 0 <= wait < math.inf
        else:
            bucket = bucket.recovered() if kind == "pass" else bucket.slowed(now, step or None, asked_at=now)
        assert pacing.SLOWEST <= bucket.rate <= 10.0
        assert bucket.tokens <= max(bucket.burst, 10.0)


# -- when to look again ------------------------------------------------------------------------------------------------


def _polled(
    draw: Callable[[random.Random], float],
    gap: Callable[[float, Sequence[float], float | None], float] = poll_gap,
    *,
    typical: float | None = None,
    wanted: int = 200,
    slots: int = 32,
) -> tuple[float, float]:
    """Mean lag in seconds and mean number of polls of a sweep whose durations `draw` gives."""
    rng = random.Random(1)  # noqa: S311 - reproducible
    history: list[float] = []
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
    assert poll_gap(0.0, [60.0] * 100) == pacing.LONGEST_GAP_S


def test_what_is_overdue_is_looked_at_less_and_less() -> None:
    """Past everything known the gap grows with the delay."""
    gaps = [poll_gap(2.0 + late, [2.0] * 50) for late in (0.01, 1.0, 10.0, 100.0)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.06
    assert gaps[-1] == pacing.LONGEST_GAP_S


@given(st.floats(0, 1e6), st.lists(st.floats(0, 1e5), max_size=30), st.none() | st.floats(0, 1e4))
def test_a_gap_is_always_within_its_bounds(elapsed: float, history: list[float], typical: float | None) -> None:
    """Any history gives a gap between 0.05 and 5 seconds."""
    assert pacing.SHORTEST_GAP_S <= poll_gap(elapsed, history, typical) <= pacing.LONGEST_GAP_S

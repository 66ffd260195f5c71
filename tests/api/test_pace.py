"""How fast one may ask: the arithmetic, checked by simulation with a clock of its own, and the door all calls pass."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from providers import provider_of, soon

from imagen_nb.api import pace
from imagen_nb.api.pace import CREATES, Bucket, Pacer, RetryQuota, backoff, http_date, retry_after
from imagen_nb.errors import ThrottledError, UnreachableError

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


# -- backing off -------------------------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_its_cap() -> None:
    """Each failure doubles the wait, until the cap; jitter takes off at most half."""
    assert [backoff(n, jitter=1.0) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff(3, jitter=0.0) == 1.0
    assert backoff(10_000, jitter=1.0) == 30.0


def test_quota_stops_repeats_when_nothing_succeeds() -> None:
    """Without a success forty repeats are allowed; every success earns a fifth of another one."""
    quota: RetryQuota | None = RetryQuota()
    repeats = 0
    while (quota := quota.spend()) is not None:
        last = quota
        repeats += 1
    assert repeats == 40
    for _ in range(5):
        last = last.refill()
    assert last.spend() is not None
    assert RetryQuota().refill() == RetryQuota()


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
    """A provider's token bucket on simulated time; of what passes it, `noise` is refused for other reasons."""

    rate: float
    burst: float
    form: str = "whole"
    noise: float = 0.0
    seed: int = 0
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst
        self._dice = random.Random(self.seed)  # noqa: S311 - reproducible

    def refuses(self, now: float) -> float | None:
        """None for a create that passes, else the seconds its 429 names (-1: it names none)."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self._dice.random() < self.noise:
            return -1.0 if self.form == "none" else 1.0
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
    """Workers that all send creates through one bucket, as the pacer does it; a queue of events instead of threads."""

    def __init__(
        self, server: Server, wanted: int, workers: int, *, rate: float = 10.0, takes: float = 0.0, seed: int = 0
    ) -> None:
        """`rate` is where the bucket starts, `takes` for how many seconds a worker is busy with what it created."""
        self.server, self.wanted, self.takes = server, wanted, takes
        self.bucket = Bucket.fresh(rate, 0.0)
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

    def _queue(self, now: float, _: None = None) -> None:
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
            self.bucket = self.bucket.after_success()
            self._at(now + self.takes, "want", None)
            return
        self.result.refused += 1
        before = self.bucket
        self.bucket, wait = before.after_refusal(now, None if pause < 0 else pause, asked_at=asked_at)
        self.epoch += (before.tokens, before.at) != (self.bucket.tokens, self.bucket.at)
        self._at(now + wait, "queue", None)


@pytest.mark.parametrize("workers", [16, 64])
@pytest.mark.parametrize(("rate", "burst"), [(10.0, 60.0), (8.0, 60.0), (5.0, 60.0), (2.0, 10.0), (0.1, 1.0)], ids=str)
def test_three_thousand_creates_end_near_the_limits_own_floor(rate: float, burst: float, workers: int) -> None:
    """Whatever the limit, a sweep takes at most 1.05 times what the limit itself costs, and about 1 % is refused."""
    result = Crowd(Server(rate, burst), 3000, workers).run()
    assert result.accepted == 3000
    assert result.seconds <= 1.05 * (3000 - burst) / rate
    assert result.refused <= 31


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


@pytest.mark.parametrize("form", ["whole", "none"])
@pytest.mark.parametrize("noise", [0.05, 0.08, 0.15])
@pytest.mark.parametrize(
    ("rate", "wanted", "takes"), [(200.0, 200, 1.0), (10.0, 200, 1.0), (10.0, 2000, 0.0)], ids=["fast", "short", "long"]
)
def test_refusals_at_any_pace_cost_little_time(rate: float, wanted: int, takes: float, noise: float, form: str) -> None:
    """Where a part of all creates is refused however slowly one asks, a sweep takes less than half as long again."""
    figures = []
    for seed in range(5):
        noisy, quiet = (Server(1e9, 1e9, form, share, seed) for share in (noise, 0.0))
        both = [Crowd(each, wanted, 16, rate=rate, takes=takes, seed=seed).run() for each in (noisy, quiet)]
        assert both[0].accepted == wanted
        figures.append(both[0].seconds / both[1].seconds)
    assert sum(figures) / 5 <= 1.5


def test_a_pace_that_such_refusals_slowed_comes_back_within_seconds() -> None:
    """When a busy model is busy no more, the first rate is back after less than twenty requests."""
    crowd = Crowd(Server(1e9, 1e9, noise=0.15), 600, 16)
    bucket = crowd.run(change=(20.0, Server(1e9, 1e9))).bucket
    assert bucket is not None
    assert bucket.rate == 10.0
    assert crowd.result.seconds <= 20.0 + 1.1 * (600 - 130) / 10.0


@pytest.mark.parametrize("noise", [0.05, 0.15])
def test_a_limit_behind_such_refusals_is_kept_all_the_same(noise: float) -> None:
    """With a limit of five a second and a busy model, the limit sets the time, and not one in three is refused."""
    result = Crowd(Server(5.0, 60.0, noise=noise), 1500, 16).run()
    assert result.seconds <= 1.5 * 1440 / 5.0 / (1.0 - noise)
    assert result.refused <= 500


def test_what_was_learned_is_forgotten_after_a_rest() -> None:
    """Five minutes without a request, and the bucket starts with its own rate again, one request at a time."""
    slow, _ = Bucket.fresh(10.0, 0.0).after_refusal(1.0, 10.0)
    assert slow.rate == pytest.approx(8.0)
    rested, wait = slow.take(1000.0)
    assert (rested.rate, wait) == (10.0, 0.0)
    assert rested.take(1000.0)[1] == pytest.approx(0.1)


def test_a_closed_door_opens_for_one_at_a_time() -> None:
    """After a pause turns are given out one by one, at the learned rate: nobody storms the door."""
    bucket, _ = Bucket.fresh(10.0, 0.0).after_refusal(0.0, 0.1)
    bucket = replace(bucket, at=7.0)
    turns = []
    for _ in range(4):
        bucket, wait = bucket.take(2.0)
        turns.append(wait)
    assert turns == pytest.approx([5.0, 5.0 + 1 / 8, 5.0 + 2 / 8, 5.0 + 3 / 8])
    assert bucket.pause_left(2.0) == 5.0


def test_refusals_of_one_volley_count_once() -> None:
    """Thirty requests refused together slow the bucket once; a longer pause among them is kept."""
    bucket, _ = Bucket.fresh(10.0, 0.0).after_refusal(1.0, 2.0, asked_at=0.5)
    once = bucket.rate
    for _ in range(29):
        bucket, wait = bucket.after_refusal(1.1, 4.0, asked_at=0.5)
        assert wait == 4.0
    assert bucket.rate == once
    assert bucket.at == pytest.approx(5.1)


def test_one_refusal_among_many_holds_up_nobody_else() -> None:
    """The call that was refused waits as long as it was told to; the others go on, at the pace that passed."""
    bucket = Bucket.fresh(10.0, 0.0)
    for _ in range(30):
        bucket = bucket.after_success()
    after, wait = bucket.after_refusal(3.0, 60.0)
    assert (wait, after.pause_left(3.0)) == (60.0, 0.0)
    assert 9.0 < after.rate <= 10.0


def test_refusals_without_a_word_pause_for_longer_and_longer() -> None:
    """Where no wait is named and nothing passes, the pause doubles with each refusal, up to a quarter of a minute."""
    bucket, now, pauses = Bucket.fresh(10.0, 0.0), 0.0, []
    for _ in range(11):
        bucket, wait = bucket.after_refusal(now, asked_at=now)
        assert bucket.pause_left(now) == wait
        pauses.append(wait)
        now = bucket.at
    assert pauses == pytest.approx([1, 1, 1, 1, 2, 4, 8, 15, 15, 15, 15])


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
            refused, _ = bucket.after_refusal(now, step or None, asked_at=now)
            bucket = bucket.after_success() if kind == "pass" else refused
        assert pace.SLOWEST <= bucket.rate <= 10.0
        assert bucket.tokens <= max(1.0, 10.0 * pace.BURST_S)


# -- the door ----------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float, stop: threading.Event | None) -> None:  # noqa: ARG002 - as sleep()
        self.now += seconds


def _pacer(creates: float = 10.0, others: float = 50.0) -> tuple[Pacer, Clock]:
    clock = Clock()
    return Pacer(creates, others, clock=clock, sleep=clock.sleep), clock


def test_a_burst_passes_and_the_rest_is_paced() -> None:
    """One second's worth at once, then one by one at the rate; other calls have a queue of their own."""
    pacer, clock = _pacer()
    times = [pacer.acquire(create=True, deadline=1000.0) - 100.0 for _ in range(30)]
    assert times[:10] == [0.0] * 10
    assert times[-1] == pytest.approx(2.0)
    assert pacer.acquire(create=False, deadline=1000.0) == clock.now


def test_the_service_gets_no_more_than_it_allows() -> None:
    """A real provider starts at 600 creates a minute; one on this machine is not held back."""
    assert Pacer.of(provider_of("https://api.replicate.com")).rate(create=True) == CREATES == 10.0
    assert Pacer.of(provider_of("http://127.0.0.1:1")).rate(create=True) > 100.0


def test_the_head_of_the_line_waits_until_it_could_pass() -> None:
    """Standing in line takes no turn away: when it ends, the next create passes at once."""
    pacer, clock = _pacer()
    for _ in range(10):
        pacer.acquire(create=True, deadline=1000.0)
    assert pacer.stand_in_line(60.0, lambda: False)
    assert clock.now == pytest.approx(100.1)
    assert pacer.acquire(create=True, deadline=100.2) == pytest.approx(100.1)
    pacer.note_refusal(7.0, create=True)
    assert pacer.stand_in_line(60.0, lambda: False)
    assert clock.now == pytest.approx(107.1)


def test_a_line_that_leads_nowhere_is_left() -> None:
    """For a sweep that is over nobody waits, at its head or behind; a pause of a day is no line at all."""
    pacer, clock = _pacer()
    pacer.note_refusal(86400.0, create=True)
    assert pacer.stand_in_line(60.0, lambda: False)
    assert clock.now == 100.0
    assert not pacer.stand_in_line(1e6, lambda: clock.now > 105.0)
    assert clock.now == pytest.approx(105.25)
    left = []
    with pacer._line:
        behind = threading.Thread(target=lambda: left.append(pacer.stand_in_line(60.0, lambda: True)))
        behind.start()
        behind.join(5.0)
    assert left == [False]


def test_a_refusal_closes_the_door_for_all() -> None:
    """After a 429 that asks for seven seconds nobody passes for seven seconds, and the view can say so."""
    pacer, clock = _pacer()
    pacer.note_refusal(7.0, create=True)
    assert pacer.pause_left == pytest.approx(7.0)
    assert pacer.acquire(create=False, deadline=1000.0) == 100.0
    assert pacer.acquire(create=True, deadline=1000.0) == pytest.approx(107.0)
    assert pacer.pause_left == 0.0
    assert clock.now == pytest.approx(107.0)


def test_while_nobody_may_look_nothing_is_created() -> None:
    """A pause of all looks holds creates back a little longer; a single refused look does not."""
    pacer, clock = _pacer()
    pacer.note_success(create=False)
    pacer.note_refusal(7.0, create=False)
    assert pacer.pause_left == 0.0
    for _ in range(3):
        clock.now += 0.1
        pacer.note_refusal(7.0, create=False)
    looks = pacer.acquire(create=False, deadline=1000.0)
    assert looks > 107.0
    assert looks < pacer.acquire(create=True, deadline=1000.0) <= looks + 1.0 + 1e-6


def test_a_wait_past_the_deadline_is_refused_at_once() -> None:
    """A day's pause is not slept through: an error says how long it would be."""
    pacer, clock = _pacer()
    pacer.note_refusal(86400.0, create=True)
    with pytest.raises(ThrottledError, match="in 86400 s, and it may wait for 600 s") as caught:
        pacer.acquire(create=True, deadline=clock.now + 600.0)
    assert caught.value.retry_after == pytest.approx(86400.0)
    assert clock.now == 100.0


def test_a_deadline_that_has_passed_is_the_calls_own_business() -> None:
    """With the door open, the pacer does not judge deadlines."""
    pacer, clock = _pacer()
    assert pacer.acquire(create=True, deadline=clock.now - 1.0) == clock.now


def test_a_stop_ends_the_wait() -> None:
    """A stop in mid-wait comes out at once, as an error that says nothing was sent."""
    pacer = Pacer(1.0, 1.0)
    pacer.note_refusal(60.0, create=True)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="stopped before the request was sent"):
        pacer.acquire(create=True, deadline=soon(600), stop=stop)
    assert time.monotonic() - began < 30.0


def test_waiting_threads_come_through_one_by_one() -> None:
    """Forty threads wait at a door that closes and opens: they pass at the rate, never as a crowd."""
    pacer = Pacer(200.0, 200.0)
    pacer.note_refusal(0.3, create=True)
    opened = time.monotonic() + 0.3
    rate = pacer.rate(create=True)
    times: list[float] = []

    def pass_through() -> None:
        times.append(pacer.acquire(create=True, deadline=soon()))

    threads = [threading.Thread(target=pass_through) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    assert times[0] >= opened - 0.02
    assert all(at >= opened + number / rate - 0.02 for number, at in enumerate(times))


def test_a_refusal_voids_turns_already_given() -> None:
    """Threads that hold a turn when a 429 arrives wait for the door to open, too."""
    pacer = Pacer(5.0, 5.0)
    for _ in range(5):
        pacer.acquire(create=True, deadline=soon())
    passed: list[float] = []
    thread = threading.Thread(target=lambda: passed.append(pacer.acquire(create=True, deadline=soon())))
    thread.start()
    time.sleep(0.05)
    closed = time.monotonic()
    pacer.note_refusal(0.6, create=True)
    thread.join()
    assert passed[0] >= closed + 0.55

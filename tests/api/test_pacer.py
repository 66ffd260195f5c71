"""The door all calls pass: paced, closed on a 429, opened without a rush."""

from __future__ import annotations

import threading
import time

import pytest
from providers import provider_of, soon

from imagen_nb.api.pace import CREATES, Pacer, pacer_for
from imagen_nb.errors import ThrottledError, UnreachableError


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def doze(self, seconds: float, stop: threading.Event | None) -> None:  # noqa: ARG002 - as doze()
        self.now += seconds


def _gate(creates: float = 10.0, others: float = 50.0) -> tuple[Pacer, Clock]:
    clock = Clock()
    return Pacer(creates, others, clock=clock, doze=clock.doze), clock


def test_a_burst_passes_and_the_rest_is_paced() -> None:
    """One second's worth at once, then one by one at the rate; other calls have a queue of their own."""
    pacer, clock = _gate()
    times = [pacer.acquire(create=True, deadline=1000.0) - 100.0 for _ in range(30)]
    assert times[:10] == [0.0] * 10
    assert times[-1] == pytest.approx(2.0)
    assert pacer.acquire(create=False, deadline=1000.0) == clock.now


def test_the_service_gets_no_more_than_it_allows() -> None:
    """A real provider starts at 600 creates a minute; one on this machine is not held back."""
    assert pacer_for(provider_of("https://api.replicate.com")).rate(create=True) == CREATES == 10.0
    assert pacer_for(provider_of("http://127.0.0.1:1")).rate(create=True) > 100.0


def test_the_head_of_the_line_waits_until_it_could_pass() -> None:
    """Standing in line takes no turn away: when it ends, the next create passes at once."""
    pacer, clock = _gate()
    for _ in range(10):
        pacer.acquire(create=True, deadline=1000.0)
    assert pacer.stand_in_line(60.0, lambda: False)
    assert clock.now == pytest.approx(100.1)
    assert pacer.acquire(create=True, deadline=100.2) == pytest.approx(100.1)
    pacer.throttled(7.0, create=True)
    assert pacer.stand_in_line(60.0, lambda: False)
    assert clock.now == pytest.approx(107.1)


def test_a_line_that_leads_nowhere_is_left() -> None:
    """For a sweep that is over nobody waits, at its head or behind; a pause of a day is no line at all."""
    pacer, clock = _gate()
    pacer.throttled(86400.0, create=True)
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
    pacer, clock = _gate()
    pacer.throttled(7.0, create=True)
    assert pacer.waiting == pytest.approx(7.0)
    assert pacer.acquire(create=False, deadline=1000.0) == 100.0
    assert pacer.acquire(create=True, deadline=1000.0) == pytest.approx(107.0)
    assert pacer.waiting == 0.0
    assert clock.now == pytest.approx(107.0)


def test_a_wait_past_the_deadline_is_refused_at_once() -> None:
    """A day's pause is not slept through: an error says how long it would be."""
    pacer, clock = _gate()
    pacer.throttled(86400.0, create=True)
    with pytest.raises(ThrottledError, match="in 86400 s, and it may wait for 600 s") as caught:
        pacer.acquire(create=True, deadline=clock.now + 600.0)
    assert caught.value.retry_after == pytest.approx(86400.0)
    assert clock.now == 100.0


def test_a_deadline_that_has_passed_is_the_calls_own_business() -> None:
    """With the door open, the pacer does not judge deadlines."""
    pacer, clock = _gate()
    assert pacer.acquire(create=True, deadline=clock.now - 1.0) == clock.now


def test_a_stop_ends_the_wait() -> None:
    """A stop in mid-wait comes out at once, as an error that says nothing was sent."""
    pacer = Pacer(1.0, 1.0)
    pacer.throttled(60.0, create=True)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="stopped before the request was sent"):
        pacer.acquire(create=True, deadline=soon(600), stop=stop)
    assert time.monotonic() - began < 30.0


def test_waiting_threads_come_through_one_by_one() -> None:
    """Forty threads wait at a door that closes and opens: they pass at the rate, never as a crowd."""
    pacer = Pacer(200.0, 200.0)
    pacer.throttled(0.3, create=True)
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
    pacer.throttled(0.6, create=True)
    thread.join()
    assert passed[0] >= closed + 0.55
